"""A whole conversation in a real room, from the front end's pending row to the last leg."""

import json
import time
from uuid import uuid4

import pytest

from local.caller import Caller, Server
from local.caller.voice import Voice
from local.demo.rows import Row, Rows
from tests.postgres.server import Connection
from tests.rooms.rows import Reader, said
from tests.waiting import until

pytestmark = [pytest.mark.room, pytest.mark.usefixtures("worker")]


async def test_everything_said_is_a_row(server: Server, voice: Voice, pg: Connection) -> None:
    """Greeting, reply, interruption, rejoin, function call and the agent's hang-up are there."""
    user_id, call_id = uuid4(), uuid4()
    room = f"call-{user_id}-{time.time_ns() // 1_000_000}"
    await pg.execute("insert into users (id, name, email) values ($1, 'Ada', 'a@b.c')", user_id)
    await pg.execute(
        "insert into voice_calls (id, user_id, session_id, room_name, ai_agent_used)"
        " values ($1, $2, $3, 'Support Call', true)",
        call_id,
        user_id,
        room,
    )
    metadata = json.dumps({"userId": str(user_id), "callId": str(call_id)})
    caller = Caller(server, room=room, identity=str(user_id), metadata=metadata, voice=voice)
    async with caller:
        await caller.join(room_metadata=json.dumps({"callId": str(call_id)}))
        await caller.agent_speaking()
        await caller.agent_quiet()
        await _ask(caller, "What is your name?")
        began = time.monotonic()
        await caller.speak("Tell me a story, please.")
        speech = await caller.agent_speech(began)
        await caller.agent_speaking()
        await _ask(caller, "Stop, that is enough for now.")
        # What was heard may be the story's end: who leaves now would cut the answer.
        await Reader(pg).when(room, _is_answered, what="the answer")
        await caller.rejoin()
        await _ask(caller, "Are you still there, my friend?")
        await caller.speak("Thank you, goodbye.")
        rows = await Reader(pg).ended(room, timeout_s=60)
        assert speech.started_at > began

    call = rows.call
    assert (call["id"], call["user_id"], call["status"]) == (call_id, user_id, "completed")
    assert call["end_reason"] == "agent_hangup"
    assert call["room_sid"].startswith("RM_")
    assert call["connected_at"] < call["ended_at"]
    assert call["duration_seconds"] > 10
    agent, first, second = rows.participants
    assert agent["participant_type"] == "agent"
    assert agent["kind"] == "agent"
    for leg in (first, second):
        assert (leg["participant_identity"], leg["user_id"]) == (str(user_id), user_id)
        assert leg["left_at"] is not None
    assert first["left_at"] <= second["joined_at"]
    assert first["participant_sid"] != second["participant_sid"]
    assert first["disconnect_reason"] == "client_initiated"
    _check_messages(rows.messages, str(user_id), call["agent_identity"])
    assert "name" in said(rows, "user")[0].lower()
    assert said(rows, "assistant")[0] == "Hello! How can I help you today?"
    assert said(rows, "assistant")[1] == "My name is Robin. What is yours?"
    assert said(rows, "assistant")[-1] == "Goodbye!"
    _check_tokens(rows)
    _check_transcript(rows)


async def test_a_reused_room_name_is_a_call_of_its_own(
    server: Server, voice: Voice, pg: Connection
) -> None:
    """The second session of a room leaves the first call's row as it is."""
    room = f"again-{uuid4().hex[:8]}"
    sessions = []
    for _ in range(2):
        async with Caller(server, room=room, voice=voice) as caller:
            await caller.join()
            await caller.agent_speaking()
            await server.delete_room(room)
        rows = await Reader(pg).ended(room)
        sessions.append(rows.call)
        await _until_calls(pg, room, len(sessions))
    assert sessions[0]["id"] == sessions[1]["id"]  # read by the plain name both times
    names = await pg.fetch(
        "select session_id, end_reason, status from voice_calls"
        " where starts_with(session_id, $1) order by id",
        room,
    )
    assert len(names) == len(sessions)
    assert names[0]["session_id"] == room
    assert names[1]["session_id"].startswith(f"{room}@RM_")
    assert {row["end_reason"] for row in names} == {"room_closed"}


async def _ask(caller: Caller, text: str) -> None:
    began = time.monotonic()
    utterance = await caller.speak(text)
    assert utterance.done.is_set()
    await caller.agent_speech(began + 0.5)
    await caller.agent_quiet()


def _is_answered(rows: Rows) -> bool:
    *_, question, answer = rows.messages
    roles = question["role"], answer["role"]
    return roles == ("user", "assistant") and "final" not in answer["metadata"]


async def _until_calls(pg: Connection, room: str, count: int) -> None:
    async def ended() -> bool:
        found = await pg.fetchval(
            "select count(*) from voice_calls"
            " where starts_with(session_id, $1) and ended_at is not null",
            room,
        )
        return bool(found == count)

    await until(ended, what=f"{count} ended calls")


def _check_messages(messages: list[Row], caller: str, agent: str) -> None:
    numbers = [message["sequence_number"] for message in messages]
    assert numbers == sorted(set(numbers))
    for message in messages:
        assert message["metadata"].get("final") is not False, message
        if message["role"] == "system":
            continue
        assert message["speech_started_at"] < message["speech_ended_at"], message
        assert message["participant_identity"] == (caller if message["role"] == "user" else agent)
        assert message["model_used"]
    interrupted = [message for message in messages if message["interrupted"]]
    assert len(interrupted) == 1
    assert interrupted[0]["content"].startswith("Once upon a time")
    # What was heard is the beginning of what was generated.
    heard, generated = interrupted[0]["content"].split(), interrupted[0]["generated_content"]
    assert generated.startswith("Once upon a time")
    assert len(heard) < len(generated.split())
    assert generated.split()[: len(heard) - 1] == heard[:-1]  # it may be cut within a word
    assert [each["generated_content"] for each in messages if not each["interrupted"]] == [None] * (
        len(messages) - 1
    )
    for message in messages:
        if message["role"] != "system":
            spoken = message["speech_ended_at"] - message["speech_started_at"]
            assert 0 < message["audio_duration_ms"] <= spoken.total_seconds() * 1000 + 100
    tools = [message["metadata"] for message in messages if message["role"] == "system"]
    assert [tool["name"] for tool in tools] == ["end_call"]
    assert tools[0]["duration_ms"] >= 0


def _check_transcript(rows: Rows) -> None:
    spoken = [row for row in rows.messages if row["role"] != "system"]
    lines = rows.call["transcript"].splitlines()
    assert len(lines) == len(spoken)
    for line, row in zip(lines, spoken, strict=True):
        assert " ".join(row["content"].split()) in line
        assert line.endswith(" (interrupted)") == row["interrupted"]
    assert lines[0].startswith("[00:0")
    assert lines[0].endswith(": Hello! How can I help you today?")


def _check_tokens(rows: Rows) -> None:
    requests = [usage for usage in rows.usage if usage["kind"] == "llm"]
    assert rows.call["total_tokens_used"] == sum(usage["total_tokens"] for usage in requests) > 0
    for message in rows.messages:
        mine = [usage for usage in requests if usage["message_id"] == message["id"]]
        assert message["tokens_used"] == sum(usage["total_tokens"] for usage in mine)
    spoken = {usage["message_id"] for usage in rows.usage if usage["kind"] in ("tts", "stt")}
    assert len(spoken) >= 5
