"""Directories of workers: one owner each, told by a lock, and adopted when it has died."""

import logging
import os
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import pytest

from callrecord.errors import Stop
from callrecord.outbox.directory import LOCK, OutboxHome
from tests.unit.callrecord.calls import started, write

HOLDER = """
import sys
from pathlib import Path
from callrecord.outbox.directory import OutboxHome
directory = OutboxHome(Path(sys.argv[1])).take()
print(directory.path, flush=True)
sys.stdin.read()
"""


def test_a_directory_is_made_once_and_found_again(tmp_path: Path) -> None:
    home = OutboxHome(tmp_path / "new" / "outbox")
    first = home.take()
    assert UUID(first.path.name) == first.worker_id
    first.release()
    again = OutboxHome(home.root).take()
    assert again.worker_id == first.worker_id
    again.release()


def test_two_workers_on_one_outbox_have_a_directory_each(tmp_path: Path) -> None:
    home = OutboxHome(tmp_path)
    first, second = home.take(), home.take()
    assert first.path != second.path
    assert home.adopt() == []
    second.release()
    (adopted,) = home.adopt()
    assert adopted.path == second.path
    for directory in (first, adopted):
        directory.release()


def test_a_killed_workers_directory_is_adopted_and_a_living_ones_is_not(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        path = Path(worker.stdout.readline().decode().strip())
        assert OutboxHome(tmp_path).adopt() == []
        worker.kill()
        worker.wait()
    (adopted,) = OutboxHome(tmp_path).adopt()
    assert adopted.path == path
    adopted.release()


def test_a_forked_child_does_not_keep_a_workers_directory(tmp_path: Path) -> None:
    home = OutboxHome(tmp_path)
    directory = home.take()
    hold, let_go = os.pipe()
    ready, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(let_go)
        os.write(tell, b"1")
        os.read(hold, 1)
        os._exit(0)
    try:
        assert os.read(ready, 1) == b"1"
        directory.release()
        (again,) = home.adopt()
        again.release()
    finally:
        for fd in (let_go, hold, ready, tell):
            os.close(fd)
        os.waitpid(pid, 0)


def test_only_an_empty_directory_is_removed(tmp_path: Path) -> None:
    home = OutboxHome(tmp_path)
    empty, foreign, unshipped = home.take(), home.take(), home.take()
    (foreign.path / "core").write_bytes(b"x")
    path = write(unshipped.path, started())
    for directory in (empty, foreign, unshipped):
        directory.release(remove_if_empty=True)
    assert not empty.path.exists()
    assert (foreign.path / "core").exists()
    assert path.exists()
    left = home.adopt()
    assert {directory.path for directory in left} == {foreign.path, unshipped.path}
    for directory in left:
        directory.release()


def test_a_file_that_was_never_born_keeps_no_directory(tmp_path: Path) -> None:
    home = OutboxHome(tmp_path)
    old, young = home.take(), home.take()
    for directory in (old, young):
        path = directory.path / ".AJ_1.0.events.new"
        path.touch()
        if directory is old:
            os.utime(path, (0, 0))
        directory.release(remove_if_empty=True)
    assert [path.name for path in tmp_path.iterdir()] == [young.path.name]


def test_a_directory_removed_by_somebody_is_no_error(tmp_path: Path) -> None:
    directory = OutboxHome(tmp_path).take()
    (directory.path / LOCK).unlink()
    directory.path.rmdir()
    directory.release(remove_if_empty=True)


def test_what_is_no_workers_directory_is_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "01a205c6-ba69-751b-a61b-94fad182c17a").write_bytes(b"a file")
    broken = tmp_path / "01a205c6-ba69-751b-a61b-94fad182c17b"
    (broken / LOCK).mkdir(parents=True)
    home = OutboxHome(tmp_path)
    with caplog.at_level(logging.WARNING):
        assert home.adopt() == []
    assert "is not shipped" in caplog.text
    taken = home.take()
    taken.release()


def test_only_regular_files_are_outbox_files_and_notes(tmp_path: Path) -> None:
    directory = OutboxHome(tmp_path).take()
    path, note = write(directory.path, started()), directory.note_accepted(started())
    os.mkfifo(directory.path / "pipe.events")
    (directory.path / "folder.events").mkdir()
    (directory.path / "link.events").symlink_to(path)
    assert directory.files() == [path]
    assert directory.accepted() == [note]
    directory.forget_accepted(note)
    directory.forget_accepted(note)
    assert directory.accepted() == []
    directory.release()


def test_a_job_without_a_worker_writes_where_it_is_shipped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Where nothing is shipped yet, in a subdirectory that whoever comes will take."""
    home = OutboxHome(tmp_path)
    first = home.for_one_job()
    assert "nothing ships this outbox" in caplog.text
    assert home.for_one_job() == first
    taken, second = home.take(), home.take()
    assert taken.path == first
    taken.release()
    caplog.clear()
    assert home.for_one_job() == second.path
    assert caplog.text == ""
    second.release()


def test_a_place_that_cannot_be_written_stops_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(
        Stop, match=r"^AGENT_OUTBOX_DIR=\S+ can't be written .*: set a writable directory$"
    ):
        OutboxHome(tmp_path / "file" / "outbox")
    with pytest.raises(Stop, match="AGENT_OUTBOX_DIR=/proc"):
        OutboxHome(Path("/proc"))
