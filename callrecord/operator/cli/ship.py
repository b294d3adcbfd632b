"""`python -m db ship`: runs the shipper as a separate process, for workers that do not ship."""

import asyncio
import json
import logging
import os
import signal
import threading
from argparse import ArgumentParser, Namespace
from datetime import UTC, datetime

from callrecord.outbox.directory import OutboxHome
from callrecord.outbox.disk_reserve import DiskReserve
from callrecord.postgres.store import check_schema_if_there
from callrecord.privacy import Private, private_logger, values_of
from callrecord.shipping.heartbeat import Heartbeat, Identity
from callrecord.shipping.settings import ShipSettings
from callrecord.shipping.shipper import Shipper, ShipperOptions

NAME = "ship"
HELP = "ship the call records of this host's agents to Postgres, until SIGTERM"

ADOPT_EVERY_S = 0.5
"""Short, because each call may be in a new subdirectory."""

logger = private_logger("voice.ship")


def add_arguments(_parser: ArgumentParser) -> None:
    """Declare nothing: all settings are in the environment, as for a worker."""


def run(_arguments: Namespace) -> int:
    """Ship until SIGTERM or SIGINT, then ship the rest; what still waits stays on the disk."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    _log()
    settings = ShipSettings.of(os.environ)
    home = OutboxHome(settings.outbox_dir)
    asyncio.run(check_schema_if_there(settings.dsn))
    directory = home.take()
    reserve = DiskReserve(directory.path, low_bytes=settings.min_free_mb * 1024 * 1024)
    options = ShipperOptions(adopt_every_s=ADOPT_EVERY_S)
    identity = Identity(directory.worker_id, kind="sidecar")
    shipper = Shipper(
        home,
        directory,
        settings.dsn,
        reserve=reserve,
        heartbeat=Heartbeat(settings.dsn, identity, settings.rhythm),
        options=options,
    )
    shipper.start()
    logger.info("shipping", extra={"outbox": str(home.root), "directory": directory.path.name})
    stop.wait()
    shipper.stop(settings.ship_timeout_s)
    reserve.remove()
    directory.release()
    return 0


def _log() -> None:
    formatter = _Json() if os.environ.get("AGENT_LOG_FORMAT") == "json" else _Line()
    private = Private()
    for handler in logging.getLogger().handlers:
        handler.addFilter(private)  # also for lines of libraries, such as asyncio
        handler.setFormatter(formatter)
    logging.getLogger("voice").setLevel(logging.INFO)


def _when(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


class _Line(logging.Formatter):
    """For people: time, level, message and values."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and below it the traceback, if there is one."""
        values = "".join(f" {key}={value}" for key, value in values_of(record).items())
        line = f"{_when(record)} {record.levelname.lower()} {record.getMessage()}{values}"
        return line + (f"\n{record.exc_text}" if record.exc_text else "")


class _Json(logging.Formatter):
    """For machines: one JSON object per line, with the same keys as the worker's log."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the object."""
        known = {
            "message": record.getMessage(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "timestamp": _when(record),
        }
        if record.exc_text:
            known["exception"] = record.exc_text
        return json.dumps(known | values_of(record), default=str)
