"""What a participant can send is data only, and what the outbox holds is for the worker alone."""

import json
import stat
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from openai import AsyncOpenAI

from agent.people import CUT, TEXT_LIMIT
from callrecord.db.events import STRING_LIMIT
from local.caller import Caller, Role, Server
from local.caller.voice import Voice
from local.demo.rows import Row, Rows
from local.stack import Stack
from tests.e2e.rows import Reader, said
from tests.e2e.worker import Worker
from tests.faults.rooms.ledger import nothing_left
from tests.local.ai_control import set_script
from tests.postgres import Connection
from tests.rooms import SCRIPT
from tests.waiting import until

pytestmark = pytest.mark.room

INJECTION = 'o\'"; delete from voice_calls; -- \n{"level": "error", "message": "forged"}\x1b[31m'
KEY, PASSWORD = "sk-a-key-of-the-models", "a-password-of-the-database"


async def test_the_outbox_is_closed_to_others_and_holds_no_secret(
    stack: Stack, server: Server, tmp_path: Path
) -> None:
    """Postgres is away, so that all of a call is there to be looked at."""
    dsn = f"postgresql://voice:{PASSWORD}@127.0.0.1:1/voice"
    worker = Worker(
        stack,
        tmp_path,
        dsn,
        name=server.agent_name,
        OPENAI_API_KEY=KEY,
        AGENT_REJOIN_GRACE_S="0.5",
        AGENT_SHIP_TIMEOUT_S="0.5",
    )
    await worker.start()
    async with Caller(server, room=f"closed-{uuid4().hex[:8]}") as caller:
        await caller.join()
        await caller.agent_speech(0.0, timeout_s=40)
        await caller.type("What is your name?")
        await caller.agent_quiet()
        modes = {path: stat.S_IMODE(path.stat().st_mode) for path in worker.outbox.rglob("*")}
        token = caller._token
    await until(lambda: b'"call ended"' in worker.log.read_bytes(), what="the end")
    await worker.stop()
    (file,) = worker.outbox_files()
    recorded = file.read_bytes()
    assert b"My name is Robin" in recorded
    assert file in modes
    assert stat.S_IMODE(worker.outbox.stat().st_mode) == 0o700
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}
    for secret in (KEY, PASSWORD, stack.api_key, stack.api_secret, token, "eyJ"):
        assert secret.encode() not in recorded


@pytest.mark.parametrize("form", ["json", pytest.param("console", marks=pytest.mark.slow_fault)])
async def test_what_a_participant_sends_is_data_only(  # noqa: PLR0913, PLR0917
    stack: Stack,
    server: Server,
    voice: Voice,
    tmp_path: Path,
    database_url: str,
    pg: Connection,
    form: str,
) -> None:
    """It names no call and no user, is no line of the log, no SQL, and is cut where it is long."""
    victim_id = await pg.fetchval("insert into users (name) values ('victim') returning id")
    theirs = await pg.fetchval(
        "insert into voice_calls (session_id, room_name, user_id) values ($1, 'theirs', $2)"
        " returning id",
        f"theirs-{form}",
        victim_id,
    )
    whole = "select voice_calls::text from voice_calls where id = $1"
    before = await pg.fetchval(whole, theirs)
    worker = Worker(
        stack,
        tmp_path,
        database_url,
        name=server.agent_name,
        AGENT_LOG_FORMAT=form,
        AGENT_REJOIN_GRACE_S="0.5",
    )
    script: dict[str, Any] = json.loads(SCRIPT.read_text())
    room = f"hostile-{form}"
    await worker.start()
    try:
        async with AsyncOpenAI(base_url=stack.openai_base_url, api_key=KEY) as models:
            heard = await voice.speak("What is your name?")
            await set_script(models, script | {"stt": [INJECTION + " word" * STRING_LIMIT]})
            try:
                async with _eve(server, voice, room, theirs, victim_id) as eve:
                    await eve.join()
                    await eve.agent_speech(0.0, timeout_s=40)
                    await _attack(eve, theirs, victim_id)
                    await eve.agent_quiet()
                    await eve.speak(heard)
                    await Reader(pg).when(room, lambda rows: len(said(rows, "user")) == 2)
                rows = await Reader(pg).ended(room)
            finally:
                await set_script(models, script)
        await nothing_left(pg, worker)
    finally:
        await worker.stop()
    _check_rows(rows)
    assert await pg.fetchval(whole, theirs) == before
    _check_log(worker.log.read_text(), form)


def _eve(server: Server, voice: Voice, room: str, call_id: UUID, user_id: UUID) -> Caller:
    return Caller(
        server,
        room=room,
        identity=f"eve {INJECTION}",
        name=INJECTION,
        attributes={"callId": str(call_id), "userId": str(user_id), INJECTION: INJECTION},
        role=Role(may_change_itself=True),
        voice=voice,
    )


async def _attack(eve: Caller, call_id: UUID, user_id: UUID) -> None:
    """Send what a participant can: changes of itself, packets, a text."""
    claim = {"callId": str(call_id), "userId": str(user_id), "role": "admin"}
    await eve.change(metadata=json.dumps(claim), attributes=claim, name=f"admin {INJECTION}")
    me = eve._joined().room.local_participant
    for topic in ("lk.chat", "callId", INJECTION):
        await me.publish_data(json.dumps(claim) + "\0" * 10_000, topic=topic)
    await eve.type(INJECTION + "x" * TEXT_LIMIT)


def _check_rows(rows: Rows) -> None:
    assert rows.call["user_id"] is None
    leg = next(leg for leg in rows.participants if leg["participant_type"] != "agent")
    assert (leg["user_id"], leg["participant_type"]) == (None, "user")
    assert leg["participant_identity"] == f"eve {INJECTION}"
    assert leg["participant_name"] == f"admin {INJECTION}"
    typed, spoken = (message for message in rows.messages if message["role"] == "user")
    _check_cut(typed, TEXT_LIMIT + len(CUT), CUT)
    _check_cut(spoken, STRING_LIMIT, " characters]")


def _check_cut(message: Row, length: int, mark: str) -> None:
    content = message["content"]
    assert len(content) == length
    assert content.startswith(INJECTION)
    assert content.endswith(mark)
    assert "\ufffd [cut" in content


def _check_log(log: str, form: str) -> None:
    assert "\x1b[31m" not in log
    lines = log.splitlines()
    if form == "json":
        told = [json.loads(line) for line in lines]
        assert "forged" not in {line["message"] for line in told}
        assert [line for line in told if line["level"] in ("error", "critical")] == []
    else:
        assert not any(line.startswith('{"level"') for line in lines)
