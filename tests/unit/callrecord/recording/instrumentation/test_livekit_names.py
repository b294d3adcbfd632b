"""Private names of LiveKit: each stands in one table, is there, and is told when it is gone."""

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest
from livekit.agents.voice import agent_activity, tool_executor
from livekit.agents.voice.agent_activity import AgentActivity

from agent import livekit_names as agents
from callrecord.recording.instrumentation import livekit_names, lookups
from callrecord.recording.instrumentation.livekit_names import NAMES, Names, missing

PROJECT = Path(__file__).parents[5]
WALLED = PROJECT / "callrecord" / "recording" / "instrumentation"
ALL = (*NAMES, *agents.NAMES)


def sources() -> list[Path]:
    return [path for name in ("callrecord", "agent") for path in (PROJECT / name).rglob("*.py")]


@functools.cache
def own_names() -> set[str]:
    """Return the underscored names that our own code defines."""
    found: set[str] = set()
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                if isinstance(node.value, ast.Name) and node.value.id == "self":
                    found.add(node.attr)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found.add(node.id)
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found.add(node.name)
    return {name for name in found if name.startswith("_")}


def used_names(path: Path) -> Iterator[str]:
    """Return the private names that a file uses of something that is not its own."""
    own = own_names()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
            mine = isinstance(node.value, ast.Name) and node.value.id in {"self", "cls"}
            if not node.attr.startswith("__") and not (mine and node.attr in own):
                yield node.attr
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"getattr", "setattr"}:
            name = getattr(node.args[1], "value", "") if len(node.args) > 1 else ""
            if isinstance(name, str) and name.startswith("_") and not name.startswith("__"):
                yield name


NOT_LIVEKITS = {
    "callrecord/outbox/writer.py": {"_release"},
    "callrecord/postgres/database_url.py": {"_replace"},  # of a named tuple
    "callrecord/postgres/workers.py": {"_run"},  # of its base class, which is ours
}


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PROJECT)))
def test_no_private_name_is_used_beyond_the_wall(path: Path) -> None:
    if WALLED in path.parents or path == Path(agents.__file__):
        known = {name for each in ALL for name in each.names}
        assert set(used_names(path)) <= known
    else:
        ours = NOT_LIVEKITS.get(str(path.relative_to(PROJECT)), set())
        assert set(used_names(path)) == ours


def test_the_installed_livekit_has_them_all() -> None:
    assert missing(ALL) == []


@pytest.mark.parametrize("each", ALL, ids=lambda each: each.owner)
def test_each_has_a_test_of_its_own(each: Names) -> None:
    assert (PROJECT / "tests" / each.test).is_file()


def test_one_that_is_gone_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delattr(AgentActivity, "on_end_of_turn")
    monkeypatch.delattr(tool_executor, "_RunningTasks")
    livekit_names.log_missing()
    lines = [record.__dict__["lacks"] for record in caplog.records]
    turns, tools = lines
    assert turns.endswith(
        "AgentActivity.on_end_of_turn: turns are separated only when they are committed"
    )
    assert tools.endswith("_RunningTasks: the row of a tool that failed has no error type")


def test_a_class_that_is_gone_lacks_all_its_names() -> None:
    gone = Names("livekit.agents:Gone", ("_a", "_b"), "-", "much", "-")
    assert missing([gone]) == ["livekit.agents:Gone._a: much", "livekit.agents:Gone._b: much"]


async def test_what_is_looked_up_is_none_without_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream is seen all the same, and a tool's row lacks no more than the table says."""
    monkeypatch.delattr(agent_activity, "_SpeechHandleContextVar")
    monkeypatch.delattr(tool_executor, "_RunningTasks")
    assert lookups.speech_id() is None
    assert lookups.tool_task(None, "call_1") is None
    assert lookups.realtime_session(None) is None
