"""Percentiles of the steps of a turn: near a plain count, by day and model, and of whom."""

import math
from collections import defaultdict
from datetime import date
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from callrecord.postgres.store import Store
from tests.postgres.applied import apply
from tests.postgres.callrecord.schema.by_psql import PSQL_ROUTINES
from tests.postgres.db.figures import FIRST, LAST, People, add_calls, period, within
from tests.postgres.server import Connection, as_role, as_user, psql
from tests.unit.callrecord.calls import at, batch, message, started

STEPS = {
    "transcription": "transcription_delay_ms",
    "end_of_turn": "end_of_turn_delay_ms",
    "turn_completed": "turn_completed_delay_ms",
    "first_token": "llm_ttft_ms",
    "first_sentence": "first_sentence_ms",
    "first_audio": "tts_ttfb_ms",
    "playout": "playout_delay_ms",
    "end_to_end": "e2e_latency_ms",
}
# Sixteen turns a call: nulls, 0, a minute, and what cannot be true.
ADD_TURNS = """
insert into voice_messages (
    call_id, role, content, timestamp, model_used, transcription_delay_ms, end_of_turn_delay_ms,
    llm_ttft_ms, e2e_latency_ms, metadata, revision
)
select
    id, case when n % 2 = 0 then 'user' else 'assistant' end::message_role, 'words',
    created_at + n * interval '4 minutes', (array['small', 'large', null])[1 + n % 3],
    case when n % 2 = 0 then n * n * 7 end, case when n % 4 = 0 then 60000 end,
    case when n % 2 = 1 then n * 13 end, case when n % 8 = 3 then 0 end,
    case when n % 8 = 5 then '{"implausible": {"e2e_latency_ms": 203400}}'::jsonb else '{}' end,
    1
from (select id, created_at from voice_calls order by session_id) c, generate_series(0, 15) n
"""
ASK = "select * from latency_statistics($1, $2, $3, $4, $5)"
EVER = (date(2000, 1, 1), date(9999, 1, 1))


@pytest.fixture
async def people(pg: Connection) -> People:
    people = await add_calls(pg)
    await pg.execute(ADD_TURNS)
    return people


def near(value: int) -> Any:
    return pytest.approx(value, rel=0, abs=0.02 * value + 1)


def told(found: list[int], wrong: int, *, everybodys: bool) -> dict[str, Any]:
    """Return what is to be told of one step's latencies."""
    found = sorted(found)
    return {
        "turns": len(found),
        **{
            f"p{percent}_ms": near(found[math.ceil(percent / 100 * len(found)) - 1])
            if found
            else None
            for percent in (50, 95, 99)
        },
        "implausible": wrong if everybodys else None,
    }


