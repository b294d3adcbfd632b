"""The whole log of a call that has all in it: nobody's words, no number, no secret."""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from openai import AsyncOpenAI

from local.caller import Caller, Role, Server
from local.caller.voice import Voice
from local.demo.rows import Rows
from local.stack import Stack
from tests.postgres.server import Connection
from tests.rooms.personas import copy_agent
from tests.rooms.rows import Reader
from tests.rooms.stack import SCRIPT
from tests.rooms.worker import Worker
from tests.unit.local.ai_control import set_script

pytestmark = pytest.mark.room

NUMBER = "15557654321"
ORDER = "the red bicycle from the harbour"
FAILING_TOOL = '''
    @function_tool()
    async def order_status(self, context: RunContext[None], order: str) -> str:
        """Look up where an order is."""
        raise ValueError(f"there is no order for {order}")
'''
RULE = {
    "match": "bicycle",
    "tool_call": {"name": "order_status", "arguments": {"order": ORDER}},
    "after_tool": "I am afraid I cannot find that order anywhere.",
}
FAULT = {
    "on": "llm",
    "do": "fail",
    "match": "story",
    "when": "first 1",
    "message": f"no answer to a question about {ORDER}",
}
WORDS_IN_A_ROW = 3
BEFORE_THE_CALL = {"received job request", "received assignment"}


@pytest.mark.parametrize(("form", "level"), [("json", "debug"), ("console", "info")])
async def test_the_log_of_a_whole_call(  # noqa: PLR0913, PLR0917 - the fixtures of a whole stack
    stack: Stack,
    server: Server,
    voice: Voice,
    tmp_path: Path,
    database_url: str,
    pg: Connection,
    form: str,
    level: str,
) -> None:
    """Speech, an interruption, a tool and a model that quote the caller, a caller by phone."""
    room = f"call-_+{NUMBER}_{uuid4().hex[:6]}x"
    worker = _worker(stack, server, tmp_path, database_url, form, level)
    await worker.start()
    script = json.loads(SCRIPT.read_text())
    models = AsyncOpenAI(base_url=stack.openai_base_url, api_key=stack.openai_api_key)
    try:
        await set_script(models, _with_trouble(script))
        rows = await _call(server, voice, Reader(pg), room)
    finally:
        await set_script(models, script)
        await models.close()
        await worker.stop()
    log = worker.log.read_text()
    _check_private(log, rows)
    for secret in _secrets(stack, database_url):
        assert secret not in log
    job_id, call_id = str(rows.call["job_id"]), str(rows.call["id"])
    if form == "json":
        _check_json(log, room, job_id, call_id)
    else:
        _check_console(log, job_id, call_id)


def _worker(  # noqa: PLR0913, PLR0917 - what a worker is made of
    stack: Stack, server: Server, directory: Path, database_url: str, form: str, level: str
) -> Worker:
    copy_agent(directory, FAILING_TOOL)
    settings = {"AGENT_LOG_FORMAT": form, "LIVEKIT_LOG_LEVEL": level}
    return Worker(stack, directory, database_url, name=server.agent_name, **settings)


def _with_trouble(script: dict[str, Any]) -> dict[str, Any]:
    return script | {"rules": [RULE, *script["rules"]], "faults": [FAULT]}


async def _call(server: Server, voice: Voice, reader: Reader, room: str) -> Rows:
    caller = Caller(
        server,
        room=room,
        identity=f"sip_+{NUMBER}",
        name=f"Phone +{NUMBER}",
        attributes={"sip.phoneNumber": f"+{NUMBER}", "sip.trunkPhoneNumber": "+4930987654"},
        role=Role(kind="sip"),
        voice=voice,
    )
    async with caller:
        await caller.join()
        await caller.agent_speaking()
        await caller.agent_quiet()
        await caller.speak("What is your name?")
        await caller.agent_speaking()
        await caller.agent_quiet()
        await caller.type("Tell me a story, please.")
        await caller.agent_speaking()
        await caller.type("Where is my bicycle, the red one?")
        await reader.when(room, lambda rows: any("afraid" in str(m) for m in rows.messages))
        await caller.agent_quiet()
        await caller.type("Thank you, goodbye.")
        return await reader.ended(room, timeout_s=60)


def _check_private(log: str, rows: Rows) -> None:
    said = [str(message["content"]) for message in rows.messages]
    assert any("Traceback" in line for line in log.splitlines()), "the tool's error is told"
    assert "ValueError" in log
    assert re.search(r"APIStatusError.*status_code\W+500", log), "and the model's"
    spoken = [text for text in [*said, ORDER] if text]
    assert len(spoken) > 8
    logged = " ".join(_words(log))
    for text in spoken:
        words = _words(text)
        for at in range(len(words) - WORDS_IN_A_ROW + 1):
            phrase = " ".join(words[at : at + WORDS_IN_A_ROW])
            assert phrase not in logged, phrase
    assert NUMBER not in log
    assert "4930987654" not in log


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())


def _secrets(stack: Stack, database_url: str) -> list[str]:
    return [stack.api_secret, database_url, str(urlsplit(database_url).password), "eyJ"]


def _check_json(log: str, room: str, job_id: str, call_id: str) -> None:
    lines: list[dict[str, Any]] = [json.loads(line) for line in log.splitlines()]
    for line in lines:
        assert {"message", "level", "timestamp", "logger"} <= line.keys(), line
    of_call = [line for line in lines if "job_id" in line]
    assert len(of_call) > 10
    masked = room.replace(f"+{NUMBER}", "+***21")
    for line in of_call:
        assert (line["job_id"], line["room"]) == (job_id, masked), line
        if line["message"] not in BEFORE_THE_CALL:
            assert line.get("call_id") == call_id, line
    (ended,) = (line for line in lines if line["message"] == "call ended")
    assert (ended["logger"], ended["end_reason"]) == ("voice.call", "agent_hangup")


def _check_console(log: str, job_id: str, call_id: str) -> None:
    assert "\x1b[" not in log, "no colours where nobody sees them"
    (ended,) = (line for line in log.splitlines() if "call ended" in line)
    assert re.match(r"\d\d:\d\d:\d\d \[info *\] call ended ", ended), ended
    assert f"job={job_id[-6:]}" in ended
    assert f"call={call_id[-6:]}" in ended
