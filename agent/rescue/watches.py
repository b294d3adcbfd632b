"""The limits and failures that may end a call: silence, its maximum duration, failing models."""

import contextlib
from typing import Any, Protocol

import structlog
from livekit.agents import SpeechCreatedEvent
from livekit.agents.voice import SpeechHandle

from agent.models.pipeline import Session
from agent.rescue.failures import Failure
from agent.rescue.limits import Duration, Silence
from agent.rescue.rescue import Rescue
from agent.settings import Settings
from agent.speech.last_words import LastWords
from agent.speech.phrases import Phrases
from callrecord.recording.recorder import Recorder
from callrecord.recording.room.people import People

logger = structlog.get_logger("voice.watches")

_GO_ON = (
    "The caller lost the connection while you were speaking, and is back now. In a few words, go"
    " on from where you were cut off."
)


class _Call(Protocol):
    @property
    def over(self) -> bool: ...

    def end(self, end_reason: str, **detail: Any) -> None: ...


class Watches:
    """Applies the limits and the rescue to one session, which has not started yet.

    Args:
        providers: The most providers of one model; each gets the full time-out.
    """

    def __init__(  # noqa: PLR0913 - the parts of a call
        self,
        session: Session,
        settings: Settings,
        *,
        recorder: Recorder,
        people: People,
        phrases: Phrases,
        last_words: LastWords,
        call: _Call,
        providers: int,
    ) -> None:
        self._session = session
        self._settings = settings
        self._recorder = recorder
        self._phrases = phrases
        self._last_words = last_words
        self._call = call
        self._deserted = False
        self._cut_short = False
        self._silence = Silence(
            session,
            present=lambda: bool(people.here) and not call.over,
            ask=lambda: phrases.say(session, settings.agent_silence_message),
            end=lambda: self._leave("silence", settings.agent_goodbye_message),
        )
        self._duration = Duration(
            settings.agent_max_duration_s,
            settings.agent_max_duration_warning_s,
            warn=recorder.guard("near the end", self._warn),
            end=recorder.guard("longest duration", self._too_long),
        )
        self._rescue = Rescue(
            session,
            timeout_s=settings.agent_model_timeout_s * providers,
            apologise=self._apologise,
            give_up=self._give_up,
            fixed=phrases.spoken,
            leaving=lambda: phrases.leaving or call.over,
            written_at=lambda: recorder.turns.of_agent.written_at,
        )

    def listen(self) -> None:
        """Listen to the session."""
        created = self._recorder.guard("speech for nobody", self._speech_created)
        self._session.on("speech_created", created)
        self._silence.listen(self._recorder.guard)
        self._rescue.listen(self._recorder.guard)

    def joined(self) -> None:
        """Note that a caller has joined, which resets the silence.

        A caller who left in the middle of a reply and is back hears the rest of it.
        """
        self._silence.broken()
        self._deserted = False
        if self._cut_short and not self._call.over:
            self._cut_short = False
            with contextlib.suppress(RuntimeError):  # the session is about to close
                self._session.generate_reply(instructions=_GO_ON)

    def key_pressed(self) -> None:
        """Note that a caller has pressed a key, which resets the silence as a word does."""
        self._silence.broken()

    def deserted(self) -> None:
        """Interrupt the agent: the last caller has left, and unheard speech is billed too."""
        self._deserted = True
        with contextlib.suppress(RuntimeError):  # the session is not running
            self._cut_short = self._session.current_speech is not None
            self._session.interrupt(force=True)

    def connected(self) -> None:
        """Start the duration, once: caller and agent are both in the room."""
        self._duration.start()

    def stop(self) -> None:
        """Stop: the call is over."""
        self._duration.stop()
        self._rescue.stop()

    def _speech_created(self, event: SpeechCreatedEvent) -> None:
        # It replies to a caller who has just left.
        if self._deserted and not self._call.over:
            event.speech_handle.interrupt(force=True)

    def _apologise(self, failure: Failure) -> SpeechHandle:
        speech = self._phrases.say(self._session, self._settings.agent_fallback_message)
        self._recorder.turns.of_agent.note(speech.id, {"kind": "fallback", "cause": str(failure)})
        return speech

    def _give_up(self, failure: Failure) -> None:
        message = self._settings.agent_error_message
        if self._phrases.needs(self._session, message) != failure.part:
            self._leave("error", message, error=str(failure))
            return
        # The only voice has failed: waiting for it would only mean more silence.
        logger.warning("no voice is left, call ends without a word")
        self._call.end("error", error=str(failure))

    def _warn(self) -> None:
        if not self._call.over and not self._last_words.begun:
            self._phrases.say(self._session, self._settings.agent_max_duration_message)

    def _too_long(self) -> None:
        if not self._last_words.begun:
            # An uninterruptible speech is heard to its end, within the time of the last words.
            with contextlib.suppress(RuntimeError):
                self._session.interrupt()
        self._leave("max_duration", self._settings.agent_goodbye_message)

    def _leave(self, reason: str, message: str, **detail: Any) -> None:
        self._rescue.stop()
        if self._call.over:
            return
        self._last_words.leave(self._session, message, lambda: self._call.end(reason, **detail))
