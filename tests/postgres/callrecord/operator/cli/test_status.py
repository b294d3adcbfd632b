"""`python -m db status`, as an operator runs it."""

import json
import os
import re
from pathlib import Path
from typing import Any
from uuid import uuid4

from callrecord.events import now
from callrecord.outbox.directory import OutboxHome
from callrecord.outbox.refused_files import RefusedEvent, keep_in_file
from callrecord.outbox.status import QUIET_S
from callrecord.outbox.writer import OutboxWriter
from callrecord.postgres.store import Store
from callrecord.postgres.workers import Workers
from tests.faults.heartbeats import LIMIT_S, beaten, silent, watching
from tests.postgres.applied import apply
from tests.postgres.callrecord.operator.command import run
from tests.postgres.rows import add_call
from tests.postgres.server import Connection
from tests.unit.callrecord.calls import batch, message, started, write


async def status(url: str) -> tuple[int, dict[str, Any]]:
    code, output, errors = await run(url, "status", "--json")
    assert errors == ""
    return code, json.loads(output)


async def test_all_is_well_where_workers_live_or_stopped_in_order(
    workers: Workers, dsn: str, database_url: str
) -> None:
    adopted = uuid4()
    alive = await beaten(workers, agent_name="robin", adopted=[adopted], backlog_events=3)
    await workers.leave(stopped := await beaten(workers))
    idle = await beaten(workers, kind="sweep")
    code, told = await status(dsn)
    assert (code, told["troubles"], told["refused_events"]) == (0, [], 0)
    states = {each["id"]: each["state"] for each in told["workers"]}
    expected = {alive: "alive", stopped: "stopped", adopted: "adopted"}
    assert states == {str(worker_id): state for worker_id, state in expected.items()}
    assert str(idle) not in states
    code, output, _ = await run(database_url, "status")
    assert code == 0
    assert output.splitlines()[-1] == "all well"
    assert "no calls without an end" in output


async def test_what_needs_an_eye_is_told(workers: Workers, dsn: str, pg: Connection) -> None:
    store = Store(dsn)
    late, lost, idle, behind = [await beaten(workers) for _ in range(4)]
    await beaten(workers, behind, backlog_events=9, backlog_seconds=100.0)
    await apply(store, batch(started(worker_id=lost)), batch(started(worker_id=uuid4())))
    await store.close()
    await add_call(pg)
    await pg.execute("update voice_calls set created_at = now() - interval '2 hours'")
    await pg.execute(
        "insert into voice_worker.refused_events (source, byte_offset, raw) values ('a', 0, '')"
    )
    for worker_id, seconds in ((late, LIMIT_S / 2), (lost, 2 * LIMIT_S), (idle, 2 * LIMIT_S)):
        await silent(pg, worker_id, seconds)
    code, told = await status(dsn)
    assert code == 1
    assert {each["id"]: each["state"] for each in told["workers"]} == {
        str(worker_id): state
        for worker_id, state in zip(
            (late, lost, idle, behind), ("late", "lost", "lost", "alive"), strict=True
        )
    }
    # In tens of seconds: the command takes its time, too.
    text = re.sub(r"\d(?= s\b)", "0", "\n".join(told["troubles"]))
    assert f"{late} on host is late, its last heartbeat 30 s old" in text
    assert f"{lost} on host is lost, its last heartbeat 120 s old: 1 open and 0 ended calls" in text
    assert str(idle) not in text, "what was idle has lost nothing"
    assert f"{behind} on host is behind: 9 events wait, the oldest for 100 s" in text
    assert "1 pending calls have no worker, the oldest for 7200 s" in text
    assert "1 pending calls belong to workers without a row" in text
    assert "1 events were refused" in text
    assert len(told["troubles"]) == 6
    swept = await workers.sweep(await watching(workers, pg))
    assert swept.lost == {lost: 1}
    assert any("0 open and 1 ended calls" in line for line in (await status(dsn))[1]["troubles"])
    code, output, _ = await run(dsn, "status")
    assert code == 1
    assert output.count("attention: ") == 6


async def test_an_outbox_is_looked_at_without_a_database(tmp_path: Path) -> None:
    home = OutboxHome(tmp_path / "outbox")
    code, output, errors = await run(None, "status", "--outbox", str(home.root))
    assert (code, output, errors) == (0, "nothing waits in this outbox\n", "")
    directory = home.take()
    directory.note_accepted(started())
    write(directory.path, started(), message("x" * 50_000), message("y" * 10_000))
    living = OutboxWriter(directory.path, started())
    code, output, _ = await run(None, "status", "--outbox", str(home.root), "--json")
    (told,) = json.loads(output)["directories"]
    size = sum(path.stat().st_size for path in directory.files())
    assert (told["files"], told["events"], told["bytes"]) == (2, 2, size)
    assert (told["quiet"], told["accepted"], code) == (0, 1, 0)
    old = living.path.stat().st_mtime - 2 * QUIET_S
    os.utime(living.path, (old, old))
    code, output, _ = await run(None, "status", "--outbox", str(directory.path))
    assert code == 1
    assert str(directory.path) in output
    os.utime(living.path)
    refused = RefusedEvent(
        source="AJ.events", byte_offset=7, raw=b"{}", error="no", refused_at=now()
    )
    keep_in_file(directory.path, refused)
    code, output, _ = await run(None, "status", "--outbox", str(home.root), "--json")
    assert (code, json.loads(output)["directories"][0]["refused"]) == (1, 1)
    living.close()
    directory.release()


async def test_what_does_not_do_is_one_line(empty_database_url: str, tmp_path: Path) -> None:
    code, output, errors = await run(empty_database_url, "status")
    assert (code, output) == (2, "")
    assert "python -m db migrate" in errors
    code, _, errors = await run(None, "status", "--outbox", str(tmp_path / "none"))
    assert (code, errors.count("\n")) == (2, 1)
