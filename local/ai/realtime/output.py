"""What a response puts out: items, their events, their cost, and the faults on the way."""

import asyncio
from typing import Any

from local.ai.bill import BillLine
from local.ai.faults import Cut, Fault, Slow, Stall
from local.ai.faulty import stall
from local.ai.protocol import new_id
from local.ai.realtime.channel import Channel
from local.ai.realtime.conversation import Conversation, Item, Tokens


class Output:
    """The output items of one response; ``conversation`` is None if they are kept out of it."""

    def __init__(self, channel: Channel, conversation: Conversation | None) -> None:
        self.response_id = new_id("resp")
        self.items: list[Item] = []
        self.made = Tokens()
        self.fault: Fault | None = None
        self.line: BillLine | None = None
        self._channel = channel
        self._conversation = conversation
        self._pieces = 0

    async def send(self, kind: str, **fields: Any) -> None:
        """Send an event of the item under way."""
        await self._channel.send(
            f"response.{kind}",
            response_id=self.response_id,
            output_index=len(self.items) - 1,
            **fields,
        )

    async def add(self, given: Item) -> Item:
        """Begin an item."""
        item: Item = {"id": new_id("item"), "object": "realtime.item", "status": "in_progress"}
        item |= given
        self.items.append(item)
        await self.send("output_item.added", item=item)
        if self._conversation is not None:
            before = self._conversation.insert(item)
            await self._channel.send("conversation.item.added", previous_item_id=before, item=item)
        return item

    async def done(self, item: Item, status: str) -> None:
        """End an item."""
        item["status"] = status
        if self._conversation is not None:
            before = self._conversation.before(item["id"])
            await self._channel.send("conversation.item.done", previous_item_id=before, item=item)
        await self.send("output_item.done", item=item)

    async def piece(self, made: Tokens) -> None:
        """Count a piece that is about to be sent, unless the fault of the response comes first."""
        match self.fault:
            case Stall(after=int(limit)) if self._pieces >= limit:
                await stall()
            case Cut(after=limit) if self._pieces >= limit:
                await self._channel.cut()
            case Slow():
                await asyncio.sleep(self.fault.pause_s)
        self._pieces += 1
        self.made += made
        if self.line is not None:
            self.line.completion_tokens = self.made.total
            self.line.completion_audio_tokens = self.made.audio

    def spoken(self, item: Item, milliseconds: int) -> None:
        """Tell how long the speech of an item is by now."""
        if self._conversation is not None:
            self._conversation.set_audio(item["id"], milliseconds)
