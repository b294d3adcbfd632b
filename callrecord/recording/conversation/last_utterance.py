"""The last utterance: what a caller has said without a transcript when the call ends.

When a session closes, LiveKit processes its remaining audio, but waits only two seconds for one
transcript. With a realtime model it does not wait at all.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from livekit.agents import (
    AgentSession,
    ConversationItemAddedEvent,
    MetricsCollectedEvent,
    UserInputTranscribedEvent,
    UserStateChangedEvent,
)
from livekit.agents.metrics import STTMetrics
from livekit.agents.stt import StreamAdapter

from callrecord.privacy import private_logger
from callrecord.recording.conversation.discarded_audio import Cause, DiscardedAudio
from callrecord.recording.current_models import CurrentModels
from callrecord.recording.guard import Guard

logger = private_logger("voice.recorder")

WAIT_S: Final = 5.0
"""How many seconds the end of a session waits for transcripts, if any is pending."""
FORGOTTEN_S: Final = 10.0
"""Seconds after which no transcript is expected any more: a cough, for example, has none."""
_LIVEKITS_PAUSE_S: Final = 0.6
"""LiveKit counts a transcript of the last half second as that of the last words."""

_SILENCE_S: Final = 0.5
"""About how long a silence ends speech; it is part of the speech's duration."""
_DISCARDED: Final = 0.8
"""The share of discarded audio above which no transcript is expected."""


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a caller's speech.

    Attributes:
        began: When it began, in seconds since 1970.
        ended: When it ended, in seconds since 1970.
        ended_at: When it ended, by the monotonic clock.
        speaker: Identity of the participant that was listened to as it began; None if not known.
        discarded_s: Seconds of it that LiveKit withheld from speech to text.
        cause: Why LiveKit withheld them.
    """

    began: float
    ended: float
    ended_at: float
    speaker: str | None
    discarded_s: float = 0.0
    cause: Cause | None = None


class LastUtterance:
    """Tracks which parts of the speech in one session have no transcript yet.

    Attributes:
        cut: Whether the caller left, or the call ended, while the caller was speaking.
        transcribed: The parts of the last final transcript, as far as they are known.
    """

    def __init__(
        self,
        listened_to: Callable[[], str | None] = lambda: None,
        missed: Callable[[Part], None] = lambda _: None,
    ) -> None:
        """Start without a session.

        Args:
            listened_to: Returns the identity of the participant that the session listens to.
            missed: Gets each part without a transcript because LiveKit discarded its audio.
        """
        self.cut = False
        self._missed = missed
        self._discarded = DiscardedAudio()
        self.transcribed: list[Part] = []
        self._listened_to = listened_to
        self._began: tuple[float, str | None] | None = None
        self._deadline: float | None = None
        self._session: AgentSession[Any] | None = None
        self._models = CurrentModels()
        self._own_wait_s = 0.0
        self._parts: deque[Part] = deque()
        self._interim = False
        self._transcribed_at = self._final_at = 0.0
        self._changed = asyncio.Event()
        self._forgetting: asyncio.TimerHandle | None = None

    def follow(self, session: AgentSession[Any], guard: Guard) -> None:
        """Listen to a session, with handlers made safe by `guard`. Call this before it starts."""
        self._session = session
        self._models.follow(session)
        self._discarded.follow(session, guard)
        self._own_wait_s = session.options.session_close_transcript_timeout
        self._look_again = guard("last utterance", self._update)
        session.on("user_state_changed", guard("last utterance", self._state_changed))
        session.on("user_input_transcribed", guard("last utterance", self._transcribed))
        session.on("metrics_collected", guard("last utterance", self._metered))
        session.on("conversation_item_added", guard("last utterance", self._item_added))

    @property
    def pending(self) -> bool:
        """Whether speech is still waiting for its transcript."""
        return self._hears() and (self._speaks() or self._interim or bool(self._expected()))

    def end(self) -> None:
        """Note that the caller has left or the call is over, perhaps in the middle of speech."""
        self.cut = self.cut or (self._hears() and self._speaks())

    def close(self) -> None:
        """Give up the parts without a transcript: the call is over."""
        while self._parts:
            self._without_words(self._parts.popleft())

    def resume(self) -> None:
        """Note that the caller is back and may go on speaking."""
        self.cut = False

    async def heard_out(self) -> None:
        """Wait for pending transcripts, WAIT_S at most. Call this before closing a session.

        LiveKit's own close does not wait long enough with a realtime model, or while an earlier
        part of the speech has no transcript either.
        """
        session = self._session
        if session is None or not self.pending:
            return
        self.end()
        self._deadline = time.monotonic() + WAIT_S
        by_realtime, speaks = self._models.now().stt is None, self._speaks()
        # Speech after this point is ignored; the speech so far becomes a part.
        session.input.set_audio_enabled(False)
        if by_realtime and speaks:
            session.commit_user_turn(skip_reply=True)
        # LiveKit waits for the last part itself, but would mistake an earlier transcript for it.
        wait = self._until_transcribed(0 if by_realtime else 1)
        try:
            await asyncio.wait_for(wait, WAIT_S)
        except TimeoutError:
            logger.warning("last utterance not transcribed in time")
        self._update()

    async def _until_transcribed(self, parts_left: int) -> None:
        while len(self._expected()) > parts_left:
            await self._next_change()
        if parts_left:
            await asyncio.sleep(
                max(0.0, self._transcribed_at + _LIVEKITS_PAUSE_S - time.monotonic())
            )

    async def _next_change(self) -> None:
        self._changed.clear()
        with contextlib.suppress(TimeoutError):  # parts also expire without an event
            await asyncio.wait_for(self._changed.wait(), 0.5)

    # Events of the session

    def _state_changed(self, event: UserStateChangedEvent) -> None:
        if event.new_state == "speaking":
            self._began = event.created_at, self._listened_to()
        elif event.old_state == "speaking":
            began, speaker = self._began or (event.created_at, self._listened_to())
            self._began = None
            self._spoken(began, event.created_at, speaker)
        self._update()

    def _spoken(self, began: float, ended: float, speaker: str | None) -> None:
        last_word = max(began, ended - _SILENCE_S)
        discarded_s, cause = self._discarded.within(began, last_word)
        if self._final_at >= began:  # a transcript came during the speech: its words were heard
            cause = None
        part = Part(began, ended, time.monotonic(), speaker, discarded_s, cause)
        if cause is not None and discarded_s >= _DISCARDED * (last_word - began):
            self._missed(part)
        else:
            self._parts.append(part)

    def _transcribed(self, event: UserInputTranscribedEvent) -> None:
        if event.is_final:
            self._interim = False
            self._transcribed_at, self._final_at = time.monotonic(), time.time()
            self._match_parts()
        elif event.transcript.strip():
            self._interim = True
        self._update()

    def _metered(self, event: MetricsCollectedEvent) -> None:
        if isinstance(event.metrics, STTMetrics) and not event.metrics.streamed:
            # Its transcript comes next. If no words were found, nothing comes.
            part = self._parts[0] if self._parts else None
            later = asyncio.get_running_loop().call_later
            later(self._own_wait_s, self._forget, part)

    def _item_added(self, event: ConversationItemAddedEvent) -> None:
        item = event.item
        if item.type == "message" and item.role == "user" and item.transcript_confidence is None:
            # It was typed: the caller counts as speaking while LiveKit processes it.
            if self._parts:
                self._parts.pop()
            self._update()

    # Inside

    def _match_parts(self) -> None:
        model = self._models.now().stt
        streams = model is not None and model.capabilities.streaming
        while self._parts and self._parts[0].ended_at < time.monotonic() - FORGOTTEN_S:
            self._without_words(self._parts.popleft())  # a cough, for example
        self.transcribed = [self._parts.popleft()] if self._parts else []
        if self.transcribed and streams and not isinstance(model, StreamAdapter):
            # A stream does not transcribe part by part, but a transcript has only one speaker.
            while self._parts and self._parts[0].speaker == self.transcribed[0].speaker:
                self.transcribed.append(self._parts.popleft())

    def speaker(self) -> str | None:
        """Return the speaker of the last final transcript."""
        if self.transcribed:
            return self.transcribed[0].speaker
        # The transcript came before the end of the speech, or no speech was noticed.
        return self._began[1] if self._began is not None else self._listened_to()

    def _forget(self, part: Part | None) -> None:
        if self._parts and self._parts[0] == part:
            self._without_words(self._parts.popleft())
            self._update()

    def _without_words(self, part: Part) -> None:
        if part.cause is not None:
            self._missed(part)

    def _expected(self) -> list[Part]:
        since = time.monotonic() - FORGOTTEN_S
        return [part for part in self._parts if part.ended_at > since]

    def _speaks(self) -> bool:
        return self._session is not None and self._session.user_state == "speaking"

    def _hears(self) -> bool:
        """Whether a model transcribes the caller."""
        if self._session is None:
            return False
        models = self._models.now()
        realtime = models.realtime
        return models.stt is not None or (
            realtime is not None and realtime.capabilities.user_transcription
        )

    def _update(self) -> None:
        """Make LiveKit's close wait while a transcript is pending."""
        self._changed.set()
        if self._session is None:
            return
        pending, options = self.pending, self._session.options
        # If our wait has started, LiveKit waits for the rest of it: both share one deadline.
        left_s = WAIT_S if self._deadline is None else self._deadline - time.monotonic()
        options.session_close_transcript_timeout = (
            max(left_s, self._own_wait_s) if pending else self._own_wait_s
        )
        if self._forgetting is not None:
            self._forgetting.cancel()
            self._forgetting = None
        if pending and not self._speaks():
            later = asyncio.get_running_loop().call_later
            self._forgetting = later(FORGOTTEN_S, self._look_again)