async def counted(
    pg: Connection, unit: str, zone: str, user: UUID | None
) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Return what latency_statistics has to answer, without any SQL of ours."""
    right: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    wrong: dict[tuple[Any, ...], int] = defaultdict(int)
    for row in await pg.fetch(
        """
        select m.*, c.user_id, m.metadata ? 'implausible' as wrong
        from voice_messages m join voice_calls c on c.id = m.call_id
        """
    ):
        if not within(row["timestamp"], zone) or user not in (None, row["user_id"]):
            continue
        group = (period(row["timestamp"], unit, zone), row["model_used"])
        for step, column in STEPS.items():
            if row[column] is not None:
                right[*group, step].append(row[column])
        if row["wrong"]:
            wrong[*group, "end_to_end"] += 1
    keys = right.keys() | (wrong.keys() if user is None else set())
    return {key: told(right[key], wrong[key], everybodys=user is None) for key in keys}


async def asked(pg: Connection, *span: Any) -> dict[tuple[Any, ...], dict[str, Any]]:
    rows = [dict(row) for row in await pg.fetch(ASK, *span)]
    return {(row.pop("period"), row.pop("model"), row.pop("step")): row for row in rows}


@pytest.mark.every_postgres
@pytest.mark.parametrize(
    ("unit", "zone"), [("day", "UTC"), ("day", "Asia/Kathmandu"), ("month", "Europe/Berlin")]
)
async def test_percentiles_are_near_a_plain_count(
    pg: Connection, people: People, unit: str, zone: str
) -> None:
    for user in (None, people.ann):
        expected = await counted(pg, unit, zone, user)
        assert len(expected) > 5
        assert await asked(pg, FIRST, LAST, unit, zone, user) == expected


async def test_every_latency_is_told_within_its_error(pg: Connection) -> None:
    worst = await pg.fetchval(
        """
        select max(abs(p.p99_ms - ms) - 0.02 * ms) as beyond
        from (
            select generate_series(0, 1000) union select generate_series(1000, 60000, 59)
        ) each (ms)
        cross join lateral
            voice_access.latency_percentiles(voice_access.latency_mark(ms, null)) p
        """
    )
    assert worst <= 1


@pytest.mark.usefixtures("people")
async def test_figures_follow_every_change_of_a_turn(pg: Connection, database_url: str) -> None:
    async def hold() -> None:
        assert await asked(pg, FIRST, LAST, "day", "UTC", None) == await counted(
            pg, "day", "UTC", None
        )

    await pg.execute(
        """
        update voice_messages set timestamp = timestamp + interval '20 minutes', metadata = '{}',
            model_used = 'other', llm_ttft_ms = llm_ttft_ms + 100
        where sequence_number % 3 = 0
        """
    )
    await hold()
    another = await asyncpg.connect(database_url)  # adds to rows of its own
    await another.execute("delete from voice_messages where sequence_number % 5 = 0")
    await another.close()
    await hold()
    await pg.execute("delete from voice_calls where session_id in ('call-1', 'call-2')")
    await hold()
    await pg.execute("delete from voice_calls")
    assert await asked(pg, *EVER, "day", "UTC", None) == {}


async def test_turns_that_were_there_before_are_counted_with_the_triggers(
    pg: Connection, database_url: str
) -> None:
    for name in ("", "_delete", "_update_old", "_update_new"):
        await pg.execute(f"drop trigger voice_messages_latency{name}_trigger on voice_messages")
    await add_calls(pg)
    await pg.execute(ADD_TURNS)
    assert await asked(pg, *EVER, "day", "UTC", None) == {}
    psql(database_url, "-f", str(PSQL_ROUTINES))
    expected = await counted(pg, "day", "UTC", None)
    assert await asked(pg, FIRST, LAST, "day", "UTC", None) == expected


async def test_the_earlier_function_is_replaced(pg: Connection, database_url: str) -> None:
    await pg.execute("drop function latency_statistics")
    await pg.execute(
        """
        create function latency_statistics(date, date, text, text, uuid)
        returns table (period date) language sql return null::date
        """
    )
    psql(database_url, "-f", str(PSQL_ROUTINES))
    assert await asked(pg, *EVER, "day", "UTC", None) == {}


async def test_everybody_sees_what_is_his(pg: Connection, people: People) -> None:
    everybodys = await counted(pg, "day", "UTC", None)
    span = (FIRST, LAST, "day", "UTC", None)
    async with as_user(pg, people.root):
        assert await asked(pg, *span) == everybodys
    async with as_role(pg, "voice_reader", {}):
        assert await asked(pg, *span) == everybodys
        assert await asked(pg, *span[:4], people.bob)
    expected = await counted(pg, "day", "UTC", people.ann)
    async with as_user(pg, people.ann):
        assert await asked(pg, *span) == expected
        assert await asked(pg, *span[:4], people.bob) == {}


async def test_an_answer_has_the_steps_of_its_question(store: Store, pg: Connection) -> None:
    def answer(second: float, **told: Any) -> Any:
        return message(role="assistant", model="gpt", at=at(second), **told)

    turns = [
        answer(1, llm_ttft_ms=1),  # a greeting
        message(model="whisper", at=at(5), end_of_turn_delay_ms=500),
        message('look up("x")', role="system", at=at(6)),
        answer(7, llm_ttft_ms=2, e2e_latency_ms=900),
        answer(9, llm_ttft_ms=3),  # goes on by itself
    ]
    call = await apply(store, batch(started(), *turns))
    rows = await pg.fetch(
        """
        select message_id, heard_message_id, end_of_turn_delay_ms, llm_ttft_ms, e2e_latency_ms
        from turn_latency where call_id = $1 order by timestamp
        """,
        call,
    )
    assert [tuple(row) for row in rows] == [
        (turns[0].id, None, None, 1, None),
        (turns[3].id, turns[1].id, 500, 2, 900),
        (turns[4].id, None, None, 3, None),
    ]
