"""Callers: each calls, types or speaks, listens for the answer, ends the call, and calls again."""

import asyncio
import random
import time

from bench.soak.ledger import Call, Ledger
from local.caller import Caller, CallerError, Server
from local.caller.errors import TooLateError
from local.caller.sound import Sound

ANSWER_S = 20.0
PICK_UP_S = 30.0
COME_BACK_S = 5.0
"""How long a caller whose agent is gone waits for another."""
SPEAK_SHARE = 0.15
INTERRUPT_SHARE = 0.2
GOODBYE = "Goodbye"


class Callers:
    """Some callers at once, until they are told to stop."""

    def __init__(self, server: Server, ledger: Ledger, sound: Sound, chance: random.Random) -> None:
        self._server = server
        self._ledger = ledger
        self._sound = sound
        self._chance = chance
        self._stopping = asyncio.Event()
        self.live = 0

    async def run(self, count: int) -> None:
        """Call until `stop`, so many at once."""
        async with asyncio.TaskGroup() as group:
            for number in range(count):
                group.create_task(self._loop(number))

    def stop(self) -> None:
        """Let the calls that run be the last."""
        self._stopping.set()

    async def _loop(self, number: int) -> None:
        for count in range(1_000_000):
            if self._stopping.is_set():
                return
            call = self._ledger.begin(f"soak-{number}-{count}")
            self.live += 1
            try:
                await self._call(call)
            finally:
                self.live -= 1

    async def _call(self, call: Call) -> None:
        call.sid = await self._server.create_room(call.room)
        self._ledger.note("call", room=call.room, sid=call.sid)
        async with Caller(self._server, room=call.room, keep_audio=False) as caller:
            await caller.join(create=False)
            try:
                await self._answered(call, caller, PICK_UP_S)
                await caller.agent_speech(0.0, timeout_s=ANSWER_S)
                call.greeted = True
                await caller.agent_quiet(0.5)
                await self._converse(call, caller)
            except CallerError as error:
                self._ledger.note("trouble", room=call.room, error=str(error))
            await self._end(call, caller)
        await asyncio.sleep(self._chance.uniform(0, 2))

    async def _answered(self, call: Call, caller: Caller, timeout_s: float) -> None:
        agent = await caller.agent_joined(timeout_s=timeout_s)
        job = agent.identity.removeprefix("agent-")
        if job not in call.jobs:
            call.jobs.append(job)
            self._ledger.note("agent", room=call.room, job=job)

    async def _converse(self, call: Call, caller: Caller) -> None:
        for number in range(self._chance.randint(1, 6)):
            if self._stopping.is_set():
                return
            await self._answered(call, caller, COME_BACK_S)
            if self._chance.random() < SPEAK_SHARE:
                await self._speak(call, caller)
            else:
                await self._type(call, caller, f"Note {number} of {call.room}")

    async def _type(self, call: Call, caller: Caller, text: str) -> None:
        mark = time.monotonic()
        call.typed[text] = self._ledger.note("typed", room=call.room, text=text)
        await caller.type(text)
        await self._hear(caller, mark)
        call.answered[text] = self._ledger.note("answered", room=call.room, text=text)
        if self._chance.random() < INTERRUPT_SHARE:
            return  # the next one is typed over this answer
        await caller.agent_quiet(0.5)
        call.heard_out.append(text)
        self._ledger.note("heard out", room=call.room, text=text)

    async def _speak(self, call: Call, caller: Caller) -> None:
        await caller.agent_quiet(0.5)
        utterance = await caller.speak(self._sound)
        await self._hear(caller, utterance.ended_at or time.monotonic())
        call.spoken += 1
        self._ledger.note("spoken turn answered", room=call.room)
        await caller.agent_quiet(0.5)

    async def _hear(self, caller: Caller, mark: float) -> None:
        # Not what was still being said: an answer begins anew. And no longer than an agent is
        # there: after its death nobody answers.
        speaking = asyncio.create_task(caller.agent_speech(mark, timeout_s=ANSWER_S))
        try:
            while not speaking.done():
                await asyncio.wait([speaking], timeout=0.5)
                if caller.agent() is None and not speaking.done():
                    raise CallerError("the agent is gone")
            await speaking
        finally:
            speaking.cancel()

    async def _end(self, call: Call, caller: Caller) -> None:
        way = self._chance.choices(("hang up", "goodbye", "delete room"), (6, 2, 2))[0]
        if caller.agent() is None:
            way = "hang up"
        call.end = way
        call.ended_at = self._ledger.note(way, room=call.room)
        try:
            if way == "goodbye":
                call.typed[GOODBYE] = call.ended_at
                await caller.type(GOODBYE)
                await caller.agent_quiet(15.0, timeout_s=ANSWER_S)  # the room closes before
                call.end = "goodbye, unanswered"
            elif way == "delete room":
                await self._server.delete_room(call.room)
        except TooLateError:
            call.end = "goodbye, unanswered"
        except CallerError as error:
            self._ledger.note("closed", room=call.room, why=str(error))
        await caller.hang_up()
        self._ledger.note("gone", room=call.room)
