"""Room on the outbox's disk: refuse calls before it is full, and keep some for those that run."""

import shutil
from pathlib import Path

from callrecord.outbox.writer import RESERVE
from callrecord.privacy import private_logger

logger = private_logger("voice.disk")

RESERVE_BYTES = 1024 * 1024
"""Held back so that running calls can write their end when the disk is full."""


class DiskReserve:
    """A file of real bytes in the worker's directory, given back when the disk runs out.

    By whoever notices first: the worker, which looks once a second, or a call whose write the disk
    has refused.
    """

    def __init__(self, directory: Path, *, low_bytes: int) -> None:
        """`low_bytes`: free space below which no new calls are taken."""
        self._file = directory / RESERVE
        self._low = low_bytes

    def nearly_full(self) -> bool:
        """Return whether new calls should go to another worker."""
        return shutil.disk_usage(self._file.parent).free < self._low

    def tend(self) -> None:
        """Give the reserve back when space is nearly gone, make it anew when there is space.

        Raises:
            OSError: The disk does not take it, by a quota for instance.
        """
        free = shutil.disk_usage(self._file.parent).free
        exists = self._file.exists()
        if exists and free < RESERVE_BYTES:
            self._file.unlink(missing_ok=True)
            logger.error("disk full, gave the reserve to running calls", extra={"free": free})
        elif not exists and free > self._low + RESERVE_BYTES:
            try:
                self._file.write_bytes(b"\0" * RESERVE_BYTES)
            except OSError:
                self._file.unlink(missing_ok=True)  # half a reserve would look like a whole one
                raise

    def remove(self) -> None:
        """Remove the file: the worker ends."""
        self._file.unlink(missing_ok=True)
