"""A process that records: prints each message's id and when it was appended (monotonic, ns)."""

import sys
import time
from pathlib import Path

from bench.workload import header, message
from callrecord.events import CallConnected, CallEnded, now
from callrecord.outbox.writer import OutboxWriter
from callrecord.recording.recorder import Recorder


def main() -> int:
    """Append COUNT messages, RATE a second, to a file in DIRECTORY."""
    directory, count, rate = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    head = header()
    recorder = Recorder(OutboxWriter(directory, head))
    print(head.key, flush=True)
    recorder.append(CallConnected(at=now()))
    due = time.monotonic()
    for number in range(count):
        due += 1 / rate
        time.sleep(max(0.0, due - time.monotonic()))
        event = message(number)
        at = time.monotonic_ns()
        recorder.append(event)
        print(event.id, at, flush=True)
    recorder.append(CallEnded(at=now(), end_reason="caller_hangup"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
