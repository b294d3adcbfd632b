"""A small disk that a test can fill."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(place: Path, size: str, *, owner: int = 0) -> Iterator[Path]:
    """Mount a tmpfs of that size; skip the test if we may not.

    Args:
        place: Where; it is made.
        size: As tmpfs takes it, `1m`.
        owner: User id that may write to it.
    """
    place.mkdir()
    options = f"size={size},uid={owner},mode=700"
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        why = done.stderr.strip() if done.returncode else ""
    except FileNotFoundError:
        why = "there is no mount"
    if why:
        pytest.skip(f"no tmpfs can be mounted here, by RLIMIT_FSIZE only: {why}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(disk: Path) -> Path:
    """Fill a disk to its last byte; return the file to remove. Again, it grows."""
    filler = disk / "filler"
    with filler.open("ab", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    return filler
