"""A process that writes what so many calls record in so many minutes, as fast as it is told to."""

import sys
import time
from pathlib import Path

from bench.backpressure.calls import EXCHANGES_A_MINUTE, begin, end, exchange
from bench.workload import header
from callrecord.outbox.writer import OutboxWriter

CALL_MINUTES = 5


def main() -> int:
    """Write to DIRECTORY, CALLS at once, MINUTES of them in SECONDS; print events and bytes."""
    directory, calls, minutes, seconds = Path(sys.argv[1]), *map(int, sys.argv[2:5])
    began, events, size = time.monotonic(), 0, 0
    writers: list[OutboxWriter] = []
    for minute in range(minutes):
        if minute % CALL_MINUTES == 0:
            size += _end(writers)
            writers = [OutboxWriter(directory, header()) for _ in range(calls)]
            for writer in writers:
                for event in begin():
                    writer.append(event)
        for turn in range(EXCHANGES_A_MINUTE):
            for writer in writers:
                for event in exchange():
                    writer.append(event)
            done = (minute + (turn + 1) / EXCHANGES_A_MINUTE) / minutes
            time.sleep(max(0.0, began + done * seconds - time.monotonic()))
        if minute % CALL_MINUTES == CALL_MINUTES - 1 or minute == minutes - 1:
            events += sum(writer.appended + 1 for writer in writers)
    size += _end(writers)
    print(events, size)
    return 0


def _end(writers: list[OutboxWriter]) -> int:
    size = 0
    for writer in writers:
        writer.append(end())
        size += writer.path.stat().st_size
        writer.close()
    return size


if __name__ == "__main__":
    sys.exit(main())
