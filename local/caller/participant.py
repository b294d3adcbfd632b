"""A caller: a real participant with a voice and an ear, driven by code."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self, TypeVar

from livekit import rtc

from local.caller.detector import Speech
from local.caller.ear import Ear
from local.caller.errors import CallerError, NobodyAnsweredError, TooLateError
from local.caller.line import Line
from local.caller.microphone import Utterance
from local.caller.server import CALLER, Role, Server
from local.caller.sound import Samples, Sound, decode
from local.caller.voice import Voice

T = TypeVar("T")

_TICK_S: Final = 0.02
_AGENT_STATE: Final = "lk.agent.state"
_BUSY_STATES: Final = ("thinking", "speaking")


class Caller:
    """One participant in one room; use as `async with Caller(...) as caller`.

    Times are time.monotonic() seconds. Every wait has a deadline and ends in a TooLateError that
    names what was waited for; a room that closes meanwhile ends it at once with a CallerError.

    Args:
        server: The LiveKit server.
        room: Name of the room.
        identity: The caller's, unique in the room; a second participant with the same identity
            disconnects the first.
        name: The display name; the identity if None.
        metadata: The caller's metadata, signed in the token.
        attributes: The caller's attributes, signed in the token.
        role: The kind of participant for LiveKit.
        voice: Needed to speak texts and to transcribe, not for sounds and files.
        hear_anyone: Listen to all participants, not only to agents.
        keep_audio: Keep what is heard; needed to transcribe.
    """

    def __init__(  # noqa: PLR0913 - what a token holds, and each has a default
        self,
        server: Server,
        *,
        room: str,
        identity: str = "caller",
        name: str | None = None,
        metadata: str = "",
        attributes: dict[str, str] | None = None,
        role: Role = CALLER,
        voice: Voice | None = None,
        hear_anyone: bool = False,
        keep_audio: bool = True,
    ) -> None:
        self.room_name = room
        self.identity = identity
        self._server = server
        self._token = server.token(
            room,
            identity,
            name=name,
            metadata=metadata,
            attributes=attributes,
            role=role,
        )
        self._voice = voice
        self._hear_anyone = hear_anyone
        self._ear = Ear(keep=keep_audio)
        self._line: Line | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.hang_up()

    # Joining and leaving

    async def join(
        self, *, create: bool = True, room_metadata: str = "", muted: bool = False
    ) -> None:
        """Enter the room with a silent microphone.

        Args:
            create: Create the room first, as a front end does; a named agent is dispatched then.
            room_metadata: The room's, if it is created.
            muted: The microphone is published muted.

        Raises:
            CallerError: The server cannot be reached, or refuses.
        """
        if self._line is not None:
            raise CallerError(f"{self.identity} is in room {self.room_name} already")
        if create:
            await self._server.create_room(self.room_name, room_metadata)
        line = Line(self._on_audio)
        if muted:
            line.mute()
        await line.join(self._server.url, self._token)
        self._line = line

    async def hang_up(self) -> None:
        """Leave the room; safe to call twice, or before join."""
        line, self._line = self._line, None
        await self._ear.aclose()
        if line is not None:
            await line.leave()

    async def rejoin(self) -> None:
        """Leave, if still there, and enter again; what was heard before is kept."""
        await self.hang_up()
        await self.join(create=False)

    def mute(self) -> None:
        """Mute the microphone; LiveKit notifies the others."""
        self._joined().mute()

    def unmute(self) -> None:
        """Unmute the microphone."""
        self._joined().unmute()

    async def unpublish(self) -> None:
        """Take the microphone out of the room."""
        await self._joined().unpublish()

    async def change(
        self,
        *,
        name: str | None = None,
        metadata: str | None = None,
        attributes: dict[str, str] | None = None,
    ) -> None:
        """Change the name, metadata or attributes that others see; the role has to allow it."""
        me = self._joined().room.local_participant
        if name is not None:
            await me.set_name(name)
        if metadata is not None:
            await me.set_metadata(metadata)
        if attributes is not None:
            await me.set_attributes(attributes)

    async def type(self, text: str) -> None:
        """Send a text to the agent, as LiveKit's chat does."""
        await self._joined().room.local_participant.send_text(text, topic="lk.chat")

    # Speaking

    async def prepare(self, what: str | Path | Sound) -> Sound:
        """Turn a text (spoken by the voice) or a file into sound, ahead of its use."""
        if isinstance(what, Sound):
            return what
        if isinstance(what, Path):
            return await asyncio.to_thread(decode, what)
        if self._voice is None:
            raise CallerError("a text was to be spoken, but the caller has no voice")
        return await self._voice.speak(what)

    async def speak(self, what: str | Path | Sound) -> Utterance:
        """Say it, and return once it is said."""
        utterance = await self.start_speaking(what)
        await utterance.done.wait()
        self._check_joined("the end of its own utterance")
        return utterance

    async def start_speaking(self, what: str | Path | Sound) -> Utterance:
        """Begin to say it (behind what is being said) and return at once."""
        sound = await self.prepare(what)
        return self._joined().microphone.say(sound)

    def hush(self) -> None:
        """Stop the current speech."""
        self._joined().microphone.hush()

    # Hearing

    def agent(self) -> rtc.RemoteParticipant | None:
        """Return the agent in the room, or with hear_anyone any participant; None if none."""
        others = self._line.room.remote_participants.values() if self._line else ()
        return next((other for other in others if self._hears(other)), None)

    def current_speech(self) -> Speech | None:
        """Return the stretch of the agent's speech that goes on now."""
        return self._ear.current_speech()

    def speeches(self) -> list[Speech]:
        """Return every stretch of the agent's speech so far, oldest first."""
        return self._ear.speeches()

    def last_voice_at(self) -> float | None:
        """Return when the agent was heard last (monotonic); None if never."""
        return self._ear.last_voice_at()

    async def agent_joined(self, *, timeout_s: float = 20.0) -> rtc.RemoteParticipant:
        """Wait until an agent is in the room.

        Raises:
            NobodyAnsweredError: None came in time.
        """
        late = NobodyAnsweredError(
            f"nobody answered in room {self.room_name} within {timeout_s:.0f} s"
        )
        return await self._until("an agent", self.agent, timeout_s, late)

    async def agent_speech(self, since: float, *, timeout_s: float = 20.0) -> Speech:
        """Wait for the first stretch of speech that began after the mark; it may still go on."""
        return await self._until(
            "the agent to speak", lambda: self._ear.speech_since(since), timeout_s
        )

    async def agent_speaking(self, *, timeout_s: float = 20.0) -> float:
        """Wait until the agent speaks (or find that it does) and return when it began."""
        return (
            await self._until("the agent to speak", self._ear.current_speech, timeout_s)
        ).started_at

    async def first_audio(self, mark: float, *, timeout_s: float = 20.0) -> float:
        """Return the seconds from the mark (monotonic) to the agent's first voice after it."""
        return (await self.agent_speech(mark, timeout_s=timeout_s)).started_at - mark

    async def agent_quiet(self, min_silence_s: float = 1.0, *, timeout_s: float = 60.0) -> float:
        """Wait until the agent has been silent for a while, and means to be.

        An agent that says through its state attribute that it thinks or speaks is not quiet yet:
        a slow model makes pauses between sentences.

        Returns:
            When it was heard last; the time of the call if it never was.
        """
        asked_at = time.monotonic()

        def quiet() -> float | None:
            last = self._ear.last_voice_at() or asked_at
            if self._ear.current_speech() is not None or self._agent_is_busy():
                return None
            return last if time.monotonic() - last >= min_silence_s else None

        return await self._until("the agent to be quiet", quiet, timeout_s)

    async def heard(self, since: float, until: float | None = None) -> str:
        """Transcribe what the agent said between two times; until None is now."""
        if self._voice is None:
            raise CallerError("a transcript was wanted, but the caller has no voice server")
        return await self._voice.transcribe(self.recording(since, until))

    def recording(self, since: float, until: float | None = None) -> Samples:
        """Return what was heard between two times, as samples at RATE_HZ; until None is now."""
        return self._ear.recording(since, time.monotonic() if until is None else until)

    # Inside

    async def _until(
        self,
        what: str,
        look: Callable[[], T | None],
        timeout_s: float,
        late: TooLateError | None = None,
    ) -> T:
        deadline = time.monotonic() + timeout_s
        while (value := look()) is None:
            self._check_joined(what)
            if time.monotonic() >= deadline:
                where = f"in room {self.room_name}"
                raise late or TooLateError(f"waited {timeout_s:.0f} s {where} for {what}")
            await asyncio.sleep(_TICK_S)
        return value

    def _joined(self) -> Line:
        if self._line is None:
            raise CallerError(f"{self.identity} is not in room {self.room_name}")
        return self._line

    def _check_joined(self, what: str) -> None:
        why = self._line.closed_because if self._line else "hung up"
        if why is not None:
            raise CallerError(f"room {self.room_name} closed ({why}) while waiting for {what}")

    def _agent_is_busy(self) -> bool:
        agent = self.agent()
        return agent is not None and agent.attributes.get(_AGENT_STATE) in _BUSY_STATES

    def _hears(self, participant: rtc.RemoteParticipant) -> bool:
        is_agent = participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
        return self._hear_anyone or is_agent

    def _on_audio(self, track: rtc.Track, participant: rtc.RemoteParticipant) -> None:
        if self._hears(participant):
            self._ear.listen(track)
