"""`record(ctx, session)`: the one line that has somebody's own agent recorded."""

import asyncio
import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from livekit import rtc
from livekit.agents import AgentSession, AgentStateChangedEvent, CloseEvent, JobContext

from callrecord.errors import VoiceError
from callrecord.events import CallStarted, now
from callrecord.outbox.directory import OutboxHome
from callrecord.outbox.writer import OutboxWriter
from callrecord.privacy import private_logger
from callrecord.recording.instrumentation import hang_ups
from callrecord.recording.metadata import call_header
from callrecord.recording.recorder import Recorder
from callrecord.recording.room.attendance import Attendance
from callrecord.recording.room.cuts import cut_reason
from callrecord.recording.room.participants import is_phone
from callrecord.recording.telemetry import telemetry_of
from callrecord.shipping.settings import masks_keys, outbox_dir

logger = private_logger("voice.record")

PLACE = "callrecord.place"
"""Where a `RecordingServer` leaves its `Place`, in the `userdata` of its jobs' processes."""

CLOSE_TIMEOUT_S = 5.0
_RECORDING = "callrecord.recording"
_TRIES = 3


@dataclass(frozen=True)
class Place:
    """Where a worker's jobs write: its subdirectory of the outbox, and the worker's id."""

    directory: Path
    worker_id: UUID


class Recording:
    """The recording of a job's call.

    Attributes:
        key: Id of the call's row, unless a front end has made the row before; None if the call is
            not recorded.
        recorder: Records; None if the call is not recorded.
    """

    def __init__(self, ctx: JobContext) -> None:
        self.key: UUID | None = None
        self.recorder: Recorder | None = None
        self._ctx = ctx
        self._attendance = Attendance()
        self._sessions: list[AgentSession[Any]] = []
        self._talking: set[AgentSession[Any]] = set()
        self._silent = asyncio.Event()

    def of(self, ctx: JobContext) -> bool:
        """Whether this is the recording of that job."""
        return self._ctx is ctx

    def begin(self) -> None:
        """Make the call's outbox file and follow the room to the end of the job.

        Raises:
            OSError: The file can't be made.
            VoiceError: The outbox can't be used.
        """
        header, writer = _open(self._ctx)
        hang_ups.install()
        self.recorder = recorder = Recorder(writer, mask_keys=masks_keys(os.environ))
        recorder.telemetry = telemetry_of(header)
        self.key = header.key
        self._ctx.add_shutdown_callback(self._finish)
        if not self._ctx.is_fake_job():  # the console's room and its people are not real
            self._follow_room(recorder)

    def follow(self, session: AgentSession[Any]) -> None:
        """Record a session; the same one twice is recorded once."""
        if self.recorder is None or session in self._sessions:
            return
        self._sessions.append(session)
        guard = self.recorder.guard

        def state_changed(event: AgentStateChangedEvent) -> None:
            if event.new_state == "listening" and session not in self._talking:
                self._talking.add(session)
                self._silent.clear()
                self._attendance.session_started()
                self._entered()

        def closed(event: CloseEvent) -> None:
            self._talking.discard(session)
            self._attendance.session_closed(
                event,
                by_agent=hang_ups.closed_by_agent(session),
                others_talk=bool(self._talking),
            )
            if not self._talking:
                self._silent.set()

        session.on("agent_state_changed", guard("session started", state_changed))
        session.on("close", guard("session closed", closed))
        self.recorder.attach_session(session)

    def _follow_room(self, recorder: Recorder) -> None:
        room, guard = self._ctx.room, recorder.guard
        hang_ups.on_room_deleted(
            self._ctx.job.room.name, guard("hang-up", self._attendance.hung_up)
        )
        recorder.attach_room(room)
        room.on("participant_connected", guard("caller joined", self._joined))
        # A phone is there once it is answered.
        answered = guard("phone answered", lambda _changed, who: self._changed(who))
        room.on("participant_attributes_changed", answered)
        room.on("participant_disconnected", guard("caller left", self._attendance.left))
        room.on("disconnected", guard("disconnected", self._attendance.disconnected))
        room.on("connection_state_changed", guard("connected", lambda _: self._entered()))
        guard("already connected", self._entered)()

    def _entered(self) -> None:
        """Look who is there: those who came before us are told by no event, or by a late one."""
        if self.recorder is None:
            return
        if self._ctx.is_fake_job():
            self.recorder.connected(now())
            return
        room = self._ctx.room
        if not room.isconnected():
            return
        self.recorder.entered(room.local_participant.identity)
        self.recorder.look(room)
        for participant in list(room.remote_participants.values()):
            self._joined(participant)

    def _changed(self, participant: rtc.Participant) -> None:
        if isinstance(participant, rtc.RemoteParticipant) and is_phone(participant):
            self._joined(participant)

    def _joined(self, participant: rtc.RemoteParticipant) -> None:
        self._attendance.joined(participant)
        there = bool(self._attendance.callers) and self._ctx.room.isconnected()
        if self.recorder is not None and there:
            self.recorder.connected(now())

    async def _finish(self, reason: str) -> None:
        """Record the end; LiveKit calls this after the session's end and the room's."""
        cut = "drained"
        try:
            if self._attendance.is_cut(reason):
                cut = await cut_reason(self._ctx)
            # A session that is not the job's first is closed beside this, by LiveKit too.
            if self._talking:
                await asyncio.wait_for(self._silent.wait(), CLOSE_TIMEOUT_S)
            if self.recorder is not None:
                await self.recorder.settle()
        except TimeoutError:
            logger.warning("session not closed in time, its last words may be missing")
        finally:  # also when another shutdown callback has failed and this one is cancelled
            self._end(reason, cut)
            hang_ups.forget_room(self._ctx.job.room.name)
        if self.recorder is not None:
            await self.recorder.flush_telemetry()

    def _end(self, reason: str, cut: str) -> None:
        if self.recorder is None:
            return
        try:
            ending = self._attendance.ending(reason, cut)
            if self._ctx.is_fake_job():  # somebody has left the console
                self.recorder.finish("caller_hangup", now(), {})
            else:
                self.recorder.finish(ending.end_reason, ending.at, ending.detail)
        except Exception:
            logger.exception("end of the call not recorded")


