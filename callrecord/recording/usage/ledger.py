"""The ledger of a session: every request to a model, and the message that it was made for.

A request names its speech, whose message comes later. Until then the request waits here; it is in
the outbox already, without a message. It may be reported again when more is known about it, even
after its message was recorded. It keeps that message, and the message's tokens change.
"""

from collections.abc import Callable, Container, Iterable
from typing import Final
from uuid import UUID

import msgspec
from livekit.agents.llm import RealtimeModel

from callrecord.events import Event, Message, Usage, new_id
from callrecord.recording.recent import Recent
from callrecord.recording.usage.estimate import CHARACTERS_A_TOKEN

HEARD: Final = "heard"
"""A stand-in for the id of a user's speech, as LiveKit gives it none."""
THINKING: Final = ("llm", "realtime")
"""The kinds of language models, whose tokens count for a message."""
_NO_ID: Final = "unknown"
_KEPT: Final = 256
"""How many messages and speeches are remembered, for late requests: about half an hour of them."""
_KEPT_REQUESTS: Final = 512


class Ledger:
    """Attributes the requests of one session to its messages."""

    def __init__(
        self,
        append: Callable[[Event], None],
        realtime: Callable[[], RealtimeModel | None] = lambda: None,
    ) -> None:
        """Record to `append`; `realtime` returns the session's realtime model, if it has one."""
        self._record = append
        self._realtime = realtime
        self._kinds: set[str] = set()
        self._waiting: Recent[str, dict[UUID, Usage]] = Recent(_KEPT)
        self._message_of: Recent[UUID, UUID] = Recent(_KEPT_REQUESTS)
        self._tokens: Recent[UUID, dict[UUID, int]] = Recent(_KEPT)
        self._messages: Recent[UUID, Message] = Recent(_KEPT)
        self._last: Recent[str, UUID] = Recent(_KEPT)
        self._discarded: Recent[str, bool] = Recent(_KEPT)
        self._message_of_response: Recent[str, UUID] = Recent(_KEPT)
        self._reported: Recent[str, bool] = Recent(_KEPT_REQUESTS)
        self._unreported: Recent[str, Message] = Recent(_KEPT, self._estimate)
        self._estimated = 0
        self._asked = 0

    @property
    def kinds(self) -> Container[str]:
        """The kinds of the requests so far."""
        return self._kinds

    def last(self, speech_id: str) -> Message | None:
        """Return the newest message of a speech."""
        message_id = self._last.get(speech_id)
        return None if message_id is None else self._messages.get(message_id)

    def add(
        self, usage: Usage, going_on: Container[str] = (), *, waits_for: str | None = None
    ) -> None:
        """Record a request, or an update of one.

        Args:
            usage: The request.
            going_on: Speeches that may get a later message: their requests wait for it.
            waits_for: The speech whose message the request belongs to, if it names none itself.
        """
        self._kinds.add(usage.kind)
        if usage.kind == "realtime":
            self._asked = max(self._asked, usage.input_tokens)
        response_id = _response_of(usage)
        if response_id is not None:
            self._reported.put(response_id, True)
            self._unreported.pop(response_id)
        message_id = self._message_of.get(usage.id) or (
            self._message_of_response.get(response_id) if response_id is not None else None
        )
        if message_id is not None:
            self._give(usage, message_id)
            self._recount(message_id)
            return
        self._wait(usage, {usage.speech_id or waits_for, response_id})
        message = self.last(usage.speech_id or "")
        if message is not None and usage.speech_id not in going_on:
            self.settle(usage.speech_id or "", message)

    def heard(self, message_id: UUID) -> None:
        """Attribute the waiting requests to a spoken turn of the caller."""
        self._assign(HEARD, message_id)

    def settle(self, speech_id: str, message: Message) -> None:
        """Attribute the requests that wait for a speech to its newest message."""
        self._last.put(speech_id, message.id)
        self._messages.put(message.id, message)
        self._assign(speech_id, message.id)
        self._recount(message.id)

    def answer(self, response_ids: Iterable[str], message: Message) -> None:
        """Attribute a realtime model's responses, reported already or later, to their message."""
        self._messages.put(message.id, message)
        for response_id in response_ids:
            self._message_of_response.put(response_id, message.id)
            if response_id not in self._reported:
                self._unreported.put(response_id, message)
            waiting = self._waiting.pop(response_id) or {}
            had = {self._message_of.get(id_) for id_ in waiting} - {None, message.id}
            for usage in waiting.values():
                self._give(usage, message.id)
            for other in had:
                if other is not None:
                    self._recount(other)
        self._recount(message.id)

    def discard(self, speech_id: str) -> None:
        """Note that a speech was discarded before its turn: its requests get no message."""
        self._discarded.put(speech_id, True)
        for usage in (self._waiting.pop(speech_id) or {}).values():
            self._append(_discarded(usage))

    def tokens(self, message_id: UUID) -> int:
        """Return the language model tokens of all requests of a message."""
        return sum((self._tokens.get(message_id) or {}).values())

    def close(self) -> int:
        """Estimate the realtime responses that a broken connection left without usage.

        Returns:
            The number of responses that were estimated in the whole call.
        """
        for response_id, message in self._unreported.items():
            self._unreported.pop(response_id)
            self._estimate(response_id, message)
        return self._estimated

    def _estimate(self, response_id: str, message: Message) -> None:
        """Record an estimated response: the model has read at least as much as last reported."""
        model = self._realtime()
        if model is None:
            return
        message = self._messages.get(message.id) or message
        answered = max(1, round(len(message.content) / CHARACTERS_A_TOKEN))
        asked = max(1, self._asked)
        self._estimated += 1
        self.add(
            Usage(
                id=new_id(),
                kind="realtime",
                at=message.at,
                provider=model.provider,
                model=model.model,
                request_id=response_id,
                input_tokens=asked,
                output_tokens=answered,
                total_tokens=asked + answered,
                cancelled=True,
                estimated=True,
                metadata={"estimate": {"method": "characters"}},
            )
        )

    def _wait(self, usage: Usage, speeches: set[str | None]) -> None:
        if any(each is not None and each in self._discarded for each in speeches):
            usage = _discarded(usage)
        else:
            # A message names its response; a response that only calls a function has no message.
            for each in speeches - {None}:
                waiting = self._waiting.get(each or "") or {}
                self._waiting.put(each or "", waiting | {usage.id: usage})
        self._append(usage)

    def _assign(self, speech_id: str, message_id: UUID) -> None:
        for usage in (self._waiting.pop(speech_id) or {}).values():
            if usage.id not in self._message_of:
                self._give(usage, message_id)

    def _give(self, usage: Usage, message_id: UUID) -> None:
        before = self._message_of.get(usage.id)
        if before is not None and before != message_id:
            (self._tokens.get(before) or {}).pop(usage.id, None)
        self._message_of.put(usage.id, message_id)
        if usage.kind in THINKING:
            tokens = self._tokens.get(message_id) or {}
            self._tokens.put(message_id, tokens | {usage.id: usage.total_tokens})
        self._append(msgspec.structs.replace(usage, message_id=message_id))

    def _recount(self, message_id: UUID) -> None:
        message, tokens = self._messages.get(message_id), self.tokens(message_id)
        if message is not None and message.tokens != tokens:
            message = msgspec.structs.replace(message, tokens=tokens)
            self._messages.put(message_id, message)
            self._record(message)

    def _append(self, usage: Usage) -> None:
        if usage.request_id == _NO_ID:  # LiveKit's placeholder for a speech model without ids
            usage = msgspec.structs.replace(usage, request_id=None)
        self._record(usage)


def _response_of(usage: Usage) -> str | None:
    # A realtime model's requests name no speech; its messages name their responses.
    return usage.request_id if usage.kind == "realtime" and usage.request_id else None


def _discarded(usage: Usage) -> Usage:
    note = {"discarded": "preemptive"}
    return msgspec.structs.replace(usage, metadata=usage.metadata | note)
