"""Bad input, each in a real room: the caller is greeted, the row says so, the worker lives on."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from callrecord.db.events import STRING_LIMIT
from local.caller import Caller, CallerError, Server
from local.demo.rows import Row, Rows, read_rows
from local.stack import Stack
from tests.e2e.worker import Worker
from tests.postgres import Connection, database
from tests.waiting import until

pytestmark = pytest.mark.room


def cut(text: str) -> str:
    """Return a text as it is kept that is longer than the limit."""
    mark = f"\N{REPLACEMENT CHARACTER} [cut: {len(text)} characters]"
    return text[: STRING_LIMIT - len(mark)] + mark


@dataclass(frozen=True)
class House:
    """One worker that takes all these calls, one after the other, and what it leaves."""

    server: Server
    worker: Worker
    pg: Connection

    async def call(
        self,
        room: str = "",
        *,
        metadata: str = "",
        job_metadata: str = "",
        signed: str = "",
        **caller: Any,
    ) -> Rows:
        """Call, hear the greeting, hang up; return the rows once the call has ended well."""
        seen = self.worker.log.stat().st_size
        name = room or f"bad-{uuid4().hex[:8]}"
        sid = await self.server.create_room(name, metadata, job_metadata=job_metadata)
        async with Caller(self.server, room=name, metadata=signed, **caller) as guest:
            await guest.join(create=False)
            await guest.agent_speaking(timeout_s=40)
        rows = await until(lambda: self._ended(sid), timeout_s=30, what="the end")
        assert (rows.call["status"], rows.call["end_reason"]) == ("completed", "caller_hangup")
        assert rows.call["connected_at"] < rows.call["ended_at"]
        assert [message["role"] for message in rows.messages] == ["assistant"]
        assert await self.pg.fetchval("select count(*) from voice_worker.refused_events") == 0
        self._check_log(seen)
        return rows

    async def row(self, **columns: Any) -> UUID:
        """Insert a row as a front end does; return its id."""
        call_id = uuid4()
        columns = {"id": call_id, "session_id": f"row-{call_id}", "room_name": "Call"} | columns
        places = ", ".join(f"${place}" for place in range(1, len(columns) + 1))
        await self.pg.execute(
            f"insert into voice_calls ({', '.join(columns)}) values ({places})",  # noqa: S608
            *columns.values(),
        )
        return call_id

    async def _ended(self, sid: str) -> Rows | None:
        call_id = await self.pg.fetchval(
            "select id from voice_calls where room_sid = $1 and ended_at is not null", sid
        )
        return None if call_id is None else await read_rows(self.pg, call_id)

    def _check_log(self, seen: int) -> None:
        """No line is broken in two, and none of ours tells of a failure.

        LiveKit's own warn of a slow machine.
        """
        log = self.worker.log.read_bytes()[seen:].decode()
        lines = [json.loads(line) for line in log.splitlines()]
        assert lines
        assert [line for line in lines if line["level"] in ("error", "critical")] == []
        ours = [line for line in lines if line["logger"].startswith("voice.")]
        assert [line for line in ours if line["level"] == "warning"] == []


@pytest.fixture(scope="module")
async def house(
    stack: Stack,
    postgres_server: str,
    migrated_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[House]:
    """The worker, its database and its rooms."""
    server = Server(stack.livekit_url, stack.api_key, stack.api_secret, agent_name="bad-input")
    directory: Path = tmp_path_factory.mktemp("bad_input")
    async with database(postgres_server, template=migrated_template) as url:
        pg = await asyncpg.connect(url)
        worker = Worker(stack, directory, url, name=server.agent_name, AGENT_REJOIN_GRACE_S="0.2")
        await worker.start()
        try:
            yield House(server, worker, pg)
        finally:
            code = await worker.stop()
            await pg.close()
        assert code == 0


@pytest.mark.parametrize(
    "name",
    [
        "o'brien \"x\" \\ %s {0} '); drop table voice_calls; --",
        "\N{BLACK TELEPHONE} \N{SMILING FACE WITH SUNGLASSES} \u202eRTL\u202c \u623f\u9593",
        'line\n{"level": "error", "message": "not ours"}\r\x1b[31m',
        "x" * 256,
        "\N{BLACK TELEPHONE}" * 85,
    ],
    ids=["quotes", "emoji", "newline", "256", "256-bytes"],
)
async def test_a_rooms_name(house: House, name: str) -> None:
    """Any name that LiveKit takes; longer than the column, its start and a digest of the whole."""
    rows = await house.call(name)
    kept = rows.call["session_id"]
    assert rows.call["room_name"] == kept
    assert kept == name if len(name) <= 255 else kept.startswith("x" * 200 + "x" * 38 + "~")
    assert len(kept) <= 255


async def test_livekit_takes_no_longer_name(house: House) -> None:
    with pytest.raises(CallerError):
        await house.server.create_room("x" * 257)


async def test_a_rooms_name_that_is_taken(house: House) -> None:
    """By an ended call: that stays, and the new one has a name of its own."""
    name = f"taken-{uuid4().hex[:8]}"
    await house.row(session_id=name, status="completed", ended_at=await _long_ago(house))
    rows = await house.call(name)
    assert rows.call["session_id"] == f"{name}@{rows.call['room_sid']}"


_DEEP = "[" * 100_000
_OBJECT = '{"a": ' * 50_000


@pytest.mark.parametrize(
    "metadata",
    ["{", "no JSON", "[1, 2]", '"text"', "x" * 64 * 1024, "x" * 500_000, _DEEP, _OBJECT],
    ids=["brace", "text", "list", "string", "64K", "500K", "deep", "deep-object"],
)
async def test_metadata_that_is_no_object(house: House, metadata: str) -> None:
    """Of the room and of the job alike: it names no row, and the call has one of its own."""
    room = f"bad-{uuid4().hex[:8]}"
    rows = await house.call(room, metadata=metadata, job_metadata=metadata)
    assert rows.call["session_id"] == room
    assert "callId" not in rows.call["metadata"]


async def test_a_call_id_of_no_row(house: House) -> None:
    wanted = str(uuid4())
    rows = await house.call(metadata=json.dumps({"callId": wanted}))
    assert str(rows.call["id"]) != wanted


async def test_a_call_id_of_somebody_elses_call(house: House) -> None:
    """One that ended, or that another room has claimed, stays as it is."""
    user_id = await house.pg.fetchval("insert into users (name) values ('x') returning id")
    ended = await house.row(
        user_id=user_id, status="completed", ended_at=await _long_ago(house), end_reason="x"
    )
    claimed = await house.row(user_id=user_id, status="active", room_sid=f"RM_{uuid4().hex}")
    for call_id in (ended, claimed):
        before = await _row(house, call_id)
        rows = await house.call(metadata=json.dumps({"callId": str(call_id)}))
        assert rows.call["id"] != call_id
        assert rows.call["user_id"] is None
        assert await _row(house, call_id) == before


@pytest.mark.parametrize(
    ("call_id", "kept"),
    [
        ("no-uuid", "no-uuid"),
        (7, "7"),
        ({"id": [1]}, "{'id': [1]}"),
        ("a\0b\ud800", "a\ufffdb\ufffd"),
        (True, "True"),
        ("x" * 100_000, cut("x" * 100_000)),
        (10**400, str(10**400)),
    ],
    ids=["text", "number", "object", "nul", "bool", "100K", "big"],
)
async def test_a_call_id_that_is_no_uuid(house: House, call_id: object, kept: str) -> None:
    """It is kept in the row's metadata, for whoever looks for the mistake."""
    rows = await house.call(metadata=json.dumps({"callId": call_id}))
    assert rows.call["metadata"]["callId"] == kept


