"""Memory of a recorded call does not grow with its length."""

import gc
from collections import Counter, deque
from pathlib import Path
from types import CellType, FunctionType, MethodType
from typing import Any

import pytest
from livekit.agents import Agent, AgentSession

from callrecord.recording import attribution
from callrecord.recording.conversation import agent_turns, caller_turns
from callrecord.recording.recent import Recent
from callrecord.recording.usage import ledger, meter, reconciliation
from tests.unit.callrecord.recording.outbox import Outbox
from tests.unit.callrecord.recording.scripted import TOKENS, Reply, ScriptedLLM

KEPT = 8
WARM_UP = 40
TURNS = 200
CONTAINERS = (dict, list, set, tuple, deque, Counter, MethodType, FunctionType, CellType)


def held(root: Any) -> int:
    """Return how many objects our own code holds, from `root` on; LiveKit's are not entered."""
    seen: dict[int, Any] = {}
    waiting = [root]
    while waiting:
        each = waiting.pop()
        ours = type(each).__module__.startswith("callrecord")
        if id(each) in seen or not (ours or isinstance(each, CONTAINERS)):
            continue
        seen[id(each)] = each
        waiting += gc.get_referents(each)
    return len(seen)


async def test_a_long_call_holds_no_more_than_a_short_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of turns and their requests; the ledger is complete all the same."""
    for module in (attribution, ledger, meter, reconciliation):
        monkeypatch.setattr(module, "_KEPT", KEPT)
    for module in (agent_turns, caller_turns):
        monkeypatch.setattr(module, "KNOWN_ITEMS", KEPT)
    monkeypatch.setattr(ledger, "_KEPT_REQUESTS", KEPT)
    outbox = Outbox(tmp_path)
    session = AgentSession[None](llm=ScriptedLLM([Reply("Yes.")] * TURNS))
    outbox.recorder.attach_session(session)
    await session.start(Agent(instructions="Be brief."))
    counts = []
    for turn in range(TURNS):
        await session.generate_reply(user_input="Go on.")
        if turn in {WARM_UP, TURNS - 1}:
            counts.append(held(outbox.recorder))
    await session.aclose()
    early, late = counts
    assert early > 10 * KEPT
    assert late <= early
    assert outbox.recorder.gaps() == []
    outbox.check_ledger()
    assert sum(usage.total_tokens for usage in outbox.usage()) == TURNS * TOKENS


def test_the_oldest_is_forgotten() -> None:
    gone: list[tuple[str, int]] = []
    recent = Recent[str, int](2, lambda *entry: gone.append(entry))
    for key, value in (("a", 1), ("b", 2), ("a", 3), ("c", 4)):
        recent.put(key, value)
    assert gone == [("b", 2)]
    assert recent.items() == [("a", 3), ("c", 4)]
    assert (recent.get("b"), recent.pop("a"), "a" in recent, len(recent)) == (None, 3, False, 1)
