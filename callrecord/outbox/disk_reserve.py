"""Space on the outbox disk: refuses new calls before it is full, keeps some for running calls."""

import shutil
from pathlib import Path

from callrecord.outbox.writer import RESERVE
from callrecord.privacy import private_logger

logger = private_logger("voice.disk")

RESERVE_BYTES = 1024 * 1024
"""Reserved so that running calls can write their last events when the disk is full."""


class DiskReserve:
    """A file of real bytes in the worker's directory, which is removed when the disk is full.

    Either the worker, which checks once a second, removes it, or a call whose write failed.
    """

    def __init__(self, directory: Path, *, low_bytes: int) -> None:
        """`low_bytes`: free space below which the worker accepts no new calls."""
        self._file = directory / RESERVE
        self._low = low_bytes

    def nearly_full(self) -> bool:
        """Return whether new calls should go to another worker."""
        return shutil.disk_usage(self._file.parent).free < self._low

    def adjust(self) -> None:
        """Remove the reserve when the disk is nearly full, and write it again when it is not.

        Raises:
            OSError: It can't be written, for instance because of a quota.
        """
        free = shutil.disk_usage(self._file.parent).free
        exists = self._file.exists()
        if exists and free < RESERVE_BYTES:
            self._file.unlink(missing_ok=True)
            logger.error("disk full, released the reserve: free space", extra={"free": free})
        elif not exists and free > self._low + RESERVE_BYTES:
            try:
                self._file.write_bytes(b"\0" * RESERVE_BYTES)
            except OSError:
                self._file.unlink(missing_ok=True)  # a partial reserve would count as a whole one
                raise

    def remove(self) -> None:
        """Remove the file when the worker exits."""
        self._file.unlink(missing_ok=True)
