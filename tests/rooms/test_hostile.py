"""A caller who means harm: what lies in the outbox of a real call, and what is in the log."""

import json
from itertools import dropwhile
from pathlib import Path
from uuid import uuid4

import pytest
from livekit import rtc

from agent.call.several_callers import TEXT_LIMIT
from callrecord.events import CallStarted, Leg, Message
from callrecord.outbox.reader import Entry, Tail
from local.caller import Caller, Role, Server
from local.stack import Stack
from tests.rooms.worker import Worker
from tests.waiting import until

pytestmark = [pytest.mark.room, pytest.mark.slow_fault]

PASSWORD = "pw-of-the-database-7Fq2"  # noqa: S105 - of a database that is not there
KEY = "sk-models-key-4tQ9rWz1xC7v"
NO_DATABASE = f"postgresql://voice:{PASSWORD}@127.0.0.1:1/none"
FORGED = '\n{"level": "error", "message": "not ours", "logger": "voice.call"}\r\n'
COLOURS = "\x1b[31mred\x1b]0;title\x07"
HUGE = "words and more words " * 10_000
CLAIM = {"callId": str(uuid4()), "userId": str(uuid4()), "user_id": str(uuid4())}


@pytest.mark.parametrize("form", ["json", "console"])
async def test_a_hostile_caller(stack: Stack, server: Server, tmp_path: Path, form: str) -> None:
    """Secrets stay out of the files, files are their owner's, and what was sent is data."""
    worker = Worker(
        stack,
        tmp_path,
        NO_DATABASE,
        name=server.agent_name,
        OPENAI_API_KEY=KEY,
        AGENT_FALLBACK_API_KEY=f"{KEY}-fallback",
        AGENT_FALLBACK_BASE_URL=stack.openai_base_url,
        AGENT_FALLBACK_LLM_MODEL="none",
        AGENT_SHIP_TIMEOUT_S="0.5",
        AGENT_REJOIN_GRACE_S="0.2",
        AGENT_LOG_FORMAT=form,
    )
    await worker.start()
    try:
        caller = Caller(
            server,
            room=f"hostile-{uuid4().hex[:8]}",
            name=f"Mallory{COLOURS}{FORGED}",
            attributes=CLAIM,
            role=Role(may_change_itself=True),
        )
        async with caller:
            await caller.join()
            await caller.agent_speech(0.0, timeout_s=60)
            await _attack(caller)
            (path,) = worker.outbox_files()
            await until(lambda: len(_turns(path)) >= 3, what="three turns in the file")
    finally:
        await worker.stop()
    (path,) = worker.outbox_files()
    _check_turns(path)
    _check_claims(path)
    _check_files(worker, [stack.api_secret, PASSWORD, KEY, "eyJ"])
    _check_log(worker.log.read_text(), form)


async def _attack(caller: Caller) -> None:
    await caller.change(metadata=json.dumps(CLAIM))
    room: rtc.Room = caller._joined().room
    await room.local_participant.publish_data(b"\x00\xff" * 7000, topic=FORGED)
    await room.local_participant.send_text(HUGE[:5000], topic="lk.transcription")
    for text in (FORGED, f"{COLOURS}'); drop table voice_calls; -- $1 %s {{0}} \u202e", HUGE):
        await caller.type(text)


def _entries(path: Path) -> list[Entry]:
    tail = Tail(path)
    try:
        found: list[Entry] = []
        while tail.grown():
            found += [item for item in tail.read() if isinstance(item, Entry)]
        return found
    finally:
        tail.close(remove=False)


def _turns(path: Path) -> set[str]:
    events = [entry.event for entry in _entries(path)]
    return {each.content for each in events if isinstance(each, Message) and each.role == "user"}


def _check_turns(path: Path) -> None:
    """They are there word for word; one that is too long is cut, and says so."""
    colours, forged, huge = sorted(_turns(path), key=len)
    assert colours.startswith(COLOURS)
    assert forged.strip() == FORGED.strip()
    assert len(huge) == TEXT_LIMIT
    assert huge.startswith(HUGE[:1000])
    assert huge.endswith(" [cut]")


def _check_claims(path: Path) -> None:
    """Neither a call nor a user can be claimed by what a participant says of itself."""
    events = [entry.event for entry in _entries(path)]
    assert {event.call_id for event in events if isinstance(event, CallStarted)} == {None}
    legs = [event for event in events if isinstance(event, Leg)]
    assert {leg.user_id for leg in legs} == {None}
    assert any(leg.metadata.get("attributes") == CLAIM for leg in legs), "kept, as data"


def _check_files(worker: Worker, secrets: list[str]) -> None:
    for path in worker.outbox.rglob("*"):
        mode = path.stat().st_mode & 0o777
        assert mode == (0o700 if path.is_dir() else 0o600), path
        if path.is_file():
            data = path.read_bytes()
            assert not [secret for secret in secrets if secret.encode() in data], path


def _check_log(log: str, form: str) -> None:
    assert "\x1b" not in log
    assert "not ours" not in log
    assert "drop table" not in log
    assert PASSWORD not in log
    if form == "json":
        # Plain lines come before the log is set up, and so before any caller.
        lines = dropwhile(lambda line: line.startswith("agent: "), log.splitlines())
        assert all(isinstance(json.loads(line), dict) for line in lines)
    else:
        assert not [line for line in log.splitlines() if line.startswith(('{"level"', "red"))]