@pytest.mark.parametrize(
    ("metadata", "kept"),
    [
        ('{"userId": "no-uuid"}', {"userId": "no-uuid"}),
        ('{"userId": {"id": 1}}', {"userId": {"id": 1}}),
        ('{"userId": 1e400, "n": 1e400}', {"userId": None, "n": None}),
        ("not { json", {"raw": "not { json"}),
        (_DEEP, {"raw": cut(_DEEP)}),
        ('{"a": "%s"}' % ("x" * 400_000), {"a": cut("x" * 400_000)}),
    ],
    ids=["text", "object", "infinite", "no-json", "deep", "400K"],
)
async def test_a_participants_metadata(house: House, metadata: str, kept: Row) -> None:
    rows = await house.call(identity="guest", signed=metadata)
    (leg,) = (leg for leg in rows.participants if leg["participant_identity"] == "guest")
    assert (leg["user_id"], leg["metadata"]) == (None, kept)


async def test_an_unknown_user(house: House) -> None:
    stranger = str(uuid4())
    rows = await house.call(identity="guest", signed=json.dumps({"userId": stranger}))
    (leg,) = (leg for leg in rows.participants if leg["participant_identity"] == "guest")
    assert (leg["user_id"], leg["metadata"]) == (None, {"userId": stranger})
    assert rows.call["user_id"] is None


@pytest.mark.parametrize(
    ("identity", "name"),
    [
        ("nameless", ""),
        ("n" * 256, "N" * 100_000),
        ('o\'brien\n{"level": "error"}\x1b[31m', "'); drop table users; --\n\u202e"),
    ],
    ids=["no-name", "long", "quotes"],
)
async def test_a_participants_name(house: House, identity: str, name: str) -> None:
    rows = await house.call(identity=identity, name=name, attributes={"a" * 100: "x" * 60_000})
    (leg,) = (leg for leg in rows.participants if leg["participant_type"] == "user")
    assert leg["participant_identity"] == identity[:255]
    assert leg["participant_name"] == (name[:255] or None)
    assert leg["metadata"]["attributes"] == {"a" * 100: "x" * 60_000}


@pytest.mark.parametrize(
    "too_much",
    [
        {"name": "n" * 1024 * 1024},
        {"identity": "n" * 257},
        {"signed": "m" * 600_000},
        {"attributes": {"a": "x" * 70_000}},
    ],
    ids=["name", "identity", "metadata", "attributes"],
)
async def test_livekit_lets_nobody_in_with_more(house: House, too_much: dict[str, Any]) -> None:
    """Its own limits are below what could harm; the call of who comes after is as any."""
    with pytest.raises(CallerError):
        await house.call(**too_much)


async def _row(house: House, call_id: UUID) -> Row:
    found = await house.pg.fetchrow("select * from voice_calls where id = $1", call_id)
    assert found is not None
    return dict(found)


async def _long_ago(house: House) -> Any:
    return await house.pg.fetchval("select now() - interval '1 hour'")
