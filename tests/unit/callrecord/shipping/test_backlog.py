"""The files of a worker: whose turn it is, which are done, which are none of ours."""

import os
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

import callrecord.shipping.backlog
from callrecord.events import CallEnded, Message, now
from callrecord.outbox.directory import OutboxHome, WorkerDirectory
from callrecord.outbox.reader import Entry, entry_of
from callrecord.outbox.writer import OutboxWriter
from callrecord.shipping.backlog import OutboxFiles
from callrecord.shipping.call_file import Shipment
from tests.unit.callrecord.calls import ended, message, started, usage, write


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[WorkerDirectory]:
    taken = OutboxHome(tmp_path).take()
    yield taken
    taken.release()


def ship_all(tails: OutboxFiles) -> dict[Path, list[object]]:
    """Look at the files as the shipper does until nothing comes; return what came of each."""
    found: dict[Path, list[object]] = {}
    while True:
        tails.scan()
        portions = tails.gather()
        for each in portions:
            found.setdefault(each.tail.path, []).extend(each.pending)
            each.pending.clear()
        tails.finish()
        if not portions:
            return found


def ends_of(items: list[object]) -> list[str]:
    events = [item.event for item in items if isinstance(item, Entry)]
    return [event.end_reason for event in events if isinstance(event, CallEnded)]


def test_a_shipped_file_is_removed_and_a_living_writers_is_not(directory: WorkerDirectory) -> None:
    done = write(directory.path, started(), message(), ended())
    living = OutboxWriter(directory.path, started())
    tails = OutboxFiles([directory])
    found = ship_all(tails)
    assert ends_of(found[done]) == ["caller_hangup"]
    assert ends_of(found[living.path]) == []
    assert directory.files() == [living.path]
    living.append(message())
    assert len(ship_all(tails)[living.path]) == 1
    living.close()
    assert ends_of(ship_all(tails)[living.path]) == ["worker_crashed"]
    assert directory.files() == []
    tails.close()


def test_a_crash_that_was_not_seen_is_dated_by_its_last_word(directory: WorkerDirectory) -> None:
    path = write(directory.path, started(), message())
    os.utime(path, (1_700_000_000, 1_700_000_000))
    tails = OutboxFiles([directory])
    (last,) = [item for item in ship_all(tails)[path] if isinstance(item, Entry)][-1:]
    assert isinstance(last.event, CallEnded)
    assert last.event.at.timestamp() == 1_700_000_000
    assert last.sequence == 4
    tails.close()


def test_a_crash_while_nothing_can_be_shipped_is_dated_by_when_it_was_seen(
    directory: WorkerDirectory,
) -> None:
    """Not by when the database is back, perhaps an hour later."""
    writer = OutboxWriter(directory.path, started())
    tails = OutboxFiles([directory])
    ship_all(tails)
    writer.append(message())
    (each,) = tails.gather()  # what is not delivered keeps the end from being read
    writer.close()
    tails.sync()
    seen_by = now()
    each.pending.clear()
    while now() == seen_by:
        pass
    (last,) = [item for item in ship_all(tails)[writer.path] if isinstance(item, Entry)]
    assert isinstance(last.event, CallEnded)
    assert last.event.at <= seen_by
    tails.close()


def test_a_call_without_a_readable_header_is_still_a_call_that_ends(
    directory: WorkerDirectory,
) -> None:
    path = write(directory.path, header := started(), message())
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([b"#" + lines[0], b"#" + lines[1], *lines[2:]]))
    tails = OutboxFiles([directory])
    tails.scan()
    (each,) = tails.gather()
    assert (each.header.key, each.header.job_id) == (header.key, header.job_id)
    each.pending.clear()
    assert ends_of(ship_all(tails)[path]) == ["worker_crashed"]
    tails.close()


def test_an_empty_file_goes_and_a_foreign_one_stays(directory: WorkerDirectory) -> None:
    (directory.path / f"AJ_1.{started().key.hex}.events").touch()
    foreign = [directory.path / name for name in ("notes.events", "AJ_1.x.events")]
    foreign.append(
        Path(os.fsdecode(os.fsencode(directory.path) + b"/\xff.0" + b"0" * 31 + b".events"))
    )
    for path in foreign:
        path.write_bytes(b"not ours\n")
    tails = OutboxFiles([directory])
    assert ship_all(tails) == {}
    assert len(tails) == 0
    assert set(directory.files()) == set(foreign)
    tails.close()


def test_a_file_of_garbage_is_kept_aside_and_makes_no_call(directory: WorkerDirectory) -> None:
    path = directory.path / f"AJ_1.{started().key.hex}.events"
    path.write_bytes(b"garbage\nmore garbage")
    tails = OutboxFiles([directory])
    found = ship_all(tails)
    assert [getattr(item, "raw", None) for item in found[path]] == [b"garbage", b"more garbage"]
    assert not path.exists()
    tails.close()


