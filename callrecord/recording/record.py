"""`record(ctx, session)`: the one line that records your own agent."""

import asyncio
import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

from livekit import rtc
from livekit.agents import AgentSession, AgentStateChangedEvent, CloseEvent, JobContext

from callrecord.errors import Stop, VoiceError
from callrecord.events import CallStarted, now
from callrecord.outbox.directory import OutboxHome
from callrecord.outbox.writer import OutboxWriter
from callrecord.privacy import private_logger
from callrecord.recording.conversation.last_utterance import LastUtterance
from callrecord.recording.instrumentation import hang_ups
from callrecord.recording.metadata import call_header
from callrecord.recording.recorder import Recorder
from callrecord.recording.room.ending import DRAINED, End, Ending, cut_reason
from callrecord.recording.room.participants import is_phone
from callrecord.recording.room.people import Leave, People
from callrecord.recording.settings import RecordSettings
from callrecord.recording.telemetry import telemetry_of
from callrecord.shipping.settings import outbox_dir

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


class Observer(Protocol):
    """Is notified of what happens in the room, after the recording has processed it."""

    def person_joined(self) -> None:
        """A person has joined, or a phone was answered."""

    def person_left(self, leave: Leave) -> None:
        """A person has left, or a phone stopped ringing unanswered."""

    def disconnected(self) -> None:
        """The agent has left the room."""


class Recording:
    """The recording of a job's call, from its first event to its last.

    Attributes:
        key: Id of the call's row, unless a front end made the row before; None if the call is not
            recorded.
        recorder: None if the call is not recorded.
        people: Who is in the room.
        ending: How the call ends; the agent's own code may set it.
    """

    def __init__(self, ctx: JobContext, observer: Observer | None = None) -> None:
        """Make the recording, not started yet; `observer` need not be guarded."""
        self.key: UUID | None = None
        self.recorder: Recorder | None = None
        self.people = People()
        self.ending = Ending(self.people)
        self._ctx = ctx
        self._observer = observer
        self._sessions: list[AgentSession[Any]] = []
        self._talking: set[AgentSession[Any]] = set()
        self._silent = asyncio.Event()
        self._finishing = asyncio.Lock()

    def of(self, ctx: JobContext) -> bool:
        """Whether this is the recording of that job."""
        return self._ctx is ctx

    def start(self, settings: RecordSettings | None = None) -> CallStarted:
        """Make the call's outbox file and record the room until the end of the job.

        Args:
            settings: Used instead of the environment's settings.

        Returns:
            The first event.

        Raises:
            OSError: The file can't be made.
            VoiceError: The outbox can't be used.
        """
        self._ctx.proc.userdata[_RECORDING] = self
        settings = settings or _settings()
        header, writer = _open(self._ctx)
        self.recorder = recorder = Recorder(
            writer, drain_s=settings.drain_s, mask_keys=settings.mask_keys
        )
        recorder.telemetry = telemetry_of(header)
        self.key = header.key
        hang_ups.listen(self._ctx, recorder.guard("hang-up", self.ending.hung_up))
        self._ctx.add_shutdown_callback(self.finish)
        if not self._ctx.is_fake_job():  # the console's room and its people are not real
            self._follow_room(recorder)
        return header

    def follow(self, session: AgentSession[Any]) -> LastUtterance | None:
        """Record a session; the same one twice is recorded once.

        Returns:
            What its caller has said without a transcript yet; None if the session is recorded
            already or the call is not recorded.
        """
        if self.recorder is None or session in self._sessions:
            return None
        self._sessions.append(session)
        guard = self.recorder.guard

        def state_changed(event: AgentStateChangedEvent) -> None:
            if event.new_state == "listening" and session not in self._talking:
                self._talking.add(session)
                self._silent.clear()
                hang_ups.started(session)
                self.ending.session_started()
                self.entered()

        def closed(event: CloseEvent) -> None:
            self._talking.discard(session)
            self.ending.session_closed(
                event,
                by_agent=hang_ups.closed_by_agent(session),
                others_talk=bool(self._talking),
            )
            if not self._talking:
                self._silent.set()

        session.on("agent_state_changed", guard("session started", state_changed))
        session.on("close", guard("session closed", closed))
        return self.recorder.attach_session(session)

    def entered(self) -> None:
        """Record who is in the room: for those who joined before us an event is late or missing."""
        room = self._ctx.room
        if self.recorder is None or not room.isconnected():
            return
        self.recorder.entered(room.local_participant.identity)
        if not self._ctx.is_fake_job():
            self.recorder.look(room)
        for participant in list(room.remote_participants.values()):
            self._joined(participant)

    async def finish(self, shutdown_reason: str = DRAINED) -> None:
        """Record the end, once; LiveKit calls this after it closed the session and left the room.

        Args:
            shutdown_reason: LiveKit's reason for the shutdown of the job.
        """
        async with self._finishing:
            if self.recorder is None or self.recorder.finished:
                return
            try:
                await self.decide(shutdown_reason)
                # LiveKit closes a session that is not the job's first while this runs.
                if not all(map(hang_ups.has_closed, self._talking)):
                    await asyncio.wait_for(self._silent.wait(), CLOSE_TIMEOUT_S)
                await self.recorder.settle()
            except TimeoutError:
                logger.warning("session not closed in time, its last words may be missing")
            finally:  # also when another shutdown callback fails and this one is cancelled
                self._record_end(self.recorder, shutdown_reason)
                hang_ups.forget(self._ctx)
            await self.recorder.flush_telemetry()

    async def decide(self, shutdown_reason: str = DRAINED) -> End:
        """Decide for good how the call ended; ask LiveKit where the job cannot know."""
        if self.ending.said is None and self._ctx.is_fake_job():  # the user has left the console
            self.ending.say(End("caller_hangup", now()))
        if self.ending.said is None:
            cut = self.ending.is_cut(shutdown_reason)
            why = await cut_reason(self._ctx) if cut else "drained"
            self.ending.say(self.ending.end(shutdown_reason, why))
        return self.ending.end(shutdown_reason)

    def _follow_room(self, recorder: Recorder) -> None:
        room, guard = self._ctx.room, recorder.guard
        recorder.attach_room(room)
        room.on("participant_connected", guard("caller joined", self._joined))
        # A phone counts as a person once it is answered.
        answered = guard("phone answered", lambda _changed, who: self._changed(who))
        room.on("participant_attributes_changed", answered)
        room.on("participant_disconnected", guard("caller left", self._left))
        room.on("disconnected", guard("disconnected", self._disconnected))
        room.on("connection_state_changed", guard("connected", lambda _: self.entered()))
        guard("already connected", self.entered)()

    def _changed(self, participant: rtc.Participant) -> None:
        if isinstance(participant, rtc.RemoteParticipant) and is_phone(participant):
            self._joined(participant)

    def _joined(self, participant: rtc.RemoteParticipant) -> None:
        is_new = self.people.joined(participant)
        if self.recorder is None:
            return
        if self.people.here and self._ctx.room.isconnected():
            self.recorder.connected(now())
        if is_new and self._observer is not None:
            self._observer.person_joined()

    def _left(self, participant: rtc.RemoteParticipant) -> None:
        if self.ending.is_disconnected:
            return
        leave = self.people.left(participant)
        if leave is not None and self._observer is not None:
            self._observer.person_left(leave)

    def _disconnected(self, reason: rtc.DisconnectReason.ValueType) -> None:
        self.ending.disconnected(reason)
        if self._observer is not None:
            self._observer.disconnected()

    def _record_end(self, recorder: Recorder, shutdown_reason: str) -> None:
        try:
            end = self.ending.end(shutdown_reason)
            recorder.finish(end.reason, end.at, end.detail)
        except Exception:
            logger.exception("end of the call not recorded")


