"""Connecting: what no waiting mends is told from an outage, at start and while calls run."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from callrecord.errors import Stop, Transient, Unusable
from callrecord.outbox.directory import OutboxHome
from callrecord.postgres.connection import connect, writable_url
from callrecord.postgres.store import check_schema
from callrecord.shipping.shipper import Shipper
from tests.postgres.callrecord.shipping.shipping import QUICK
from tests.unit.callrecord.calls import (
    ended,
    started,
    write,
)
from tests.waiting import until

SSL_REQUEST = 80877103


@asynccontextmanager
async def pooler(code: str, message: str) -> AsyncIterator[str]:
    """A pooler that takes no TLS and answers each start-up with this error; yields its URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            size = struct.unpack("!I", await reader.readexactly(4))[0]
            body = await reader.readexactly(size - 4)
            if struct.unpack("!I", body[:4])[0] != SSL_REQUEST:
                break
            writer.write(b"N")
        fields = b"SFATAL\0VFATAL\0C" + code.encode() + b"\0M" + message.encode() + b"\0\0"
        writer.write(b"E" + struct.pack("!I", len(fields) + 4) + fields)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield f"postgresql://worker:p@127.0.0.1:{port}/postgres"


NEVER = [
    ("XX000", "Tenant or user not found", "the user name is role.projectref"),
    ("08P01", "password authentication failed", "password authentication failed"),
    ("08P01", "no such database: nope", "no such database: nope"),
    ("08P01", "no such user: nope", "no such user"),
    ("08P01", "SASL authentication failed", "SASL authentication failed"),
    ("08P01", "unsupported startup parameter: x", "unsupported startup parameter: x"),
    ("08P01", "database does not allow connections: x", "does not allow connections"),
    ("28000", "no pg_hba.conf entry for host", "no pg_hba.conf entry"),
    ("28P01", 'password authentication failed for user "w"', "password authentication failed"),
    ("3D000", 'database "x" does not exist', 'database "x" does not exist'),
    ("42704", 'unrecognized configuration parameter "x"', "unrecognized configuration"),
    ("42501", 'permission denied for database "x"', "permission denied"),
]
PASSES = [
    ("57P03", "the database system is starting up"),
    ("53300", "sorry, too many clients already"),
    ("08P01", "no more connections allowed (max_client_conn)"),
    ("08P01", "server login has been failing, try again later (server_login_retry)"),
    ("08P01", "query_wait_timeout"),
    ("XX000", "Max client connections reached"),
    ("57P01", "terminating connection due to administrator command"),
]


@pytest.mark.parametrize(("code", "message", "said"), NEVER)
async def test_a_refusal_for_good_ends_the_start(code: str, message: str, said: str) -> None:
    async with pooler(code, message) as url:
        with pytest.raises(Stop, match=f"^DATABASE_URL: .*{said}"):
            await check_schema(url)


@pytest.mark.parametrize(("code", "message"), PASSES)
async def test_what_passes_is_an_outage(code: str, message: str) -> None:
    async with pooler(code, message) as url:
        with pytest.raises(Transient) as caught:
            await check_schema(url)
    assert not isinstance(caught.value, Unusable)


async def test_a_server_without_tls_that_must_have_it() -> None:
    async with pooler("08P01", "not asked") as url:
        with pytest.raises(Unusable, match="the server has no TLS: add sslmode=disable"):
            await connect(f"{url}?sslmode=require")


async def test_a_certificate_that_is_none(database_url: str, tmp_path: Path) -> None:
    (tmp_path / "root.crt").write_text("no certificate\n")
    with pytest.raises(Unusable, match="TLS failed"):
        await connect(f"{database_url}?sslmode=verify-full&sslrootcert={tmp_path / 'root.crt'}")


@pytest.mark.parametrize(
    ("error", "is_for_good"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), True),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), False),
        (ConnectionRefusedError(111, "Connection refused"), False),
        (TimeoutError(), False),
    ],
)
async def test_a_host_that_does_not_exist(
    monkeypatch: pytest.MonkeyPatch, error: Exception, *, is_for_good: bool
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(asyncpg, "connect", fail)
    with pytest.raises(Transient) as caught:
        await connect("postgresql://u:p@db.abc.supabase.co/postgres")
    assert isinstance(caught.value, Unusable) is is_for_good
    if not isinstance(error, TimeoutError):
        assert "on IPv4, use the session pooler's address" in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        "channel_binding=require&sslmode=prefer",
        "pgbouncer=true&connection_limit=1&schema=public",
        "connect_timeout=10&keepalives=1&gssencmode=disable",
        "uselibpqcompat=true",
    ],
)
async def test_urls_of_other_clients_work(database_url: str, options: str) -> None:
    await check_schema(f"{database_url}?{options}")


async def test_several_hosts(database_url: str) -> None:
    """The worker's own connection takes them, and a command that can take one gets that one."""
    parts = urlsplit(database_url)
    login, _, host = parts.netloc.rpartition("@")
    several = parts._replace(netloc=f"{login}@127.0.0.1:1,{host}").geturl()
    await check_schema(several)
    assert urlsplit(await writable_url(several)).netloc == parts.netloc
    assert await writable_url(database_url) == database_url


async def test_a_worker_that_is_refused_while_it_runs_alerts_and_keeps_everything(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    directory = OutboxHome(tmp_path).take()
    async with pooler("XX000", "Tenant or user not found") as url:
        file = write(directory.path, started(), ended())
        shipper = Shipper(OutboxHome(tmp_path), directory, url, options=QUICK)
        shipper.start()
        await until(lambda: shipper.stats.failures >= 2)
        assert not await asyncio.to_thread(shipper.stop, 0.2)
    directory.release()
    assert file.exists()
    (alert,) = [each for each in caplog.records if each.levelname == "ERROR"]
    assert alert.getMessage() == "database refuses the worker, events wait on disk"
    assert "Tenant or user not found" in alert.error  # type: ignore[attr-defined]


async def test_a_connection_that_stands_as_its_task_is_cancelled_is_closed(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[asyncpg.Connection] = []
    plain = asyncpg.connect

    async def noted(*arguments: object, **options: object) -> "asyncpg.Connection":
        made.append(await plain(*arguments, **options))  # type: ignore[call-overload]
        task.cancel()
        return made[0]

    monkeypatch.setattr(asyncpg, "connect", noted)
    task = asyncio.create_task(connect(database_url))
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(made[0].is_closed)
