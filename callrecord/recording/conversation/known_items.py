"""Items of a conversation that are recorded, and may be told again with more in them."""

from typing import Final

from callrecord.events import Message

_KEPT: Final = 64
"""A provider that finalises an item several times does it within a few turns."""


class KnownItems:
    """The newest message of each of the last items, by LiveKit's id of the item."""

    def __init__(self) -> None:
        self._messages: dict[str, Message] = {}

    def get(self, item_id: str) -> Message | None:
        """Return the message of an item; None if it was never recorded, or long ago."""
        return self._messages.get(item_id)

    def put(self, item_id: str, message: Message) -> None:
        """Note the newest message of an item."""
        self._messages[item_id] = message
        while len(self._messages) > _KEPT:
            del self._messages[next(iter(self._messages))]
