"""The account of one session: its messages, and what their requests come to."""

from collections.abc import Callable, Container, Iterable
from uuid import UUID

import msgspec

from callrecord.events import Event, Message, Usage, new_id
from callrecord.recording.usage.estimate import CHARACTERS_A_TOKEN
from callrecord.recording.usage.ledger import HEARD, Ledger


class Account:
    """Gives requests to messages, and tells a message again when its tokens change."""

    def __init__(self, append: Callable[[Event], None]) -> None:
        self._append = append
        self._ledger = Ledger(append)
        self._asked = 0
        self._last: dict[str, UUID] = {}
        self._messages: dict[UUID, Message] = {}

    @property
    def kinds(self) -> Container[str]:
        """Kinds of the models that were asked so far."""
        return self._ledger.kinds

    def last(self, speech_id: str) -> Message | None:
        """Return the newest message of a speech."""
        message_id = self._last.get(speech_id)
        return None if message_id is None else self._messages[message_id]

    def book(self, usage: Usage, going_on: Container[str], *, waits_for: str | None = None) -> None:
        """Record a request, or more of one.

        Args:
            usage: The request.
            going_on: Speeches that may have a later message: their requests wait for it.
            waits_for: The speech whose message it belongs to, if it names none itself.
        """
        if usage.kind == "realtime":
            self._asked = max(self._asked, usage.input_tokens)
        message_id = self._ledger.book(usage, waits_for=waits_for)
        speech_id = usage.speech_id or ""
        if message_id is not None:
            self._recount(message_id)
        elif (message := self.last(speech_id)) is not None and speech_id not in going_on:
            self.settle(speech_id, message)

    def heard(self, message_id: UUID) -> None:
        """Give what waits to a turn of the caller's that was spoken."""
        self._ledger.assign(HEARD, message_id)

    def settle(self, speech_id: str, message: Message) -> None:
        """Give what waits for a speech to a message of it, its newest."""
        self._last[speech_id] = message.id
        self._messages[message.id] = message
        self._ledger.assign(speech_id, message.id)
        self._recount(message.id)

    def answer(self, response_ids: Iterable[str], message: Message) -> None:
        """Give a realtime model's responses to their message."""
        self._messages[message.id] = message
        for response_id in response_ids:
            for had in self._ledger.answer(response_id, message.id):
                self._recount(had)
        self._recount(message.id)

    def close(self, provider: str, model: str) -> int:
        """Estimate the realtime responses that a broken connection has left without usage.

        The model has read no less than at its last told response. Return how many there are.
        """
        untold = self._ledger.untold()
        for response_id, message_id in untold.items():
            message = self._messages[message_id]
            answered = max(1, round(len(message.content) / CHARACTERS_A_TOKEN))
            asked = max(1, self._asked)
            usage = Usage(
                id=new_id(),
                kind="realtime",
                at=message.at,
                provider=provider,
                model=model,
                request_id=response_id,
                input_tokens=asked,
                output_tokens=answered,
                total_tokens=asked + answered,
                cancelled=True,
                estimated=True,
                metadata={"estimate": {"method": "characters"}},
            )
            self.book(usage, ())
        return len(untold)

    def discard(self, speech_id: str) -> None:
        """Note that a speech was thrown away before its turn."""
        self._ledger.discard(speech_id)

    def _recount(self, message_id: UUID) -> None:
        message = self._messages.get(message_id)
        tokens = self._ledger.tokens(message_id)
        if message is not None and message.tokens != tokens:
            message = self._messages[message_id] = msgspec.structs.replace(message, tokens=tokens)
            self._append(message)
