"""Reading outbox files: any chunks, any damage, and the end only under the lock."""

import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import callrecord.outbox.reader
from callrecord.events import CallStarted, Event, decode, encode
from callrecord.outbox.reader import Damage, Entry, Tail
from callrecord.outbox.writer import OutboxWriter, frame
from tests.unit.callrecord.calls import (
    connected,
    damage_of,
    ended,
    events_of,
    leg,
    message,
    read_all,
    started,
    write,
)
from tests.unit.callrecord.calls import usage as request

AGAIN = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
EVENTS = st.lists(
    st.one_of(
        st.builds(message, st.text(max_size=30)),
        st.builds(leg, st.text(max_size=9)),
        st.builds(request, st.integers(0, 10**9)),
        st.just(connected()),
        st.just(ended()),
    ),
    max_size=8,
)


def file_with(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / f"AJ_1.{started().key.hex}.events"
    path.write_bytes(data)
    return path


def lines_of(header: CallStarted, events: list[Event]) -> list[bytes]:
    return [frame(n, encode(e)) for n, e in enumerate([header, header, *events], start=1)]


@contextmanager
def chunks_of(size: int) -> Iterator[None]:
    before, callrecord.outbox.reader.CHUNK = callrecord.outbox.reader.CHUNK, size
    try:
        yield
    finally:
        callrecord.outbox.reader.CHUNK = before


@AGAIN
@given(events=EVENTS, chunk=st.integers(1, 300))
def test_what_was_written_is_read_in_any_chunks(
    tmp_path: Path, events: list[Event], chunk: int
) -> None:
    with chunks_of(chunk):
        found = read_all(write(tmp_path, started(), *events))
    assert events_of(found) == [decode(encode(event)) for event in events]
    assert [item.sequence for item in found if isinstance(item, Entry)] == list(
        range(1, len(events) + 3)
    )


@AGAIN
@given(events=EVENTS, chunk=st.integers(1, 300), data=st.data())
def test_one_flipped_bit_costs_one_event_at_most_and_that_is_kept_aside(
    tmp_path: Path, events: list[Event], chunk: int, data: st.DataObject
) -> None:
    lines = lines_of(started(), events)
    whole = bytearray(b"".join(lines))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= 1 << data.draw(st.integers(0, 7))
    path = file_with(tmp_path, bytes(whole))
    with chunks_of(chunk):
        found = read_all(path)
    path.unlink()
    ends = [sum(map(len, lines[: n + 1])) for n in range(len(lines))]
    hit = next(n for n, end in enumerate(ends, start=1) if place < end)
    read = [item.sequence for item in found if isinstance(item, Entry)]
    expected = list(range(1, len(lines) + 1))
    assert read in (expected, [number for number in expected if number != hit])
    # Every byte is in an event or kept aside, at the place where it stands.
    covered = {place}
    for item in found:
        assert whole[item.offset : item.offset + len(item.raw)] == item.raw
        covered.update(range(item.offset, item.offset + len(item.raw)))
    assert {whole[n] for n in set(range(len(whole))) - covered} <= {ord("\n")}


@AGAIN
@given(events=EVENTS, cut=st.integers(0, 10_000))
def test_a_file_cut_anywhere_gives_its_whole_lines_and_keeps_the_rest(
    tmp_path: Path, events: list[Event], cut: int
) -> None:
    lines = lines_of(started(), events)
    whole = b"".join(lines)
    path = file_with(tmp_path, whole[: min(cut, len(whole))])
    found = read_all(path)
    kept = path.read_bytes()
    path.unlink()
    assert b"\n".join(item.raw for item in found) == kept.rstrip(b"\n")
    ends = [sum(map(len, lines[: n + 1])) for n in range(len(lines))]
    complete = sum(end - 1 <= len(kept) for end in ends)  # its newline may be missing
    assert len([item for item in found if isinstance(item, Entry)]) == complete


def test_a_gap_is_told_at_a_place_of_its_own(tmp_path: Path) -> None:
    lines = lines_of(started(), [message(), message(), message()])
    found = read_all(file_with(tmp_path, b"".join([*lines[:2], lines[4]])))
    (gap,) = damage_of(found)
    assert gap.reason == "2 events missing before 5"
    assert gap.offset not in [item.offset for item in found if isinstance(item, Entry)]


def test_an_unknown_event_of_a_newer_worker_is_kept_aside(tmp_path: Path) -> None:
    lines = lines_of(started(), [])
    strange = frame(3, b'{"type":"hologram","at":1}')
    last = frame(4, encode(ended()))
    found = read_all(file_with(tmp_path, b"".join([*lines, strange, last])))
    assert [item.raw for item in damage_of(found)] == [strange.strip()]
    assert len(events_of(found)) == 1


def test_words_that_look_like_a_line_are_no_line(tmp_path: Path) -> None:
    body = b'3 {"type":"call_ended","at":"2026-01-01T00:00:00Z","end_reason":"error"}'
    said = f"{zlib.crc32(body):08x} {body.decode()}"
    found = read_all(write(tmp_path, started(), message(said), message(said + "\n")))
    assert len(events_of(found)) == 2
    assert damage_of(found) == []


def test_a_damaged_line_full_of_such_words_is_summed_a_few_times_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody may say them in every sentence; and the line behind is found all the same."""
    summed = 0
    crc32 = zlib.crc32

    def counted(data: bytes, value: int = 0) -> int:
        nonlocal summed
        summed += len(data)
        return crc32(data, value)

    header = started()
    *whole, crafted, last = lines_of(header, [message(content="00000000 1 {" * 5000), ended()])
    damaged = bytearray(crafted[:-1] + b"\v")  # the newline is flipped, and two lines are one
    joined = b"".join(whole) + damaged + last
    monkeypatch.setattr("callrecord.outbox.reader.zlib.crc32", counted)
    tail = Tail(file_with(tmp_path, joined))
    found = [item for item in tail.read() if isinstance(item, Entry)]
    assert [item.event for item in found][-1] == ended() or tail.ended
    assert len(found) == len(whole) + 2
    assert summed < 100 * len(joined)
    damaged[100] ^= 1  # its own checksum is wrong too
    tail = Tail(file_with(tmp_path, b"".join(whole) + damaged + last))
    summed = 0
    tail.read()
    assert summed < 100 * len(joined)


def test_the_lock_tells_whether_the_writer_lives(tmp_path: Path) -> None:
    writer = OutboxWriter(tmp_path, started())
    tail = Tail(writer.path)
    assert not tail.try_finish()
    assert tail.seen_alive
    writer.close()
    assert tail.try_finish()
    assert tail.locked
    tail.close(remove=True)
    assert not writer.path.exists()


def test_another_file_of_the_same_name_is_not_removed(tmp_path: Path) -> None:
    path = write(tmp_path, started())
    tail = Tail(path)
    path.unlink()
    path.write_bytes(b"somebody else's")
    tail.close(remove=True)
    assert path.exists()
    with pytest.raises(FileNotFoundError):
        Tail(tmp_path / "gone")


def test_the_last_event_is_never_lost_to_the_finish(tmp_path: Path) -> None:
    for _ in range(150):
        writer = OutboxWriter(tmp_path, started())
        tail = Tail(writer.path)
        found: list[Entry | Damage] = []

        def job(writer: OutboxWriter = writer) -> None:
            for n in range(3):
                writer.append(message(str(n)))
            writer.append(ended())
            writer.close()

        thread = threading.Thread(target=job)
        thread.start()
        while not tail.try_finish():
            found += tail.read()
        while tail.grown():
            found += tail.read()
        thread.join()
        tail.close(remove=True)
        assert len(events_of(found)) == 4
        assert tail.ended


@AGAIN
@given(events=EVENTS, cut=st.integers(0, 60), tail=st.sampled_from([0, 5_000, 40_000]))
def test_the_last_event_is_known_without_reading_the_file(
    tmp_path: Path, events: list[Event], cut: int, tail: int
) -> None:
    """Behind long lines too; one that is just being written counts once its number stands."""
    events = [*events, message("x" * tail)] if tail else events
    lines = lines_of(started(), events)
    path = file_with(tmp_path, b"".join(lines) + frame(len(lines) + 1, encode(ended()))[:cut])
    written = Tail(path)
    assert written.written() - len(lines) in (
        (1,) if cut > len(f"{0:08x} {len(lines) + 1}") else (0,)
    )
    assert written.unread() == path.stat().st_size
    written.read()
    assert written.unread() == 0
    written.close(remove=False)
