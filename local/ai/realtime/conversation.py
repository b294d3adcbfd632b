"""The items of a session's conversation, in order."""

import json
import math
from dataclasses import dataclass
from typing import Any, Self

from local.ai.protocol import new_id
from local.ai.realtime.channel import EventError, field
from local.ai.script import count_words

# OpenAI counts a token for so many milliseconds of speech.
USER_MS, ASSISTANT_MS = 100, 50
_TYPES = ("message", "function_call", "function_call_output")
_ROLES = ("system", "user", "assistant")

Item = dict[str, Any]


@dataclass(frozen=True)
class Tokens:
    """Tokens of text (words) and of speech (time)."""

    text: int = 0
    audio: int = 0

    def __add__(self, other: Self) -> "Tokens":
        return Tokens(self.text + other.text, self.audio + other.audio)

    @property
    def total(self) -> int:
        """Both together."""
        return self.text + self.audio


class Conversation:
    """Items in the protocol's own form, and how long the speech in them is."""

    def __init__(self) -> None:
        self.id = new_id("conv")
        self._items: list[Item] = []
        self._audio_ms: dict[str, int] = {}
        self._last_prompt = Tokens()

    @property
    def last_id(self) -> str | None:
        """The item that a new one comes after."""
        return self._items[-1]["id"] if self._items else None

    def insert(self, item: Item, after: str | None = None) -> str | None:
        """Put an item after another ("root": first; None: last); return the one before it.

        Raises:
            EventError: There is no such item, or the item is there already.
        """
        if any(known["id"] == item["id"] for known in self._items):
            raise EventError(
                f"Error adding item: an item with ID '{item['id']}' already exists.",
                code="item_create_duplicate_item_id",
                param="item.id",
            )
        place = len(self._items)
        if after == "root":
            place = 0
        elif after is not None:
            place = self._place(after, "item_create_invalid_previous_item_id") + 1
        self._items.insert(place, item)
        return str(self._items[place - 1]["id"]) if place else None

    def before(self, item_id: str) -> str | None:
        """The item before another; None: it is the first, or gone."""
        ids = [item["id"] for item in self._items]
        place = ids.index(item_id) if item_id in ids else 0
        return str(ids[place - 1]) if place else None

    def create(self, given: Item) -> Item:
        """An item made of a client's.

        Raises:
            EventError: It is not as the protocol has it, or answers a call that is not there.
        """
        kind = field(given, "type", str)
        if kind not in _TYPES or (kind == "message" and given.get("role") not in _ROLES):
            raise EventError(
                "An item must be a message of a role, a function_call or a function_call_output.",
                code="invalid_value",
                param="item.type",
            )
        if kind == "message":
            field(given, "content", list)
        elif kind == "function_call_output":
            self._check_call(field(given, "call_id", str))
            field(given, "output", str)
        else:
            field(given, "name", str)
            field(given, "arguments", str)
            given = {"call_id": new_id("call"), **given}
        made = {"object": "realtime.item", "status": "completed", **given}
        return made | {"id": given.get("id") or new_id("item")}

    def get(self, item_id: str, code: str) -> Item:
        """The item of an id.

        Raises:
            EventError: There is none; of this ``code``.
        """
        return self._items[self._place(item_id, code)]

    def delete(self, item_id: str) -> None:
        """Remove an item.

        Raises:
            EventError: There is none.
        """
        del self._items[self._place(item_id, "item_delete_invalid_item_id")]
        self._audio_ms.pop(item_id, None)

    def set_audio(self, item_id: str, milliseconds: int) -> None:
        """Tell how long the speech of an item is."""
        self._audio_ms[item_id] = milliseconds

    def truncate(self, item_id: str, end_ms: int) -> None:
        """Forget the speech of an item after a time, and the words that it had there.

        Raises:
            EventError: There is no such speech.
        """
        item = self.get(item_id, "item_truncate_invalid_item_id")
        length = self._audio_ms.get(item_id)
        if item.get("role") != "assistant" or length is None:
            raise EventError(
                "Only model output audio messages can be truncated.",
                code="invalid_value",
                param="item_id",
            )
        if end_ms > length:
            raise EventError(
                f"Audio content of {length}ms is already shorter than {end_ms}ms",
                code="invalid_value",
                param="audio_end_ms",
            )
        for part in item["content"]:
            words = part["transcript"].split()
            part["transcript"] = " ".join(words[: math.ceil(len(words) * end_ms / (length or 1))])
        self._audio_ms[item_id] = end_ms

    def messages(self, instructions: str) -> list[dict[str, Any]]:
        """The conversation as chat messages."""
        first = [{"role": "system", "content": instructions}] if instructions else []
        return first + [_message(item) for item in self._items]

    def tokens(self, instructions: str) -> Tokens:
        """What the whole conversation costs as input."""
        return sum(map(self._item_tokens, self._items), Tokens(text=count_words(instructions)))

    def cache(self, given: Tokens) -> Tokens:
        """Note a prompt; tell how much of it stood in the one before, as far as counts show."""
        known, self._last_prompt = self._last_prompt, given
        return Tokens(min(known.text, given.text), min(known.audio, given.audio))

    def _item_tokens(self, item: Item) -> Tokens:
        length = self._audio_ms.get(item["id"])
        if length is not None:
            per_token = USER_MS if item["role"] == "user" else ASSISTANT_MS
            return Tokens(audio=math.ceil(length / per_token))
        if item["type"] == "message":
            return Tokens(text=count_words(_text(item)))
        spoken = (item.get("name"), item.get("arguments"), item.get("output"))
        return Tokens(text=count_words(" ".join(filter(None, spoken))))

    def _place(self, item_id: str, code: str) -> int:
        for place, item in enumerate(self._items):
            if item["id"] == item_id:
                return place
        raise EventError(f"Item with item_id not found: '{item_id}'.", code=code, param="item_id")

    def _check_call(self, call_id: str) -> None:
        calls = {i["call_id"] for i in self._items if i["type"] == "function_call"}
        if call_id not in calls:
            raise EventError(
                f"Tool call ID '{call_id}' not found in conversation.",
                code="invalid_tool_call_id",
                param="item.call_id",
            )


def _text(item: Item) -> str:
    parts = (part.get("text") or part.get("transcript") or "" for part in item["content"])
    return " ".join(filter(None, parts))


def _message(item: Item) -> dict[str, Any]:
    if item["type"] == "message":
        return {"role": item["role"], "content": _text(item)}
    if item["type"] == "function_call_output":
        output = item["output"]
        content = output if isinstance(output, str) else json.dumps(output)
        return {"role": "tool", "tool_call_id": item["call_id"], "content": content}
    function = {"name": item["name"], "arguments": item["arguments"]}
    call = {"id": item["call_id"], "type": "function", "function": function}
    return {"role": "assistant", "content": None, "tool_calls": [call]}
