"""Who may read an outbox: its owner alone, whatever the umask says."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from callrecord.outbox.directory import OutboxHome
from callrecord.outbox.writer import OutboxWriter
from tests.unit.callrecord.calls import message, started


@pytest.fixture
def generous_umask() -> Iterator[None]:
    """The umask that takes nothing away."""
    before = os.umask(0o000)
    yield
    os.umask(before)


@pytest.mark.usefixtures("generous_umask")
def test_nobody_else_can_read_what_was_said(tmp_path: Path) -> None:
    home = OutboxHome(tmp_path / "outbox")
    directory = home.take()
    directory.note_accepted(started(metadata={"caller": "Ada"}))
    writer = OutboxWriter(directory.path, started())
    writer.append(message("my secret"))
    modes = {path: path.stat().st_mode & 0o777 for path in (home.root, *home.root.rglob("*"))}
    writer.close()
    directory.release()
    assert len(modes) == 5  # two directories, a lock, a note, a call
    for path, mode in modes.items():
        assert mode == (0o700 if path.is_dir() else 0o600), path
