"""Keys: what a caller dials during a call (DTMF), a row for each run of keys."""

import time
from collections.abc import Callable
from typing import Final

import msgspec
from livekit import rtc

from callrecord.events import Event, Message, new_id, now

RUN_S: Final = 4.0
"""The most seconds between two keys of one run: a number or a code is dialled in one go."""
MASK: Final = "*"


class Keys:
    """Records the keys that participants press."""

    def __init__(self, append: Callable[[Event], None], *, masked: bool = False) -> None:
        """Record to `append`; if `masked`, record that keys were pressed but not which ones."""
        self._append = append
        self._masked = masked
        self._runs: dict[str | None, tuple[float, Message]] = {}

    def pressed(self, key: rtc.SipDTMF) -> None:
        """Record a key in the row of its run."""
        who = key.participant.identity if key.participant is not None else None
        at, run = self._runs.get(who, (0.0, None))
        if run is None or time.monotonic() - at > RUN_S:
            run = Message(
                id=new_id(),
                role="system",
                content="",
                at=now(),
                participant_identity=who,
                metadata={"kind": "dtmf"},
            )
        digit = MASK if self._masked else key.digit
        run = msgspec.structs.replace(run, content=run.content + digit)
        self._runs[who] = time.monotonic(), run
        self._append(run)