def record(ctx: JobContext, session: AgentSession[Any]) -> Recording:
    """Record the job's call: who is there, what is said, what it costs, how it ends.

    To be called in the entrypoint, before `session.start(...)`. It changes nothing about the call
    and never raises: if the call can't be recorded, one line in the log says why and the call goes
    on. Called again with a further session, that one is recorded as part of the same call.
    """
    known = recording_of(ctx)
    recording = Recording(ctx) if known is None else known
    try:
        if recording is not known:
            ctx.proc.userdata[_RECORDING] = recording
            recording.begin()
        recording.follow(session)
    except (OSError, VoiceError) as error:
        logger.error("call not recorded", extra={"error": str(error)})  # noqa: TRY400 - one line
    except Exception:
        logger.exception("call not recorded")
    return recording


def recording_of(ctx: JobContext) -> Recording | None:
    """Return the recording of this job, if one was begun or tried."""
    known = ctx.proc.userdata.get(_RECORDING)
    return known if isinstance(known, Recording) and known.of(ctx) else None


def _open(ctx: JobContext) -> tuple[CallStarted, OutboxWriter]:
    place = ctx.proc.userdata.get(PLACE)
    if isinstance(place, Place):
        return _open_in(ctx, place)
    # No server of ours: whoever ships this directory ships this call too.
    home = OutboxHome(outbox_dir(os.environ))
    for _ in range(_TRIES):
        directory = home.for_one_job()
        with contextlib.suppress(FileNotFoundError):  # shipped empty and removed just now
            return _open_in(ctx, Place(directory, UUID(directory.name)))
    raise FileNotFoundError(f"no directory stays in {home.root}")


def _open_in(ctx: JobContext, place: Place) -> tuple[CallStarted, OutboxWriter]:
    header = call_header(ctx.job, place.worker_id, ctx.local_participant_identity)
    return header, OutboxWriter(place.directory, header)
