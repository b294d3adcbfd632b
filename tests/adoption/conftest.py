"""Real rooms for an agent that is not ours, as a process in a directory of its own."""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from local.caller import Server
from local.caller.voice import Voice
from local.places import PROJECT
from local.procs import Child
from local.stack import Stack, running
from tests.e2e.worker import Worker

HERE = Path(__file__).parent
STARTER = HERE / "starter" / "agent.py"

ON_A_BUSY_MACHINE = {"AgentServer(port": "AgentServer(load_threshold=float('inf'), port"}
"""LiveKit's own limit would have the worker refuse calls while other tests run."""

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


@pytest.fixture(scope="session")
async def stack() -> AsyncIterator[Stack]:
    """LiveKit and models; each test brings its own database."""
    async with running(postgres=False, script=HERE / "script.json") as stack:
        yield stack


@pytest.fixture
async def voice(stack: Stack) -> AsyncIterator[Voice]:
    """The callers' voice and ear."""
    async with Voice(base_url=stack.openai_base_url, api_key=stack.openai_api_key) as voice:
        yield voice


@pytest.fixture
def server(stack: Stack, request: pytest.FixtureRequest) -> Server:
    """The LiveKit server, whose rooms ask for this test's own worker by name."""
    name = request.node.name.replace("[", "-").replace("]", "")
    return Server(stack.livekit_url, stack.api_key, stack.api_secret, agent_name=name)


@pytest.fixture(params=["recording-server", "sidecar"])
async def starter(
    request: pytest.FixtureRequest,
    stack: Stack,
    server: Server,
    database_url: str,
    tmp_path: Path,
) -> AsyncIterator[Worker]:
    """The starter's worker, which ships by itself or has `callrecord ship` beside it."""
    name = server.agent_name
    if request.param == "recording-server":
        put_starter(tmp_path, ON_A_BUSY_MACHINE | IN_THE_WORKER)
        async with running_starter(stack, tmp_path, name, database_url) as worker:
            yield worker
        return
    put_starter(tmp_path, ON_A_BUSY_MACHINE)
    async with (
        sidecar(tmp_path, database_url),
        running_starter(stack, tmp_path, name, "") as worker,
    ):
        yield worker


@pytest.fixture
async def realtime_starter(
    stack: Stack, server: Server, database_url: str, tmp_path: Path
) -> AsyncIterator[Worker]:
    """The starter with a realtime model, and a sidecar."""
    put_starter(tmp_path, ON_A_BUSY_MACHINE | REALTIME)
    async with (
        sidecar(tmp_path, database_url),
        running_starter(stack, tmp_path, server.agent_name, "") as worker,
    ):
        yield worker


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
