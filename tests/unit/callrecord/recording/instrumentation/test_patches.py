"""The hooks are invisible: to whoever is not recorded, and once they are taken out."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from livekit.agents import AgentSession, JobContext, llm, stt, tts
from livekit.agents.ipc import job_proc_lazy_main
from livekit.agents.voice import agent_activity
from livekit.api.room_service import RoomService

from callrecord import uninstall
from callrecord.recording.instrumentation import hang_ups, turn_ends
from callrecord.recording.instrumentation import install as hook
from callrecord.recording.usage.meter import Meter

CLASSES = (
    llm.LLMStream,
    llm.RealtimeSession,
    tts.ChunkedStream,
    tts.SynthesizeStream,
    stt.RecognizeStream,
)
PLACES = (
    *CLASSES,
    stt.STT,
    agent_activity,
    agent_activity.AgentActivity,
    AgentSession,
    JobContext,
    RoomService,
    job_proc_lazy_main._JobProc,
)


@pytest.fixture(autouse=True)
def without_hooks() -> Iterator[None]:
    uninstall()
    yield
    uninstall()


def install() -> None:
    """Patch all that `record` patches."""
    hook.install()
    hang_ups.install()
    turn_ends.install()


def stand() -> dict[Any, dict[str, Any]]:
    """Return all that LiveKit's classes hold, and its module."""
    return {place: dict(vars(place)) for place in PLACES}


def test_livekit_is_as_before_once_they_are_taken_out() -> None:
    before = stand()
    install()
    hooked = stand()
    assert [place for place in PLACES if hooked[place] == before[place]] == []
    install()
    assert stand() == hooked
    uninstall()
    assert stand() == before
    uninstall()
    assert stand() == before


def test_two_first_jobs_that_are_threads_hook_once() -> None:
    before, ready = stand(), threading.Barrier(8)

    def first_job() -> None:
        ready.wait()
        install()

    with ThreadPoolExecutor(8) as jobs:
        for job in [jobs.submit(first_job) for _ in range(8)]:
            job.result()
    uninstall()
    assert stand() == before


def made(base: type[Any]) -> str:
    """Make an object of a class as a plugin that gives it nothing; return what comes of it."""
    plain = {name: lambda *_, **__: None for name in base.__abstractmethods__}
    try:
        type("Plugin", (base,), plain)(*[object()] if base is llm.RealtimeSession else [])
    except Exception as error:  # noqa: BLE001 - LiveKit's own answer is what is compared
        return f"{type(error).__name__}: {error}"
    return "made"


async def in_a_loop(base: type[Any]) -> str:
    return made(base)


async def in_a_recorded_job(base: type[Any]) -> str:
    booked: list[Any] = []
    Meter(booked.append).listen()
    return made(base)


def outcomes(base: type[Any]) -> list[str]:
    ways: tuple[Callable[[], str], ...] = (
        lambda: made(base),
        lambda: asyncio.run(in_a_loop(base)),
        lambda: asyncio.run(in_a_recorded_job(base)),
    )
    found = [way() for way in ways]
    with ThreadPoolExecutor(1) as thread:
        found += [thread.submit(way).result() for way in ways]
    return found


@pytest.mark.parametrize("base", CLASSES, ids=lambda base: base.__name__)
def test_an_object_is_made_as_without_them(base: type[Any]) -> None:
    """With and without a loop or a meter, here and in a thread."""
    before = outcomes(base)
    install()
    assert outcomes(base) == before
