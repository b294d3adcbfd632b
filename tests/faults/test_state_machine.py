"""Random histories: outbox, shipper and store against a plain model, with deaths at any step.

The parts are the real ones, and so are files and Postgres. What a job has appended stands in the
ledger; at the end of each history everything is shipped, and `account` finds each event once.
FAULT_EXAMPLES says how many histories, FAULT_SEED repeats those of a run.
"""

# ruff: noqa: D102 - a rule's name says what happens
import asyncio
import os
import random
import shutil
import tempfile
import uuid
from collections.abc import Callable, Coroutine, Iterator
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import asyncpg
import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

import callrecord.outbox.reader
import callrecord.shipping.backlog
import callrecord.shipping.delivery
from callrecord.errors import Hold, Transient
from callrecord.events import Event, Leg, Message, Unhandled, encode
from callrecord.outbox.directory import OutboxHome
from callrecord.outbox.job_notes import settle
from callrecord.outbox.reader import Tail
from callrecord.outbox.refused_files import RefusedEvent
from callrecord.outbox.writer import OutboxWriter, frame
from callrecord.postgres.batch import CallBatch
from callrecord.postgres.store import Applied, Store
from callrecord.shipping.backlog import OutboxFiles
from callrecord.shipping.delivery import Delivery, Stats
from tests.faults.invariant import Recorded, account, name_of, recorded_under
from tests.postgres.applied import pending_row
from tests.postgres.server import Connection
from tests.unit.callrecord.calls import at, connected, ended, leg, message, started, usage

EXAMPLES = int(os.environ.get("FAULT_EXAMPLES", "25"))
SEED = int(os.environ.get("FAULT_SEED") or random.SystemRandom().randrange(2**32))
STEPS = 40
PLACES = (1, 1, 1, 2, 3, 5)
FAULTS = ("crash before", "crash after", "crash before unlink", "away", "reply lost", "hold")


class Died(Exception):  # noqa: N818 - the worker has
    """The worker's process ends here."""


_BEFORE = {"crash before": Died(), "away": Transient("away"), "hold": Hold("a column is missing")}


class FaultyStore(Store):
    """A store that fails at the n-th thing it is asked."""

    fault, countdown = "none", 0

    async def apply(self, calls: list[CallBatch]) -> Applied:
        """Apply a batch, or fail."""
        applied: Applied = await self._or_fail(super().apply(calls))
        return applied

    async def refuse(self, event: RefusedEvent) -> None:
        """Keep an event aside, or fail."""
        await self._or_fail(super().refuse(event))

    async def _or_fail(self, doing: Coroutine[Any, Any, Any]) -> Any:
        self.countdown -= 1
        now = self.countdown == 0 or (self.countdown < 0 and self.fault == "hold")
        fault = self.fault if now else "none"
        if fault in _BEFORE:
            doing.close()
            raise _BEFORE[fault]
        done = await doing
        if fault in ("crash after", "reply lost"):
            raise Died if fault == "crash after" else Transient("reply lost")
        return done


class Worker:
    """A worker's shipper, one look at a time."""

    def __init__(self, home: OutboxHome, store: FaultyStore) -> None:
        self.directory = home.take()
        self._home = home
        self._store = store
        self._files = OutboxFiles([self.directory])
        self._delivery = Delivery("", Stats())
        self._delivery._store = store
        settle(self.directory, alive=set())

    def adopt(self) -> None:
        """Take over what dead workers have left."""
        for directory in self._home.adopt():
            self._files.adopt(directory)
        for directory in self._files.adopted:
            settle(directory, alive=set())

    async def look(self, fault: str = "none", place: int = 1) -> int:
        """Ship once; return how many files are left. Raises Died where the fault says so."""
        self._store.fault, self._store.countdown = fault, place
        self._files.scan()
        try:
            await self._delivery.deliver(self._files.gather())
        except Transient:
            return len(self._files)
        finally:
            self._store.fault = "none"
        if fault == "crash before unlink":
            raise Died
        self._files.finish()
        return len(self._files)

    def die(self) -> None:
        """Leave all as it is: a process that ends gives only its locks back."""
        self._files.close()
        self.directory.release()


class Job:
    """A job that writes, and what it has written."""

    def __init__(self, directory: Path, recorded: Recorded) -> None:
        self.recorded = recorded
        self.writer = OutboxWriter(directory, recorded.header)
        self.copy = b""
        self.flipped = False


