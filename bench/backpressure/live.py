"""A process of live calls: prints each turn's id, when it was appended, and if it is a first one.

Calls at the true rate, each of them short, so that new ones begin all the time.
"""

import itertools
import random
import sys
import time
from pathlib import Path

from bench.backpressure.calls import EXCHANGES_A_MINUTE, begin, end, exchange
from bench.workload import header
from callrecord.events import Message
from callrecord.outbox.writer import OutboxWriter

EXCHANGES = 3
PAUSE_S = 60 / EXCHANGES_A_MINUTE


class Call:
    """One of the calls at once: ends after a few exchanges, and another one begins."""

    def __init__(self, directory: Path, due: float) -> None:
        self.due = due
        self._directory = directory
        self._writer: OutboxWriter | None = None
        self._left = 0
        self._exchanges = random.randint(1, EXCHANGES)  # noqa: S311 - so that not all begin at once

    def step(self) -> None:
        """Record one exchange."""
        first = self._writer is None
        if self._writer is None:
            self._writer = OutboxWriter(self._directory, header())
            self._left, self._exchanges = self._exchanges, EXCHANGES
            for event in begin():
                self._writer.append(event)
        told = set()
        for event in exchange():
            at = time.monotonic_ns()
            self._writer.append(event)
            if isinstance(event, Message) and event.id not in told:
                told.add(event.id)
                print(event.id, at, int(first), flush=True)
        self._left -= 1
        if self._left == 0:
            self._writer.append(end())
            self._writer.close()
            self._writer = None
        self.due += PAUSE_S


def main() -> int:
    """Hold CALLS at once in DIRECTORY until killed."""
    directory, count = Path(sys.argv[1]), int(sys.argv[2])
    begun = time.monotonic()
    calls = [Call(directory, begun + random.uniform(0, PAUSE_S)) for _ in range(count)]  # noqa: S311
    for _ in itertools.count():
        call = min(calls, key=lambda each: each.due)
        time.sleep(max(0.0, call.due - time.monotonic()))
        call.step()
    return 0


if __name__ == "__main__":
    sys.exit(main())