def test_a_note_goes_when_its_jobs_file_stands(directory: WorkerDirectory) -> None:
    header = started()
    directory.note_accepted(header)
    write(directory.path, header)
    tails = OutboxFiles([directory])
    tails.scan()
    assert directory.accepted() == []
    tails.close()


def test_an_adopted_directory_is_removed_when_it_is_shipped(
    tmp_path: Path, directory: WorkerDirectory
) -> None:
    home = OutboxHome(tmp_path)
    other = home.take()
    living = OutboxWriter(other.path, started())
    dead = write(other.path, started(), ended())
    other.release()
    tails = OutboxFiles([directory])
    for adopted in home.adopt():
        tails.adopt(adopted)
    assert set(ship_all(tails)) == {living.path, dead}
    assert [each.path for each in tails.adopted] == [other.path]
    living.append(ended())
    living.close()
    assert ends_of(ship_all(tails)[living.path]) == ["caller_hangup"]
    ship_all(tails)
    assert tails.adopted == []
    assert not other.path.exists()
    tails.close()


def test_a_living_call_waits_for_no_backlog(
    directory: WorkerDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callrecord.shipping.backlog, "BATCH_EVENTS", 10)
    living = OutboxWriter(directory.path, started())
    tails = OutboxFiles([directory])
    ship_all(tails)
    for _ in range(30):
        write(directory.path, started(), *(message() for _ in range(5)), ended())
    living.append(message())
    tails.scan()
    assert living.path in [each.tail.path for each in tails.gather()]
    living.close()
    tails.close()