class Histories(RuleBasedStateMachine):
    """What can happen to two workers and their jobs."""

    run: ClassVar[Callable[[Coroutine[Any, Any, Any]], Any]]
    store: ClassVar[FaultyStore]
    before_lock: ClassVar[Callable[[Path], None]]
    pg: ClassVar[Connection]

    # Names that are put in order are the same each time: else no history could be repeated.
    names: ClassVar[Iterator[int]]

    def __init__(self) -> None:
        super().__init__()
        type(self).names = count(1)
        self.root = Path(tempfile.mkdtemp(prefix="history-"))
        self.home = OutboxHome(self.root)
        self.workers = [Worker(self.home, self.store)]
        self.jobs: list[Job] = []
        self.noted: list[Recorded] = []

    @property
    def living(self) -> list[Job]:
        """Jobs that write."""
        return [each for each in self.jobs if not each.writer.closed]

    @property
    def there(self) -> list[Job]:
        """Jobs whose files are there."""
        return [each for each in self.jobs if each.writer.path.exists()]

    @property
    def gone(self) -> list[Job]:
        """Jobs whose files were shipped."""
        return [each for each in self.jobs if not each.writer.path.exists()]

    @property
    def turns(self) -> list[Message]:
        """What was said."""
        events = [event for each in self.jobs for event in each.recorded.events]
        return [event for event in events if isinstance(event, Message)]

    @property
    def ledger(self) -> list[Recorded]:
        """All that was recorded."""
        return [each.recorded for each in self.jobs] + self.noted

    @precondition(lambda self: len(self.jobs) < 4 and self.workers)
    @rule(data=st.data(), front_end=st.booleans())
    def a_job_begins(self, data: st.DataObject, *, front_end: bool) -> None:
        header = started(job_id=f"AJ_{len(self.jobs)}")
        if front_end:
            type(self).run(pending_row(self.pg, header.room_name))
        worker = data.draw(st.sampled_from(self.workers))
        self.jobs.append(Job(worker.directory.path, Recorded(header, hit=set())))

    @precondition(lambda self: len(self.noted) < 2 and self.workers)
    @rule()
    def a_job_is_accepted_and_dies_at_once(self) -> None:
        self.noted.append(Recorded(started(job_id=f"AJ_noted_{len(self.noted)}")))
        self.workers[0].directory.note_accepted(self.noted[-1].header)

    @precondition(lambda self: self.living)
    @rule(data=st.data(), number=st.integers(1, 4))
    def a_job_appends(self, data: st.DataObject, number: int) -> None:
        job = data.draw(st.sampled_from(self.living))
        for _ in range(number):
            event = data.draw(_events(job.recorded.events))
            job.writer.append(event)
            job.recorded.events.append(event)

    @precondition(lambda self: self.living)
    @rule(data=st.data(), told=st.booleans())
    def a_job_ends(self, data: st.DataObject, *, told: bool) -> None:
        job = data.draw(st.sampled_from(self.living))
        if told:
            job.writer.append(ended())
            job.recorded.events.append(ended())
        job.writer.close()

    @precondition(lambda self: self.living)
    @rule(data=st.data())
    def a_job_is_killed_inside_an_append(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(self.living))
        line = frame(len(job.recorded.events) + 3, encode(message("never finished")))
        job.recorded.torn = line[: data.draw(st.integers(0, len(line) - 2))]
        os.write(job.writer._fd, job.recorded.torn)
        job.writer._release()

    @precondition(lambda self: self.workers)
    @rule(data=st.data(), looks=st.integers(1, 4))
    def a_worker_ships(self, data: st.DataObject, looks: int) -> None:
        worker = data.draw(st.sampled_from(self.workers))
        for _ in range(looks):
            type(self).run(worker.look())

    @precondition(lambda self: self.workers)
    @rule(data=st.data(), fault=st.sampled_from(FAULTS), place=st.sampled_from(PLACES))
    def a_worker_fails(self, data: st.DataObject, fault: str, place: int) -> None:
        worker = data.draw(st.sampled_from(self.workers))
        try:
            type(self).run(worker.look(fault, place))
        except Died:
            self._dies(worker)

    @precondition(lambda self: self.living and self.workers)
    @rule(data=st.data())
    def a_job_ends_while_a_worker_finishes_its_file(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(self.living))

        def last_word(path: Path) -> None:
            if path == job.writer.path and not job.writer.closed:
                job.writer.append(ended())
                job.recorded.events.append(ended())
                job.writer.close()

        type(self).before_lock = last_word
        for worker in self.workers:
            type(self).run(worker.look())
        type(self).before_lock = _nothing

    @precondition(lambda self: self.workers)
    @rule(data=st.data())
    def a_worker_is_killed(self, data: st.DataObject) -> None:
        self._dies(data.draw(st.sampled_from(self.workers)))

    @precondition(lambda self: len(self.workers) < 2)
    @rule()
    def a_worker_starts(self) -> None:
        self.workers.append(Worker(self.home, self.store))

    @precondition(lambda self: self.workers)
    @rule(data=st.data())
    def a_worker_adopts(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.workers)).adopt()

    @precondition(lambda self: self.there)
    @rule(data=st.data(), share=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
    def a_bit_is_flipped(self, data: st.DataObject, share: float, bit: int) -> None:
        job = data.draw(st.sampled_from(self.there))
        events = job.recorded.events
        lines = job.writer.path.read_bytes().split(b"\n")
        if job.flipped or not events or len(lines) < 4:
            return
        place = int(share * min(len(events), len(lines) - 3))  # a copy may be shorter
        before = sum(len(line) + 1 for line in lines[: place + 2])
        offset = before + int(share * 7919 % 1 * (len(lines[place + 2]) + 1))
        with job.writer.path.open("r+b") as file:
            file.seek(offset)
            byte = file.read(1)[0]
            file.seek(offset)
            file.write(bytes([byte ^ 1 << bit]))
        job.flipped = True
        assert job.recorded.hit is not None
        job.recorded.hit.add(name_of(job.recorded.header, events[place]))

    @precondition(lambda self: self.there)
    @rule(data=st.data())
    def a_file_is_copied(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(self.there))
        if not job.copy and job.recorded.events:
            job.copy = job.writer.path.read_bytes()

    @precondition(lambda self: self.workers and any(each.copy for each in self.gone))
    @rule(data=st.data())
    def a_copy_comes_back(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from([each for each in self.gone if each.copy]))
        hidden = self.root / job.writer.path.name
        hidden.write_bytes(job.copy)
        job.writer.path = hidden.rename(self.workers[0].directory.path / hidden.name)

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def the_owner_deletes_a_call(self, data: st.DataObject) -> None:
        header = data.draw(st.sampled_from(self.jobs)).recorded.header
        delete = "delete from voice_calls where room_sid = $1"
        type(self).run(self.pg.execute(delete, header.room_sid))

    @precondition(lambda self: self.turns)
    @rule(data=st.data())
    def somebody_deletes_a_turn(self, data: st.DataObject) -> None:
        delete = "delete from voice_messages where id = $1"
        type(self).run(self.pg.execute(delete, data.draw(st.sampled_from(self.turns)).id))

    @rule()
    def the_books_are_checked(self) -> None:
        ledger = [each.recorded for each in self.jobs]
        stored = [each for each in ledger if type(self).run(self._has_row(each))]
        type(self).run(account(self.pg, stored, outbox=self.root))

    def teardown(self) -> None:
        """Let all jobs end, ship everything, and check that each event is there once."""
        try:
            for job in self.living:
                job.writer.close()
            for worker in list(self.workers):
                self._dies(worker)
            last = Worker(self.home, self.store)
            last.adopt()
            for _ in range(500):
                if type(self).run(last.look()) == 0 and not recorded_under(self.root):
                    break
            last.die()
            assert recorded_under(self.root) == []
            assert type(self).run(account(self.pg, self.ledger)).waiting == 0
        finally:
            type(self).run(self.pg.execute("delete from voice_worker.refused_events"))
            shutil.rmtree(self.root)

    def _dies(self, worker: Worker) -> None:
        self.workers.remove(worker)
        worker.die()

    async def _has_row(self, each: Recorded) -> bool:
        query = "select exists (select from voice_calls where room_sid = $1)"
        return bool(await self.pg.fetchval(query, each.header.room_sid))


def _nothing(_path: Path) -> None:
    """Nothing happens between the last read and the lock."""


def _events(before: list[Event]) -> st.SearchStrategy[Event]:
    """Return what a job may append next: something new, or a newer version of a row."""
    text = st.text(max_size=12)
    new: list[st.SearchStrategy[Event]] = [
        st.builds(message, text, tokens=st.integers(0, 9)),
        st.builds(leg, text),
        st.builds(usage, st.integers(0, 9)),
        st.builds(connected),
        st.builds(message, text, tokens=st.just(2**31)),  # no int: refused
        st.just(Unhandled(at=at(1), source="room", error="KeyError()", raw="<event>")),
    ]
    turns = [event for event in before if isinstance(event, Message)]
    if turns:
        old = st.sampled_from(turns)
        newer = st.builds(lambda m, t: message(t, id=m.id, tokens=m.tokens), old, text)
        new += [newer, newer]
    legs = [event for event in before if isinstance(event, Leg)]
    if legs:
        stay = st.sampled_from(legs)
        new.append(st.builds(lambda a: leg(a.identity, id=a.id, left_at=at(9)), stay))
    return st.one_of(new)


def test_random_histories_lose_nothing(
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    record_property("told", f"{EXAMPLES} random histories, FAULT_SEED={SEED}")
    monkeypatch.setattr(callrecord.shipping.delivery, "HOLD_S", 0.0)
    monkeypatch.setattr(callrecord.outbox.reader, "CHUNK", 700)
    monkeypatch.setattr(callrecord.shipping.backlog, "BATCH_EVENTS", 8)
    try_finish = Tail.try_finish

    def meanwhile(tail: Tail) -> bool:
        Histories.before_lock(tail.path)
        return try_finish(tail)

    monkeypatch.setattr(Tail, "try_finish", meanwhile)
    monkeypatch.setattr(uuid, "uuid4", lambda: uuid.UUID(int=next(Histories.names)))
    with asyncio.Runner() as runner:
        Histories.run = runner.run
        Histories.before_lock = _nothing
        Histories.store = FaultyStore(database_url)
        Histories.pg = runner.run(asyncpg.connect(database_url))
        try:
            run_state_machine_as_test(
                seed(SEED)(Histories),
                settings=settings(
                    max_examples=EXAMPLES,
                    stateful_step_count=STEPS,
                    deadline=None,
                    print_blob=True,
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            runner.run(Histories.store.close())
            runner.run(Histories.pg.close())
