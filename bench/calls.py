"""Real calls: when a turn's row is visible, and what the recorder costs inside the job."""

import asyncio
import contextlib
import json
import time
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg

from bench import report
from bench.sql import sql
from bench.workers import worker
from callrecord.schema.migrate import migrate
from local.caller import Caller, Server, Voice
from local.places import run_directory
from local.stack import Stack, running

POLL_S = 0.005
ANSWER_S = 40.0
LINE = "Hello! What is the capital of France?"


class Watch:
    """Polls for a room's user rows on a connection of its own.

    Attributes:
        first: When each row was there (wall clock, seconds).
        final: When it had the end of the speech, which LiveKit's commit of the turn brings.
    """

    def __init__(self) -> None:
        self.first: dict[UUID, float] = {}
        self.final: dict[UUID, float] = {}

    async def run(self, url: str, room: str) -> None:
        """Poll until cancelled."""
        connection = await asyncpg.connect(url)
        try:
            turns = await connection.prepare(sql("user_turns"))
            while True:
                for row in await turns.fetch(room):
                    at = time.time()
                    self.first.setdefault(row["id"], at)
                    if row["speech_ended_at"] is not None:
                        self.final.setdefault(row["id"], at)
                await asyncio.sleep(POLL_S)
        finally:
            await connection.close()


async def measure_calls(calls: int) -> list[report.Row]:
    """Hold calls one after the other, one turn each; milliseconds, and microseconds for appends."""
    draft: list[float] = []
    final: list[float] = []
    seen: dict[str, float] = {}
    with run_directory() as directory:
        appends = directory / "appends"
        appends.mkdir()
        async with running() as stack:
            await migrate(stack.database_url)
            env = {"BENCH_APPENDS": str(appends)}
            async with (
                worker("bench.timed_worker", stack, directory, env),
                Voice(base_url=stack.openai_base_url, api_key=stack.openai_api_key) as voice,
            ):
                for _ in range(calls):
                    said_at, watch = await _call(stack, voice)
                    draft += [(at - said_at) * 1000 for at in watch.first.values()]
                    final += [(at - said_at) * 1000 for at in watch.final.values()]
                    seen |= {str(id_): at for id_, at in watch.first.items()}
        took, cpu, appended = await asyncio.to_thread(_told, appends)
    shipped = [(at - appended[id_]) * 1000 for id_, at in seen.items()]
    return [
        {"what": "caller's last word -> its first row visible (ms)", **report.spread(draft)},
        {"what": "caller's last word -> row of the committed turn (ms)", **report.spread(final)},
        {"what": "first append of a turn -> visible (ms)", **report.spread(shipped)},
        {"what": "Recorder.append in the job's process (us)", **report.spread(took)},
        {"what": "of it CPU: without waiting for a core (us)", **report.spread(cpu)},
    ]


def _told(appends: Path) -> tuple[list[float], list[float], dict[str, float]]:
    took: list[float] = []
    cpu: list[float] = []
    appended: dict[str, float] = {}
    for file in appends.glob("*.json"):
        told = json.loads(file.read_bytes())
        took += told["took_us"]
        cpu += told["cpu_us"]
        appended |= told["appended_at"]
    return took, cpu, appended


async def _call(stack: Stack, voice: Voice) -> tuple[float, Watch]:
    """Hold a call of one turn; return when the caller's speech ended (wall clock, seconds)."""
    server = Server(stack.livekit_url, stack.api_key, stack.api_secret)
    room = f"bench-{uuid4().hex[:12]}"
    watch = Watch()
    async with Caller(server, room=room, voice=voice, keep_audio=False) as caller:
        sound = await caller.prepare(LINE)
        watching = asyncio.create_task(watch.run(stack.database_url, room))
        try:
            await caller.join()
            await caller.agent_joined()
            await caller.agent_speaking()
            await caller.agent_quiet()
            utterance = await caller.speak(sound)
            ended = utterance.ended_at or time.monotonic()
            said_at = time.time() - (time.monotonic() - ended)
            await caller.agent_speech(ended, timeout_s=ANSWER_S)
            await caller.agent_quiet()
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching
    return said_at, watch
