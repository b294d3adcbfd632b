"""Jobs that were accepted and left no event: each becomes a call that says so."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from callrecord.outbox.directory import OutboxHome, WorkerDirectory
from callrecord.outbox.job_notes import settle
from callrecord.outbox.writer import hidden_path, job_of
from tests.unit.callrecord.calls import events_of, key_of, read_all, started, write


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[WorkerDirectory]:
    taken = OutboxHome(tmp_path).take()
    yield taken
    taken.release()


def test_a_job_that_died_before_its_first_event_is_a_crashed_call(
    directory: WorkerDirectory,
) -> None:
    header = started()
    directory.note_accepted(header)
    assert settle(directory, alive=set()) == [header.job_id]
    assert settle(directory, alive=set()) == []
    (path,) = directory.files()
    assert (job_of(path), key_of(path)) == (header.job_id, header.key)
    assert [getattr(e, "end_reason", "") for e in events_of(read_all(path))] == ["worker_crashed"]


def test_living_jobs_and_those_that_wrote_are_left_alone(directory: WorkerDirectory) -> None:
    living, wrote = started(), started()
    notes = [directory.note_accepted(header) for header in (living, wrote)]
    path = write(directory.path, wrote)
    assert settle(directory, alive={living.job_id}) == []
    assert directory.files() == [path]
    assert set(directory.accepted()) == set(notes)  # the shipper takes them when it opens the file


@pytest.mark.parametrize("data", [b"", b'{"type":"call_st', b"\xff\xfe", b'{"type":"\xff"}'])
def test_an_unreadable_note_is_dropped_and_the_others_are_settled(
    directory: WorkerDirectory, data: bytes
) -> None:
    (directory.path / "AJ_0.accepted").write_bytes(data)
    header = started()
    directory.note_accepted(header)
    assert settle(directory, alive=set()) == [header.job_id]
    assert directory.accepted() == []


def test_a_settling_that_was_killed_halfway_is_done_again(directory: WorkerDirectory) -> None:
    header = started()
    directory.note_accepted(header)
    hidden_path(directory.path, header).write_bytes(b"half a line")
    assert settle(directory, alive=set()) == [header.job_id]
    (path,) = directory.files()
    assert [getattr(e, "end_reason", "") for e in events_of(read_all(path))] == ["worker_crashed"]
