"""The worker's entrypoint with a timer around the recorder, for a job's process.

Importing it wraps `Recorder.append`; the figures go to the directory BENCH_APPENDS at a call's end:
microseconds of each append, and the wall clock at the first append of each message.
"""

import json
import os
import time
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from livekit.agents import JobContext

from agent.job import entrypoint as plain_entrypoint
from callrecord.events import Event, Message
from callrecord.recording.recorder import Recorder

_took_us: list[float] = []
_cpu_us: list[float] = []
_appended_at: dict[str, float] = {}
_append = Recorder.append
_finish = Recorder.finish


def _timed_append(recorder: Recorder, event: Event) -> None:
    if isinstance(event, Message):
        _appended_at.setdefault(str(event.id), time.time())
    began, cpu = time.perf_counter_ns(), time.thread_time_ns()
    _append(recorder, event)
    _cpu_us.append((time.thread_time_ns() - cpu) / 1000)
    _took_us.append((time.perf_counter_ns() - began) / 1000)


def _finish_and_tell(
    recorder: Recorder, end_reason: str, at: datetime, detail: dict[str, Any]
) -> None:
    _finish(recorder, end_reason, at, detail)
    told = json.dumps({"took_us": _took_us, "cpu_us": _cpu_us, "appended_at": _appended_at})
    Path(os.environ["BENCH_APPENDS"], f"{uuid4().hex}.json").write_text(told)


Recorder.append = _timed_append  # type: ignore[method-assign, assignment]
Recorder.finish = _finish_and_tell  # type: ignore[method-assign, assignment]


async def entrypoint(ctx: JobContext) -> None:
    """Run a job; by its name here, this module is loaded in the job's process."""
    await plain_entrypoint(ctx)
