"""The audience: what of a reply was heard, when the last person leaves and the agent talks on.

LiveKit closes a session when its caller leaves, unless the app keeps it open. Then the agent speaks
into an empty room, and LiveKit commits its whole reply.
"""

import time
from typing import Final

import msgspec

from callrecord.events import Message

_SAME_S: Final = 0.5
"""A reply that ended within this time after the last person left counts as ended by that."""


class Audience:
    """Tracks the speeches of one session, by their ids."""

    def __init__(self) -> None:
        self._alone = False
        self._began: dict[str, float] = {}
        self._heard_s: dict[str, float] = {}

    def sounds(self, speech_id: str) -> None:
        """Note the first sound of a step of a speech."""
        self._began[speech_id] = time.monotonic()
        if self._alone:
            self._heard_s[speech_id] = 0.0

    def leaves(self, speech_id: str | None) -> None:
        """Note that the last person has left.

        Args:
            speech_id: The current speech, if there is one.
        """
        self._alone = True
        if speech_id in self._began:
            self._heard_s.setdefault(speech_id, time.monotonic() - self._began[speech_id])

    def joins(self) -> None:
        """Note that a person is in the room."""
        self._alone = False

    def heard(self, speech_id: str | None, message: Message) -> Message:
        """Return the message of a speech, with what is known about how much was heard.

        A message that played on in an empty room is marked like the reply of a killed job: it is
        not known which of its words were heard.
        """
        heard_s = self._heard_s.pop(speech_id or "", None)
        played_s = (message.audio_duration_ms or 0) / 1000
        if heard_s is None or played_s - heard_s <= _SAME_S:
            return message
        if heard_s == 0.0:
            return msgspec.structs.replace(
                message,
                content="",
                generated_content=message.generated_content or message.content,
                audio_duration_ms=0,
                interrupted=True,
                metadata=message.metadata | {"unheard": True},
            )
        return msgspec.structs.replace(
            message,
            audio_duration_ms=round(heard_s * 1000),
            interrupted=True,
            metadata=message.metadata | {"content": "written"},
        )

    def forget(self, speech_id: str) -> None:
        """Note that a speech is over."""
        self._began.pop(speech_id, None)
        self._heard_s.pop(speech_id, None)
