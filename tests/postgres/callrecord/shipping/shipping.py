"""A running shipper, a worker to kill, and what came of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from callrecord.outbox.directory import OutboxHome, WorkerDirectory
from callrecord.shipping.shipper import Shipper, ShipperOptions
from tests.postgres.server import Connection

QUICK = ShipperOptions(poll_s=0.005, backoff_max_s=0.2, adopt_every_s=0.1)

WORKER = """
import sys, time
from pathlib import Path
from callrecord.outbox.writer import OutboxWriter
from callrecord.outbox.directory import OutboxHome
from callrecord.shipping.shipper import Shipper
from tests.unit.callrecord.calls import message, started
home = OutboxHome(Path(sys.argv[1]))
directory = home.take()
Shipper(home, directory, sys.argv[2]).start()
writers = [OutboxWriter(directory.path, started()) for _ in range(3)]
number = 0
while True:
    for writer in writers:
        writer.append(message(f"{number}"))
    number += 1
    print(number, flush=True)
    time.sleep(0.001)
"""


@asynccontextmanager
async def shipping(
    root: Path, dsn: str, **options: Any
) -> AsyncIterator[tuple[Shipper, WorkerDirectory]]:
    """Run a worker's shipper; at the end it has shipped all."""
    home = OutboxHome(root)
    directory = home.take()
    shipper = Shipper(home, directory, dsn, options=QUICK, **options)
    shipper.start()
    try:
        yield shipper, directory
    finally:
        await asyncio.to_thread(shipper.stop, 15)
        directory.release()
    assert shipper.stats.backlog_files == 0


async def stored(pg: Connection) -> list[str]:
    rows = await pg.fetch("select content from voice_messages order by call_id, sequence_number")
    return [row[0] for row in rows]


def files_under(root: Path) -> list[Path]:
    return list(root.glob("*/*.events"))
