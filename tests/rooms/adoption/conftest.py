"""Real rooms for an agent that is not ours, as a process in a directory of its own."""

import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import openai
import pytest
from livekit import api

from local.caller import Caller, Server
from local.caller.voice import Voice
from local.places import PROJECT
from local.procs import Child
from local.stack import Stack
from tests.postgres.server import Connection, database
from tests.rooms.stack import SCRIPT
from tests.rooms.worker import Worker
from tests.unit.local.ai_control import set_script

HERE = Path(__file__).parent
STARTER = HERE / "starter" / "agent.py"
VARIANTS = HERE / "variants" / "agent.py"

ON_A_BUSY_MACHINE = {
    "AgentServer(port": "AgentServer(load_fnc=lambda _: 0.0, load_threshold=float('inf'), port"
}
"""LiveKit asks no worker for a call whose processor other tests keep busy."""

IN_THE_WORKER = {
    "from callrecord import record ": "from callrecord import RecordingServer, record ",
    "server = AgentServer(": "server = RecordingServer(",
    "    AgentServer,\n": "",
}
"""The change of one class name, after which the worker ships by itself."""

REALTIME = {
    "stt=openai.STT()": 'turn_detection="realtime_llm"',
    'llm=openai.LLM(model="gpt-4.1-mini")': (
        'llm=openai.realtime.RealtimeModel(base_url=os.environ["OPENAI_BASE_URL"] + "/realtime")'
    ),
    '        turn_detection="vad",\n': "",
}
"""A realtime model in place of the three; the TTS stays for the greeting."""


CRASH = {
    "    await ctx.connect()\n": (
        "    await ctx.connect()\n"
        "    if ctx.room.name.startswith('crash'):\n"
        "        await ctx.wait_for_participant()\n"
        "        raise RuntimeError('after the session has started')\n"
    )
}
"""In some rooms the entrypoint fails while its session talks."""

ORDER = "I would like to order two large pizzas, and please bring them to the house on the corner."
SAID = (
    ORDER,
    "What is your name?",
    "How is the weather?",
    "Tell me a story, please.",
    "Thank you, goodbye.",
)


@dataclass(frozen=True)
class Starter:
    """A worker with the starter's agent, and what is needed to call it and to look at it.

    Attributes:
        pg: Of the database that its calls go to; which other calls go to as well.
    """

    worker: Worker
    server: Server
    voice: Voice
    pg: Connection

    @asynccontextmanager
    async def joined(self, room: str, *, open_s: int = 1) -> AsyncIterator[Caller]:
        """Somebody who has joined, in a room that stays open for so long after he has left."""
        options = api.CreateRoomRequest(
            name=room,
            departure_timeout=open_s,
            agents=[api.RoomAgentDispatch(agent_name=self.server.agent_name)],
        )
        server = self.server
        async with api.LiveKitAPI(server.url, server.api_key, server.api_secret) as client:
            await client.room.create_room(options)
        async with Caller(server, room=room, voice=self.voice) as caller:
            await caller.join(create=False)
            yield caller

    @asynccontextmanager
    async def greeted(self, room: str) -> AsyncIterator[Caller]:
        """Somebody who has joined and was greeted."""
        async with self.joined(room) as caller:
            await caller.agent_speech(0.0, timeout_s=60)  # it may be over already
            await caller.agent_quiet()
            yield caller


@pytest.fixture(scope="module")
async def voice(stack: Stack) -> AsyncIterator[Voice]:
    """The callers' voice, which has said all it will say; until the end speech is a short tone.

    As long the models follow the script of these tests.
    """
    script = json.loads((HERE / "script.json").read_text())
    client = openai.AsyncOpenAI(base_url=stack.openai_base_url, api_key=stack.openai_api_key)
    async with Voice(base_url=stack.openai_base_url, api_key=stack.openai_api_key) as voice, client:
        for text in SAID:
            await voice.speak(text)
        await set_script(client, script | {"tts": "tone"})
        try:
            yield voice
        finally:
            await set_script(client, json.loads(SCRIPT.read_text()))


@pytest.fixture(scope="module")
async def adopted(postgres_server: str, migrated_template: str) -> AsyncIterator[str]:
    """URL of one database for all calls."""
    async with database(postgres_server, template=migrated_template) as url:
        yield url


@pytest.fixture(scope="module", params=["recording-server", "sidecar"])
async def starter(
    request: pytest.FixtureRequest,
    stack: Stack,
    voice: Voice,
    adopted: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Starter]:
    """The starter's worker, which ships by itself or has `callrecord ship` beside it."""
    place: Path = tmp_path_factory.mktemp(request.param)
    server = Server(stack.livekit_url, stack.api_key, stack.api_secret, agent_name=request.param)
    changes, url = ON_A_BUSY_MACHINE | CRASH, ""
    shipping: AbstractAsyncContextManager[None] = sidecar(place, adopted)
    if request.param == "recording-server":
        changes, url, shipping = changes | IN_THE_WORKER, adopted, nullcontext()
    put_starter(place, changes)
    async with shipping, running_starter(stack, place, request.param, url) as worker:
        pg = await asyncpg.connect(adopted)
        try:
            yield Starter(worker, server, voice, pg)
        finally:
            await pg.close()


@pytest.fixture
async def realtime_starter(
    stack: Stack, voice: Voice, database_url: str, pg: Connection, tmp_path: Path
) -> AsyncIterator[Starter]:
    """The starter with a realtime model, and a sidecar."""
    name = "realtime"
    server = Server(stack.livekit_url, stack.api_key, stack.api_secret, agent_name=name)
    put_starter(tmp_path, ON_A_BUSY_MACHINE | REALTIME)
    async with (
        sidecar(tmp_path, database_url),
        running_starter(stack, tmp_path, name, "") as worker,
    ):
        yield Starter(worker, server, voice, pg)


def put_starter(directory: Path, changes: dict[str, str]) -> None:
    """Write the starter's agent.py there, with these texts exchanged."""
    code = STARTER.read_text()
    for before, after in changes.items():
        assert before in code
        code = code.replace(before, after)
    (directory / "agent.py").write_text(code)


@asynccontextmanager
async def running_starter(
    stack: Stack, directory: Path, name: str, database_url: str
) -> AsyncIterator[Worker]:
    """Run the agent.py of a directory, registered under a name."""
    (directory / "db.py").write_text("raise RuntimeError('a module of the agent's own')\n")
    worker = Worker(
        stack,
        directory,
        database_url,
        name="",
        command=["agent.py"],
        LIVEKIT_AGENT_NAME=name,
        PORT="0",
    )
    await worker.start()
    try:
        yield worker
    finally:
        await worker.stop()


@asynccontextmanager
async def sidecar(directory: Path, database_url: str) -> AsyncIterator[None]:
    """Ship the outbox of that directory's worker; at the end all of it."""
    env = {key: os.environ[key] for key in os.environ if not key.startswith("AGENT_")}
    env |= {
        "PYTHONPATH": str(PROJECT),
        "DATABASE_URL": database_url,
        "AGENT_OUTBOX_DIR": str(directory / "outbox"),
    }
    command = [sys.executable, "-m", "callrecord", "ship"]
    log = directory / "sidecar.log"
    child = Child("sidecar", command, log=log, cwd=directory, env=env, grace_s=30)
    await child.start()
    try:
        yield
    finally:
        await child.stop()
    assert await child.wait() == 0, child.tail()
