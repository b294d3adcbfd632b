"""The disk that holds the outbox, on Linux and macOS: its kind, and how to sync data to it."""

import os
import re
from pathlib import Path
from typing import Final

from callrecord.errors import Stop
from callrecord.privacy import private_logger

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

logger = private_logger("voice.outbox")

_NETWORK: Final = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "glusterfs"}
_SHORT_LIVED: Final = {"overlay", "tmpfs", "ramfs"}
_FULL_SYNC: Final[int | None] = getattr(fcntl, "F_FULLFSYNC", None)
"""Only on macOS, where fsync leaves data in the drive's cache (man 2 fsync)."""

_MOUNTS: Final = Path("/proc/self/mounts")


def sync_data(fd: int) -> None:
    """Sync an open file to the disk: its data, and the metadata needed to read it back.

    Raises:
        OSError: The disk has failed.
    """
    if _FULL_SYNC is not None:
        try:
            fcntl.fcntl(fd, _FULL_SYNC)
        except OSError:  # a file system that does not support it
            os.fsync(fd)
    elif hasattr(os, "fdatasync"):
        os.fdatasync(fd)
    else:
        os.fsync(fd)


def sync_directory(directory: Path) -> None:
    """Sync a directory's entries to the disk, so that a new file survives a power loss.

    Raises:
        OSError: The disk has failed.
    """
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def check_local(directory: Path, setting: str) -> None:
    """Warn about a directory that a restart may empty.

    Args:
        directory: An existing directory.
        setting: How messages name it, such as `AGENT_OUTBOX_DIR=var/outbox`.

    Raises:
        Stop: It is on a network file system, where locks are unreliable.
    """
    kind = file_system(directory)
    if kind in _NETWORK or kind.startswith("fuse"):
        raise Stop(f"{setting} is on {kind}: set a directory on a local disk")
    if kind in _SHORT_LIVED:
        logger.warning(
            "outbox directory does not survive a restart, mount a volume",
            extra={"directory": str(directory), "file_system": kind},
        )


def file_system(path: Path) -> str:
    """Return the type of the file system that holds `path`; '' where there is no /proc."""
    try:
        mounts = _MOUNTS.read_text().splitlines()
    except FileNotFoundError:
        return ""
    best = ("", "")
    where = str(path.resolve())
    for line in mounts:
        _, escaped, kind, *_ = line.split(" ")
        # man 5 fstab: blanks, tabs and the like are written as three octal digits.
        mount = re.sub(r"\\([0-7]{3})", lambda digits: chr(int(digits[1], 8)), escaped)
        inside = where == mount or where.startswith(mount.rstrip("/") + "/")
        if inside and len(mount) >= len(best[0]):
            best = (mount, kind)
    return best[1]