def _settings() -> RecordSettings:
    try:
        return RecordSettings.of(os.environ)
    except Stop as error:  # a setting is no reason to lose a call
        logger.error("setting ignored", extra={"error": str(error)})  # noqa: TRY400 - one line
        return RecordSettings()


def record(ctx: JobContext, session: AgentSession[Any]) -> Recording:
    """Record the job's call: who is there, what is said, what it costs, how it ends.

    Call this in the entrypoint, before `session.start(...)`. It never raises: if the call can't be
    recorded, one line in the log says why and the call goes on. It changes one thing about the
    call: the close of a session waits for up to five seconds, instead of two, while something that
    the caller said has no transcript yet. Call it again for a further session, to record that
    session as part of the same call.
    """
    known = recording_of(ctx)
    recording = Recording(ctx) if known is None else known
    try:
        if recording is not known:
            recording.start()
        recording.follow(session)
    except (OSError, VoiceError) as error:
        logger.error("call not recorded", extra={"error": str(error)})  # noqa: TRY400 - one line
    except Exception:
        logger.exception("call not recorded")
    return recording


def recording_of(ctx: JobContext) -> Recording | None:
    """Return the recording of this job, if one was started or tried."""
    known = ctx.proc.userdata.get(_RECORDING)
    return known if isinstance(known, Recording) and known.of(ctx) else None


def _open(ctx: JobContext) -> tuple[CallStarted, OutboxWriter]:
    place = ctx.proc.userdata.get(PLACE)
    if isinstance(place, Place):
        return _open_in(ctx, place)
    # There is no RecordingServer: another worker or command ships this directory later.
    home = OutboxHome(outbox_dir(os.environ))
    for _ in range(_TRIES):
        directory = home.for_one_job()
        with contextlib.suppress(FileNotFoundError):  # a shipper has just removed it, as empty
            return _open_in(ctx, Place(directory, UUID(directory.name)))
    raise FileNotFoundError(f"no directory stays in {home.root}")


def _open_in(ctx: JobContext, place: Place) -> tuple[CallStarted, OutboxWriter]:
    header = call_header(ctx.job, place.worker_id, ctx.local_participant_identity)
    return header, OutboxWriter(place.directory, header)
