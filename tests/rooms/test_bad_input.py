"""Bad input, each in a real room: the caller is greeted, the row says so, the worker lives on.

The cases of a test are calls at the same time.
"""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from callrecord.events import STRING_LIMIT
from local.caller import CallerError, Server
from local.demo.rows import Row
from local.stack import Stack
from tests.postgres.server import database
from tests.rooms.house import House, for_each
from tests.rooms.worker import Worker

pytestmark = pytest.mark.room


def cut(text: str) -> str:
    """Return a text as it is kept that is longer than the limit."""
    mark = f"\N{REPLACEMENT CHARACTER} [cut: {len(text)} characters]"
    return text[: STRING_LIMIT - len(mark)] + mark


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
        worker = Worker(
            stack,
            directory,
            url,
            name=server.agent_name,
            AGENT_REJOIN_GRACE_S="0.2",
            AGENT_NO_CALLER_TIMEOUT_S="8",  # those whom LiveKit lets in nowhere
        )
        await worker.start()
        try:
            yield House(server, worker, pg)
        finally:
            code = await worker.stop()
            await pg.close()
        assert code == 0


async def test_a_rooms_name(house: House) -> None:
    """Any name that LiveKit takes; longer than the column, its start and a digest of the whole."""

    async def kept_as_it_is(name: str) -> None:
        rows = await house.call(name)
        kept = rows.call["session_id"]
        assert rows.call["room_name"] == kept
        assert kept == name if len(name) <= 255 else kept.startswith("x" * 200 + "x" * 38 + "~")
        assert len(kept) <= 255

    names = {
        "quotes": "o'brien \"x\" \\ %s {0} '); drop table voice_calls; --",
        "emoji": (
            "\N{BLACK TELEPHONE} \N{SMILING FACE WITH SUNGLASSES} \u202eRTL\u202c \u623f\u9593"
        ),
        "newline": 'line\n{"level": "error", "message": "not ours"}\r\x1b[31m',
        "256": "x" * 256,
        "256-bytes": "\N{BLACK TELEPHONE}" * 85,
    }
    await for_each(names, kept_as_it_is)


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


async def test_metadata_that_is_no_object(house: House) -> None:
    """Of the room and of the job alike: it names no row, and the call has one of its own."""

    async def names_no_row(metadata: str) -> None:
        room = f"bad-{uuid4().hex[:8]}"
        rows = await house.call(room, metadata=metadata, job_metadata=metadata)
        assert rows.call["session_id"] == room
        assert "callId" not in rows.call["metadata"]

    metadata = {
        "brace": "{",
        "text": "no JSON",
        "list": "[1, 2]",
        "string": '"text"',
        "64K": "x" * 64 * 1024,
        "500K": "x" * 500_000,
        "deep": _DEEP,
        "deep-object": _OBJECT,
    }
    await for_each(metadata, names_no_row)


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


async def test_a_call_id_that_is_no_uuid(house: House) -> None:
    """It is kept in the row's metadata, for whoever looks for the mistake."""

    async def kept_in_the_row(case: tuple[object, str]) -> None:
        call_id, kept = case
        rows = await house.call(metadata=json.dumps({"callId": call_id}))
        assert rows.call["metadata"]["callId"] == kept

    call_ids: dict[str, tuple[object, str]] = {
        "text": ("no-uuid", "no-uuid"),
        "number": (7, "7"),
        "object": ({"id": [1]}, "{'id': [1]}"),
        "nul": ("a\0b\ud800", "a\ufffdb\ufffd"),
        "bool": (True, "True"),
        "100K": ("x" * 100_000, cut("x" * 100_000)),
        "big": (10**400, str(10**400)),
    }
    await for_each(call_ids, kept_in_the_row)


async def test_a_participants_metadata(house: House) -> None:
    async def kept_in_the_leg(case: tuple[str, Row]) -> None:
        signed, kept = case
        rows = await house.call(identity="guest", signed=signed)
        (leg,) = (leg for leg in rows.participants if leg["participant_identity"] == "guest")
        assert (leg["user_id"], leg["metadata"]) == (None, kept)

    metadata: dict[str, tuple[str, Row]] = {
        "text": ('{"userId": "no-uuid"}', {"userId": "no-uuid"}),
        "object": ('{"userId": {"id": 1}}', {"userId": {"id": 1}}),
        "infinite": ('{"userId": 1e400, "n": 1e400}', {"userId": None, "n": None}),
        "no-json": ("not { json", {"raw": "not { json"}),
        "deep": (_DEEP, {"raw": cut(_DEEP)}),
        "400K": ('{"a": "%s"}' % ("x" * 400_000), {"a": cut("x" * 400_000)}),
    }
    await for_each(metadata, kept_in_the_leg)


async def test_an_unknown_user(house: House) -> None:
    stranger = str(uuid4())
    rows = await house.call(identity="guest", signed=json.dumps({"userId": stranger}))
    (leg,) = (leg for leg in rows.participants if leg["participant_identity"] == "guest")
    assert (leg["user_id"], leg["metadata"]) == (None, {"userId": stranger})
    assert rows.call["user_id"] is None


async def test_a_participants_name(house: House) -> None:
    attributes = {"a" * 100: "x" * 60_000}

    async def kept_in_the_leg(case: tuple[str, str]) -> None:
        identity, name = case
        rows = await house.call(identity=identity, name=name, attributes=attributes)
        (leg,) = (leg for leg in rows.participants if leg["participant_type"] == "user")
        assert leg["participant_identity"] == identity[:255]
        assert leg["participant_name"] == (name[:255] or None)
        assert leg["metadata"]["attributes"] == attributes

    names = {
        "no-name": ("nameless", ""),
        "long": ("n" * 256, "N" * 100_000),
        "quotes": ('o\'brien\n{"level": "error"}\x1b[31m', "'); drop table users; --\n\u202e"),
    }
    await for_each(names, kept_in_the_leg)


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
