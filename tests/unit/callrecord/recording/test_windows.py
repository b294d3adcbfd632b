"""On Windows, which lacks flock and fork, an agent goes on unrecorded, and one line says so."""

import subprocess
import sys

import pytest

import callrecord.outbox.locks
from callrecord import RecordingServer

WINDOWS = """
import os, sys
sys.modules["fcntl"] = None
for name in ("fork", "forkpty", "register_at_fork", "fdatasync"):
    delattr(os, name)
"""
RECORD = """
import asyncio, logging
from livekit.agents import Agent, AgentSession
from callrecord import record
from tests.unit.callrecord.recording.test_record import Job, Reply, session

logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s: %(error)s")

async def main():
    job, talking = Job(), session(Reply("One."))
    recording = record(job.ctx, talking)
    await talking.start(Agent(instructions="Be brief."))
    said = await talking.generate_reply(user_input="Go on.")
    await talking.aclose()
    await job.shut_down("done")
    print(recording.recorder, said.chat_items[-1].text_content)

asyncio.run(main())
"""
COMMANDS = """
from callrecord.operator.main import main
raise SystemExit(main(["ship"]))
"""


def _run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WINDOWS + code],
        env={"DATABASE_URL": "postgresql://a:b@127.0.0.1:1/c"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_record_costs_one_line_and_no_call() -> None:
    done = _run(RECORD)
    assert done.stdout.splitlines() == ["None One."], done.stderr
    why = "Windows lacks the file locks (flock) that recording needs: use WSL"
    assert done.stderr.splitlines() == [f"ERROR call not recorded: {why}"]


def test_a_sidecar_refuses() -> None:
    done = _run(COMMANDS)
    assert done.returncode == 2
    assert "Windows lacks the file locks" in done.stderr
    assert "Traceback" not in done.stderr


async def test_a_recording_server_is_a_plain_agent_server(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(callrecord.outbox.locks, "fcntl", None)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    server = RecordingServer(ws_url="ws://127.0.0.1:1", api_key="key", api_secret="s" * 32)
    with pytest.raises(RuntimeError, match="No RTC session entrypoint"):  # LiveKit's own
        await server.run(unregistered=True)
    assert [record.getMessage() for record in caplog.records] == ["calls are not recorded"]
