"""`python -m db show CALL`, as an operator runs it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from uuid import UUID

import pytest

from local.places import PROJECT
from tests.postgres.callrecord.operator.command import run
from tests.postgres.callrecord.reading.recorded import record_call, turns
from tests.postgres.rows import add_call
from tests.postgres.server import Connection
from tests.unit.callrecord.operator.rendering.test_plain import obeyed


def section(lines: list[str], name: str) -> Iterator[str]:
    """Yield the lines of a table, without its head."""
    for line in lines[lines.index(name) + 3 :]:
        if not line:
            return
        yield line


async def test_a_call_is_shown_by_each_of_its_names(dsn: str) -> None:
    call_id = await record_call(dsn)
    shown = [await run(dsn, "show", name) for name in (str(call_id), "room-1", "RM_1")]
    assert shown[0] == shown[1] == shown[2]
    code, output, errors = shown[0]
    assert (code, errors) == (0, "")
    assert "UTC" in output
    assert not obeyed(output.replace("\n", ""))
    lines = output.splitlines()
    assert all(len(line) <= 100 for line in lines)
    told = dict(line.split(maxsplit=1) for line in lines[: lines.index("")])
    assert told["call"] == str(call_id)
    assert (told["status"], told["end_reason"]) == ("completed", "caller_hangup")
    assert (told["started_at"], told["duration"]) == ("2026-03-01 12:00:00", "58 s")
    assert r"\u001b" in output

    legs = list(section(lines, "legs"))
    assert legs[0].split() == [
        *("agent", "agent", "agent", "12:00:00.000", "12:01:00.000", "60", "-"),
    ]
    assert legs[1].startswith("Ada ")
    assert r"\x1b]0;title\x07" in legs[2]

    said = list(section(lines, "turns"))
    assert said[0].split()[:5] == ["12:00:05.000", "user", "-", "-", "-"]
    assert said[0].endswith("What is the capital of France?")
    assert said[2].split()[:6] == ["12:00:07.000", "assistant", "90", "1.55", "s", "yes"]
    assert len(said) > 3  # the answer takes several lines

    assert [" ".join(line.split()) for line in section(lines, "usage")] == [
        "llm chat 2 (1 cancelled) 60 (8 cached) 30 - - -",
        "tts voice 1 - - 2.5 s 40 -",
    ]


async def test_json_has_every_row_as_it_is(dsn: str) -> None:
    call_id = await record_call(dsn)
    code, output, _ = await run(dsn, "show", str(call_id), "--json")
    assert code == 0
    assert not obeyed(output.replace("\n", ""))
    record = json.loads(output)
    assert record["call"]["started_at"] == "2026-03-01T12:00:00Z"
    assert [turn["content"] for turn in record["messages"]] == [turn.content for turn in turns()]
    assert [len(record[name]) for name in ("legs", "usage")] == [2, 3]


async def test_a_call_without_anything_has_empty_tables(pg: Connection, dsn: str) -> None:
    code, output, _ = await run(dsn, "show", str(await add_call(pg)))
    assert code == 0
    assert output.splitlines().count("none") == 4


@pytest.mark.parametrize("name", ["nowhere\x1b[2J", str(UUID(int=7)), "\udcff"], ids=ascii)
async def test_an_unknown_call_is_one_line_and_exit_code_1(dsn: str, name: str) -> None:
    code, output, errors = await run(dsn, "show", name)
    assert (code, output) == (1, "")
    assert "there is no call" in errors
    assert len(errors.splitlines()) == 1
    assert "\x1b" not in errors


@pytest.mark.parametrize(("encoding", "shown"), [("utf-8", "巴黎"), ("ascii", r"\u5df4\u9ece")])
async def test_a_terminal_that_knows_few_letters_is_no_obstacle(
    dsn: str, monkeypatch: pytest.MonkeyPatch, encoding: str, shown: str
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    code, output, _ = await run(dsn, "show", str(await record_call(dsn)))
    assert code == 0
    assert shown in output


async def test_whoever_reads_it_may_stop(pg: Connection, dsn: str) -> None:
    call_id = await record_call(dsn)
    await pg.execute("update voice_messages set content = repeat('long ', 100000)")
    command = f"{sys.executable} -m db show {call_id} | head -1"
    done = subprocess.run(  # noqa: ASYNC221 - nothing else runs in this loop
        ["bash", "-o", "pipefail", "-c", command],
        env={**os.environ, "DATABASE_URL": dsn},
        cwd=PROJECT,
        check=True,
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr) == ("all times are UTC\n", "")
