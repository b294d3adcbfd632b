"""Callers who ask, interrupt, hesitate and want things looked up."""

import asyncio
import random
import time
from dataclasses import dataclass, field
from typing import Final
from uuid import uuid4

from local.caller import Caller, CallerError, Server, Voice
from local.caller.sound import Sound

ANSWER_S: Final = 40.0
INTO_REPLY_S: Final = 1.5
HESITATION_S: Final = 1.2
"""Long enough for the first half to be transcribed, and an answer to it begun ahead of time."""
STORY: Final = " ".join(["The sea was calm and the night was long when they set out again."] * 12)
SCRIPT: Final = {
    "rules": [
        {
            "match": "weather",
            "tool_call": {"name": "weather", "arguments": {"city": "Lisbon"}},
            "after_tool": "It is twenty one degrees in Lisbon, and the sky is clear.",
            "delay_s": 0.2,
            "tokens_per_s": 30,
        },
        {"match": "story", "reply": STORY, "delay_s": 0.2, "tokens_per_s": 12},
    ],
    "default": {"reply": "Paris is the capital of France.", "delay_s": 0.3, "tokens_per_s": 20},
}
LINES: Final = {
    "ask": "What is the capital of France?",
    "look up": "How is the weather in Lisbon today?",
    "story": "Please tell me a long story about the sea.",
    "stop": "Stop, that is enough.",
    "first half": "What is the capital",
    "second half": "of France, please?",
}


@dataclass
class Told:
    """What callers have done, by the name of the turn."""

    turns: dict[str, int] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)
    rooms: list[str] = field(default_factory=list)

    def count(self, turn: str) -> None:
        """Note that a turn was answered."""
        self.turns[turn] = self.turns.get(turn, 0) + 1


async def prepare(voice: Voice) -> dict[str, Sound]:
    """Have all lines spoken once."""
    return {name: await voice.speak(text) for name, text in LINES.items()}


async def call(server: Server, sounds: dict[str, Sound], chance: random.Random, told: Told) -> None:
    """Hold one call of four turns, each kind once, in an order of chance."""
    room = f"ledger-{uuid4().hex[:12]}"
    told.rooms.append(room)
    turns = ["ask", "look up", "story", "hesitate"]
    chance.shuffle(turns)
    async with Caller(server, room=room, keep_audio=False) as caller:
        try:
            await caller.join()
            await caller.agent_joined()
            await caller.agent_speech(0.0, timeout_s=ANSWER_S)
            await caller.agent_quiet()
            for turn in turns:
                await _turn(turn, caller, sounds)
                told.count(turn)
        except CallerError as error:
            told.troubles.append(f"{room}: {error}")


async def _turn(turn: str, caller: Caller, sounds: dict[str, Sound]) -> None:
    match turn:
        case "story":
            await _answered(caller, sounds["story"])
            await asyncio.sleep(INTO_REPLY_S)
            await _answered(caller, sounds["stop"])
        case "hesitate":
            await caller.speak(sounds["first half"])
            await asyncio.sleep(HESITATION_S)
            await _answered(caller, sounds["second half"])
        case _:
            await _answered(caller, sounds[turn])
    await caller.agent_quiet()


async def _answered(caller: Caller, sound: Sound) -> None:
    utterance = await caller.speak(sound)
    await caller.agent_speech(utterance.ended_at or time.monotonic(), timeout_s=ANSWER_S)