def test_a_new_call_waits_for_no_backlog(
    directory: WorkerDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The calls of the backlog were seen alive, too; they ended while the database was away."""
    monkeypatch.setattr(callrecord.shipping.backlog, "BATCH_EVENTS", 10)
    tails = OutboxFiles([directory])
    for _ in range(30):
        writer = OutboxWriter(directory.path, started())
        tails.scan()
        for _ in range(5):
            writer.append(message())
        writer.close()
    tails.sync()
    for _ in range(10):
        with closing(OutboxWriter(directory.path, started())) as living:
            living.append(message())
            tails.scan()
            portions = tails.gather()
            assert living.path in [each.tail.path for each in portions]
            for each in portions:
                each.pending.clear()
        tails.sync()
    tails.close()


def test_what_waits_in_memory_is_bounded_however_often_delivery_fails(
    directory: WorkerDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callrecord.shipping.backlog, "BATCH_EVENTS", 10)
    writers = [OutboxWriter(directory.path, started()) for _ in range(20)]
    for _ in range(20):
        write(directory.path, started(), *(message() for _ in range(5)), ended())
    tails = OutboxFiles([directory])
    for _ in range(50):
        for writer in writers:
            writer.append(message())
        tails.scan()
        portions = tails.gather()
        tails.read_ahead(portions)
    first = {each.tail.path for each in portions}
    assert sum(len(each.pending) for each in tails._shipments.values()) < 40, "two batches"
    assert {each.tail.path for each in tails.gather()} == first, "the same, until it is stored"
    for writer in writers:
        writer.close()
    tails.close()


def test_another_batch_of_a_backlog_is_read_while_one_is_stored(
    directory: WorkerDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callrecord.shipping.backlog, "BATCH_EVENTS", 10)
    living = OutboxWriter(directory.path, started())
    tails = OutboxFiles([directory])
    ship_all(tails)
    for _ in range(20):
        write(directory.path, started(), *(message() for _ in range(5)), ended())
    tails.scan()
    portions = tails.gather()
    living.append(message())
    tails.read_ahead(portions)
    for each in portions:
        each.pending.clear()
    ahead = {path for path, each in tails._shipments.items() if each.pending}
    assert living.path in ahead
    assert {each.tail.path for each in tails.gather()} == ahead
    living.close()
    tails.close()


def test_nothing_is_read_ahead_of_what_is_no_backlog(directory: WorkerDirectory) -> None:
    write(directory.path, started(), message())
    tails = OutboxFiles([directory])
    tails.scan()
    portions = tails.gather()
    write(directory.path, started(), message())
    tails.scan()
    tails.read_ahead(portions)
    assert [each for each in tails._shipments.values() if each.pending] == portions
    tails.close()


def test_calls_of_a_backlog_take_turns(
    directory: WorkerDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callrecord.shipping.backlog, "BATCH_EVENTS", 4)
    monkeypatch.setattr("callrecord.outbox.reader.CHUNK", 2000)
    paths = {write(directory.path, started(), *(message() for _ in range(50))) for _ in range(5)}
    tails = OutboxFiles([directory])
    tails.scan()
    first: set[Path] = set()
    for _ in range(5):
        for each in tails.gather():
            first.add(each.tail.path)
            each.pending.clear()
    assert first == paths
    tails.close()


def test_a_held_call_is_not_gathered(directory: WorkerDirectory) -> None:
    write(directory.path, started(), message())
    tails = OutboxFiles([directory])
    tails.scan()
    (each,) = tails.gather()
    each.held_until = float("inf")
    assert tails.gather() == []
    tails.close()


def test_a_removed_directory_is_nothing_left_to_ship(
    tmp_path: Path, directory: WorkerDirectory
) -> None:
    home = OutboxHome(tmp_path)
    other = home.take()
    tails = OutboxFiles([directory])
    tails.adopt(other)
    (other.path / "worker.lock").unlink()
    other.path.rmdir()
    tails.scan()
    assert tails.adopted == []
    tails.close()


def test_a_shipments_header_is_its_files(directory: WorkerDirectory) -> None:
    path = write(directory.path, header := started())
    tails = OutboxFiles([directory])
    tails.scan()
    (each,) = tails.gather()
    assert isinstance(each, Shipment)
    assert each.header == header
    assert UUID(path.stem.rpartition(".")[2]) == header.key
    tails.close()


def test_a_crash_cuts_the_turns_that_were_being_spoken(directory: WorkerDirectory) -> None:
    """Those that were committed stay as they are."""
    draft, done = message("Once upon", metadata={"final": False}), message("Hello.")
    begun = message("Hel", id=done.id, metadata={"final": False})
    passed = message("Er", metadata={"passed_over": True})
    path = write(directory.path, started(), begun, passed, done, draft)
    tails = OutboxFiles([directory])
    items = [item for item in ship_all(tails)[path] if isinstance(item, Entry)]
    newest = {item.event.id: item.event for item in items if isinstance(item.event, Message)}
    assert [(each.content, each.interrupted) for each in newest.values()] == [
        ("Hello.", False),
        ("Er", False),  # LiveKit passed it over, and the call went on
        ("Once upon", True),
    ]
    cut = next(item for item in reversed(items) if isinstance(item.event, Message))
    assert entry_of(cut.raw, 0) == Entry(cut.event, cut.sequence, 0, cut.raw)
    assert ends_of(list(items)) == ["worker_crashed"]
    numbers = [item.sequence for item in items]
    assert numbers == sorted(set(numbers))
    tails.close()


def test_of_a_reply_that_a_crash_cuts_it_is_known_what_was_written_and_how_long_it_sounded(
    directory: WorkerDirectory,
) -> None:
    """Nothing of it was heard if it had not begun to sound."""
    draft: dict[str, Any] = {"role": "assistant", "metadata": {"final": False}}
    begun = now() - timedelta(seconds=3)
    sounding = message("Once upon a time.", speech_started_at=begun, **draft)
    silent = message("And then.", **draft)
    path = write(directory.path, started(), sounding, silent)
    tails = OutboxFiles([directory])
    items = [item.event for item in ship_all(tails)[path] if isinstance(item, Entry)]
    newest = {event.id: event for event in items if isinstance(event, Message)}
    heard, unheard = newest[sounding.id], newest[silent.id]
    assert heard.content == "Once upon a time."
    assert heard.metadata == {"final": False, "content": "written"}
    assert heard.audio_duration_ms is not None
    assert 2_900 <= heard.audio_duration_ms < 60_000
    assert (unheard.content, unheard.generated_content) == ("", "And then.")
    assert unheard.metadata == {"unheard": True}
    assert heard.interrupted
    assert unheard.interrupted
    tails.close()


@pytest.mark.parametrize(
    ("requests", "gaps"),
    [
        ((), ["the job died: usage that it had not reported is unknown"]),
        (("ended",), ["the job died: usage that it had not reported is unknown"]),
        (("open", "ended", "open"), ["llm acme/m-1: 2 cut by the job's death"]),
    ],
)
def test_a_crash_leaves_the_ledger_incomplete_and_says_what_was_open(
    directory: WorkerDirectory, requests: tuple[str, ...], gaps: list[str]
) -> None:
    rows = [usage(provider="acme", model="m-1", metadata={"open": True}) for _ in requests]
    ends = [
        msgspec.structs.replace(row, metadata={})
        for row, state in zip(rows, requests, strict=True)
        if state == "ended"
    ]
    path = write(directory.path, started(), *rows, *ends)
    tails = OutboxFiles([directory])
    items = ship_all(tails)[path]
    (end,) = [item.event for item in items if isinstance(item, Entry) and _is_end(item)]
    assert isinstance(end, CallEnded)
    assert (end.usage_complete, end.usage_gaps) == (False, gaps)
    tails.close()


def _is_end(item: Entry) -> bool:
    return isinstance(item.event, CallEnded)
