"""What the outbox's disk is, and bringing data to it."""

import fcntl
import os
from pathlib import Path

import pytest

import callrecord.outbox.local_disk as disk
from callrecord.errors import Stop
from callrecord.outbox.local_disk import check_local, file_system, sync_data, sync_directory

MOUNTS = r"""
/dev/vda / ext4 rw 0 0
tmpfs /run/with\040blank tmpfs rw 0 0
server:/calls /srv nfs4 rw 0 0
/dev/vdb /srv/local xfs rw 0 0
"""


@pytest.fixture
def mounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table of mounts of our own."""
    table = tmp_path / "mounts"
    table.write_text(MOUNTS.lstrip())
    monkeypatch.setattr(disk, "_MOUNTS", table)
    return table


@pytest.mark.linux
def test_the_kernel_names_the_file_system() -> None:
    assert file_system(Path("/proc/self")) == "proc"


@pytest.mark.usefixtures("mounts")
@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/me", "ext4"),
        ("/run/with blank/outbox", "tmpfs"),
        ("/srv/outbox", "nfs4"),
        ("/srv/local/outbox", "xfs"),
        ("/srv/locally", "nfs4"),
    ],
)
def test_the_innermost_mount_tells(path: str, kind: str) -> None:
    assert file_system(Path(path)) == kind


def test_without_a_table_of_mounts_nothing_is_known(mounts: Path) -> None:
    mounts.unlink()
    assert file_system(Path("/srv")) == ""


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs"])
def test_a_network_file_system_stops_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(disk, "file_system", lambda _path: kind)
    with pytest.raises(Stop, match=f"^X=y is on {kind}: set a directory on a local disk"):
        check_local(tmp_path, "X=y")


@pytest.mark.parametrize(("kind", "warns"), [("overlay", 1), ("tmpfs", 1), ("ext4", 0), ("", 0)])
def test_a_directory_that_a_restart_empties_is_warned_about(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    kind: str,
    warns: int,
) -> None:
    monkeypatch.setattr(disk, "file_system", lambda _path: kind)
    check_local(tmp_path, "X=y")
    assert len(caplog.records) == warns


@pytest.mark.parametrize("lacks_fullfsync", [True, False])
def test_data_reaches_the_disk_without_fdatasync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, lacks_fullfsync: bool
) -> None:
    """As on macOS, whose F_FULLFSYNC not every file system takes."""
    synced: list[int] = []
    monkeypatch.delattr(os, "fdatasync", raising=False)
    monkeypatch.setattr(os, "fsync", synced.append)
    asked: list[int] = []

    def full(fd: int, _command: int) -> None:
        asked.append(fd)
        raise OSError

    monkeypatch.setattr(disk, "_FULL_SYNC", None if lacks_fullfsync else 51)
    monkeypatch.setattr(fcntl, "fcntl", full)
    with (tmp_path / "file").open("wb") as file:
        sync_data(file.fileno())
        assert synced == [file.fileno()]
        assert asked == ([] if lacks_fullfsync else [file.fileno()])


def test_a_directory_is_brought_to_the_disk(tmp_path: Path) -> None:
    sync_directory(tmp_path)
    with pytest.raises(FileNotFoundError):
        sync_directory(tmp_path / "gone")
