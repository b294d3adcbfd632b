"""The ledger: every request to a model, and the message it was made for.

LiveKit's metrics name the speech they belong to; a message of that speech comes later. Until then
a request waits here, and is in the outbox already, without a message.
"""

from collections import defaultdict
from collections.abc import Callable
from uuid import UUID

import msgspec

from callrecord.events import Event, Usage

HEARD = "heard"
"""Stands for the speech of a user's turn, which LiveKit gives no id."""
_NO_ID = "unknown"
THINKING = ("llm", "realtime")
"""Kinds whose tokens are a message's: those of language models."""


class Ledger:
    """Records model requests and joins them to messages by speech id.

    A request may be told again when more is known of it, also after its message: it stays with it.

    Attributes:
        kinds: Of the models that were asked so far.
    """

    def __init__(self, append: Callable[[Event], None]) -> None:
        self._record = append
        self.kinds: set[str] = set()
        self._waiting: defaultdict[str, dict[UUID, Usage]] = defaultdict(dict)
        self._message_of: dict[UUID, UUID] = {}
        self._tokens: defaultdict[UUID, dict[UUID, int]] = defaultdict(dict)
        self._discarded: set[str] = set()
        self._answered: dict[str, UUID] = {}
        self._responses: set[str] = set()

    def book(self, usage: Usage, *, waits_for: str | None = None) -> UUID | None:
        """Record a request, or more of one.

        Args:
            usage: The request.
            waits_for: The speech whose message it belongs to, if it names none itself.

        Returns:
            The message that it belongs to by now, if any.
        """
        self.kinds.add(usage.kind)
        if usage.kind == "realtime" and usage.request_id:
            self._responses.add(usage.request_id)
        speech_id = usage.speech_id or waits_for
        response_id = _response_of(usage)
        message_id = self._message_of.get(usage.id) or self._answered.get(response_id or "")
        if message_id is not None:
            return self._give(usage, message_id)
        if speech_id in self._discarded:
            usage = _discarded(usage)
        else:
            # A response that becomes a message is told by it; one that calls a function is not.
            for waited_for in {speech_id, response_id} - {None}:
                self._waiting[waited_for or ""][usage.id] = usage
        self._append(usage)
        return None

    def assign(self, speech_id: str, message_id: UUID) -> None:
        """Give what waits for a speech to a message of it."""
        for usage in self._waiting.pop(speech_id, {}).values():
            if usage.id not in self._message_of:
                self._give(usage, message_id)

    def answer(self, response_id: str, message_id: UUID) -> set[UUID]:
        """Give a realtime model's response to its message, told by now or later.

        Returns:
            Messages that had it until then.
        """
        self._answered[response_id] = message_id
        waiting = self._waiting.pop(response_id, {})
        had = {self._message_of[id_] for id_ in waiting if id_ in self._message_of}
        for usage in waiting.values():
            self._give(usage, message_id)
        return had - {message_id}

    def untold(self) -> dict[str, UUID]:
        """Return the responses whose usage was never told, with the message of each."""
        return {id_: m for id_, m in self._answered.items() if id_ not in self._responses}

    def discard(self, speech_id: str) -> None:
        """Note that a speech was thrown away before its turn: its requests have no message."""
        self._discarded.add(speech_id)
        for usage in self._waiting.pop(speech_id, {}).values():
            self._append(_discarded(usage))

    def tokens(self, message_id: UUID) -> int:
        """Return the language model's tokens of all requests of a message."""
        return sum(self._tokens.get(message_id, {}).values())

    def _append(self, usage: Usage) -> None:
        if usage.request_id == _NO_ID:  # what LiveKit puts where a speech model gives no id
            usage = msgspec.structs.replace(usage, request_id=None)
        self._record(usage)

    def _give(self, usage: Usage, message_id: UUID) -> UUID:
        before = self._message_of.get(usage.id, message_id)
        if before != message_id:
            self._tokens[before].pop(usage.id, None)
        self._message_of[usage.id] = message_id
        if usage.kind in THINKING:
            self._tokens[message_id][usage.id] = usage.total_tokens
        self._append(msgspec.structs.replace(usage, message_id=message_id))
        return message_id


def _response_of(usage: Usage) -> str | None:
    # A realtime model's requests name no speech; its messages name their responses.
    return usage.request_id if usage.kind == "realtime" else None


def _discarded(usage: Usage) -> Usage:
    note = {"discarded": "preemptive"}
    return msgspec.structs.replace(usage, metadata=usage.metadata | note)
