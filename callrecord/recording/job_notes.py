"""Accepted jobs: each has a note on the disk, in case the job dies before its first event."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from livekit.agents import AssignmentTimeoutError, JobContext, JobRequest
from livekit.agents.job import JobAcceptArguments

from callrecord.outbox.directory import WorkerDirectory, note_path
from callrecord.recording.metadata import call_header
from callrecord.recording.record import PLACE, Place, recording_of
from callrecord.recording.room.ending import CRASHED

_UNRECORDED = "callrecord.unrecorded"


def not_recorded(ctx: JobContext) -> None:
    """Keep the note of this job, so that it becomes a failed call.

    Call this before anything that may end the job: LiveKit keeps only the first shutdown reason,
    and closing the room sets one too.
    """
    ctx.proc.userdata[_UNRECORDED] = ctx.job.id


class NotedRequest(JobRequest):
    """A request that writes a note when it is accepted."""

    def __init__(
        self, request: JobRequest, directory: WorkerDirectory, notes: asyncio.Lock
    ) -> None:
        """Wrap LiveKit's request.

        Args:
            request: LiveKit's request.
            directory: Where the note is written.
            notes: Held while the note is written, so that the job is not taken for dead.
        """
        super().__init__(
            job=request.job, on_reject=self._reject_as_before, on_accept=self._accept_with_note
        )
        self._request = request
        self._directory = directory
        self._notes = notes

    async def _reject_as_before(self, terminate: bool) -> None:  # noqa: FBT001 - LiveKit's
        await self._request.reject(terminate=terminate)

    async def _accept_with_note(self, arguments: JobAcceptArguments) -> None:
        header = call_header(self.job, self._directory.worker_id, arguments.identity)
        async with self._notes:
            note = await asyncio.to_thread(self._directory.note_accepted, header)
        try:
            await self._request.accept(
                name=arguments.name,
                identity=arguments.identity,
                metadata=arguments.metadata,
                attributes=arguments.attributes,
            )
        except (AssignmentTimeoutError, asyncio.CancelledError):
            # LiveKit gave the job to another worker or withdrew it: the call is not ours.
            self._directory.forget_accepted(note)
            raise


async def at_session_end(
    theirs: Callable[[JobContext], Awaitable[Any]] | None, ctx: JobContext
) -> None:
    """Arrange that the note of a job that ends normally is removed, then call the agent's hook.

    LiveKit calls this at the end of each job. The shutdown callbacks run after it, and only they
    get the reason.
    """
    place = ctx.proc.userdata.get(PLACE)
    if isinstance(place, Place):  # else the server does not record
        _remove_note_at_end(note_path(place.directory, ctx.job.id), ctx)
    if theirs is not None:
        await theirs(ctx)


def _remove_note_at_end(note: Path, ctx: JobContext) -> None:
    async def ended(reason: str) -> None:
        recording = recording_of(ctx)
        unrecorded = ctx.proc.userdata.get(_UNRECORDED) == ctx.job.id or (
            recording is not None and recording.recorder is None
        )
        # The note is the only trace of a job that crashed or could not be recorded.
        if reason != CRASHED and not unrecorded:
            await asyncio.to_thread(note.unlink, missing_ok=True)

    ctx.add_shutdown_callback(ended)
