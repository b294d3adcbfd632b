"""Plays a whole call from a script: greeting, lines, replies, interruptions, the end."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from local.caller import Caller
from local.caller.errors import TooLateError
from local.caller.sound import Sound
from local.calling.transcript import AgentTurn, Transcript, Turn

_GREETING_S: Final = 10.0
_REPLY_S: Final = 30.0
_SILENCE_S: Final = 1.0
_MID_REPLY_S: Final = 1.0
_PAUSE_S: Final = 1.0
_EDGE_S: Final = 0.2


class HangUp(StrEnum):
    """When the caller hangs up."""

    END = "end"
    AFTER_GREETING = "after-greeting"
    MID_REPLY = "mid-reply"


@dataclass(frozen=True)
class Line:
    """Something to say.

    Attributes:
        what: A text, or a sound file.
        over_s: Say it over the agent, this many seconds into its speech; None: when it is quiet.
    """

    what: str | Path
    over_s: float | None = None


@dataclass(frozen=True)
class Script:
    """What the caller does.

    Attributes:
        lines: Said in this order.
        hang_up: When the call ends.
        hang_up_after_s: End the call this many seconds after joining, whatever happens.
        rejoin_after_s: Leave before the last line, and rejoin after this many seconds.
        answer_s: Seconds until an agent must have joined.
    """

    lines: tuple[Line, ...]
    hang_up: HangUp = HangUp.END
    hang_up_after_s: float | None = None
    rejoin_after_s: float | None = None
    answer_s: float = 20.0


@dataclass(frozen=True)
class _Reply:
    """A reply of the agent that has not ended; times are time.monotonic() seconds."""

    started_at: float
    latency_s: float


class Conversation:
    """Plays a script with a caller; reports each turn, in order, as soon as it is known.

    Args:
        caller: Not yet in the room; its owner must leave the room if the conversation fails.
        script: What to do.
        on_turn: Called with each turn.
        listen: Transcribe what the agent says.
        room_metadata: For the room, if it is created.
        create_room: Create the room before joining.
    """

    def __init__(  # noqa: PLR0913 - a script, and how to play it
        self,
        caller: Caller,
        script: Script,
        *,
        on_turn: Callable[[Turn], None],
        listen: bool = True,
        room_metadata: str = "",
        create_room: bool = True,
    ) -> None:
        self._caller = caller
        self._script = script
        self._room_metadata = room_metadata
        self._create_room = create_room
        self._transcript = Transcript(on_turn, caller.heard if listen else None)

    async def run(self) -> list[Turn]:
        """Hold the conversation, hang up and return its turns.

        Raises:
            CallerError: No agent joined, a reply is missing, or the room closed.
        """
        sounds = await asyncio.gather(*(self._caller.prepare(x.what) for x in self._script.lines))
        await self._caller.join(create=self._create_room, room_metadata=self._room_metadata)
        async with self._transcript:
            try:
                async with asyncio.timeout(self._script.hang_up_after_s) as limit:
                    await self._talk(sounds)
            except TimeoutError:
                if not limit.expired():
                    raise
            await self._caller.hang_up()
        return self._transcript.turns

    async def _talk(self, sounds: list[Sound]) -> None:
        await self._caller.agent_joined(timeout_s=self._script.answer_s)
        await self._greeting()
        if self._script.hang_up is HangUp.AFTER_GREETING:
            return
        going_on: _Reply | None = None
        following = (*self._script.lines[1:], None)
        for line, sound, after in zip(self._script.lines, sounds, following, strict=True):
            if after is None and self._script.rejoin_after_s is not None:
                await self._leave_and_come_again(self._script.rejoin_after_s)
            spoken_at, replies_after = await self._say(line, sound, going_on)
            speech = await self._caller.agent_speech(replies_after, timeout_s=_REPLY_S)
            reply = _Reply(speech.started_at, speech.started_at - spoken_at)
            going_on = await self._follow(reply, after)

    async def _greeting(self) -> None:
        joined_at = self._transcript.started_at
        try:
            speech = await self._caller.agent_speech(joined_at, timeout_s=_GREETING_S)
        except TooLateError:
            return  # an agent may leave the first word to the caller
        await self._hear_out(_Reply(speech.started_at, speech.started_at - joined_at))

    async def _say(self, line: Line, sound: Sound, going_on: _Reply | None) -> tuple[float, float]:
        """Say a line; return when its speech ended, and since when agent's speech answers it."""
        is_over_agent = self._caller.current_speech() is not None
        utterance = await self._caller.start_speaking(sound)
        await utterance.done.wait()
        now = time.monotonic()
        began, ended = utterance.started_at or now, utterance.ended_at or now
        if going_on is not None:
            self._tell(going_on, min(self._caller.last_voice_at() or now, ended), is_over_agent)
        text = line.what if isinstance(line.what, str) else f"[{line.what.name}]"
        self._transcript.tell_caller(text, began, ended)
        return ended, (ended - _EDGE_S if is_over_agent else began)

    async def _follow(self, reply: _Reply, after: Line | None) -> _Reply | None:
        """Hear the reply out, or return it as soon as the next line is to be said over it."""
        if after is None and self._script.hang_up is HangUp.MID_REPLY:
            await self._let_speak(reply, _MID_REPLY_S)
            self._tell(reply, time.monotonic(), interrupted=True)
        elif after is not None and after.over_s is not None:
            await self._let_speak(reply, after.over_s)
            return reply
        else:
            await self._hear_out(reply)
        return None

    async def _hear_out(self, reply: _Reply) -> None:
        ended_at = await self._caller.agent_quiet(_SILENCE_S)
        self._tell(reply, ended_at, interrupted=False)

    async def _let_speak(self, reply: _Reply, seconds: float) -> None:
        """Return that long into the reply, in the middle of a word; or when it is over."""
        await asyncio.sleep(reply.started_at + seconds - time.monotonic())
        with contextlib.suppress(TooLateError):
            await self._caller.agent_speaking(timeout_s=_PAUSE_S)

    async def _leave_and_come_again(self, away_s: float) -> None:
        await self._caller.hang_up()
        await asyncio.sleep(away_s)
        await self._caller.rejoin()
        await self._caller.agent_joined(timeout_s=self._script.answer_s)
        await self._caller.agent_quiet(_SILENCE_S)

    def _tell(self, reply: _Reply, ended_at: float, interrupted: bool) -> None:  # noqa: FBT001
        self._transcript.tell_agent(
            AgentTurn(reply.started_at - _EDGE_S, ended_at + _EDGE_S, reply.latency_s, interrupted)
        )
