"""The writer of an outbox file: what it took in survives its process, and its lock does not."""

import fcntl
import os
import resource
import signal
import subprocess
from pathlib import Path

import pytest

from callrecord.events import encode
from callrecord.outbox.writer import OutboxWriter, frame, job_of
from tests.unit.callrecord.calls import ended, events_of, message, read_all, started


def is_locked(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def test_a_file_is_locked_and_has_its_header_twice_as_soon_as_it_is_there(tmp_path: Path) -> None:
    header = started(job_id="AJ_with.dots")
    writer = OutboxWriter(tmp_path, header)
    assert [path.name for path in tmp_path.iterdir()] == [writer.path.name]
    assert is_locked(writer.path)
    assert writer.path.read_bytes() == frame(1, encode(header)) + frame(2, encode(header))
    assert job_of(writer.path) == "AJ_with.dots"
    writer.close()
    writer.close()
    assert not is_locked(writer.path)
    with pytest.raises(ValueError, match="append of Message"):
        writer.append(message())


def test_an_event_that_cannot_be_encoded_leaves_no_gap(tmp_path: Path) -> None:
    writer = OutboxWriter(tmp_path, started())
    endless: dict[str, object] = {}
    endless["again"] = endless
    with pytest.raises(RecursionError):
        writer.append(message(metadata=endless))
    last = message()
    writer.append(last)
    writer.close()
    assert events_of(read_all(writer.path)) == [last]
    assert writer.appended == 1


def test_a_file_that_cannot_be_made_leaves_nothing_behind(tmp_path: Path) -> None:
    header = started()
    pid = os.fork()
    if pid == 0:  # the limit would stay for the whole process
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
        try:
            OutboxWriter(tmp_path, header)
        except OSError:
            os._exit(0)
        os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
def test_a_file_that_anything_interrupts_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    def interrupted(*_: object) -> None:
        raise error

    monkeypatch.setattr(OutboxWriter, "_write_out", interrupted)
    with pytest.raises(error):
        OutboxWriter(tmp_path, started())
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_holds_events_in_memory_and_writes_them_later(tmp_path: Path) -> None:
    header, events = started(), [message(f"{n} " + "x" * 500) for n in range(20)]
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        writer = OutboxWriter(tmp_path, header)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4000, limits[1]))  # in the middle of a line
        for event in events[:15]:
            writer.append(event)
        held = writer.held_bytes > 0 and writer.failed_writes > 1 and not writer.flush()
        full = writer.path.stat().st_size == 4000
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        for event in events[15:]:
            writer.append(event)
        empty = writer.held_bytes == 0 and writer.flush()
        os._exit(0 if held and full and empty else 1)  # killed: not even closed
    assert os.waitpid(pid, 0)[1] == 0
    (path,) = tmp_path.iterdir()
    assert events_of(read_all(path)) == events


def test_a_forked_child_neither_keeps_the_lock_nor_can_write(tmp_path: Path) -> None:
    writer = OutboxWriter(tmp_path, started())
    hold, let_go = os.pipe()
    ready, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(let_go)
        os.write(tell, b"1" if writer.closed else b"0")
        os.read(hold, 1)  # lives on, as a child of a tool does
        os._exit(0)
    os.close(hold)
    try:
        assert os.read(ready, 1) == b"1"
        writer.append(ended())
        writer.close()
        assert not is_locked(writer.path)
    finally:
        os.close(let_go)
        os.waitpid(pid, 0)
        os.close(ready)
        os.close(tell)
    assert len(events_of(read_all(writer.path))) == 1


@pytest.mark.parametrize("close_fds", [True, False])
def test_a_started_program_does_not_keep_the_lock(tmp_path: Path, *, close_fds: bool) -> None:
    writer = OutboxWriter(tmp_path, started())
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, close_fds=close_fds) as child:
        writer.close()
        assert not is_locked(writer.path)
        child.communicate()
