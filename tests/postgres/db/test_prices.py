"""What a request costs: the price that was valid, each unit once, null where no price is known."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.postgres.rows import add_call, add_user
from tests.postgres.server import Connection, as_user

UNITS = (
    "input_token",
    "cached_input_token",
    "cache_creation_token",
    "output_token",
    "input_audio_token",
    "cached_audio_token",
    "output_audio_token",
    "character",
    "audio_second",
    "request",
)
AT = datetime(2026, 5, 10, 12, tzinfo=UTC)


async def set_price(
    pg: Connection, unit: str, price: str, *, per: int = 1, since: date = date(2026, 1, 1)
) -> int:
    """Set a price of the model m of p; return its id."""
    return int(
        await pg.fetchval(
            "insert into model_prices (provider, model, unit, price, per, valid_from) "
            "values ('p', 'm', $1, $2, $3, $4) returning id",
            unit,
            Decimal(price),
            per,
            since,
        )
    )


async def add_request(pg: Connection, call: UUID, **columns: Any) -> UUID:
    """Add a request to the model m of P, unless told otherwise."""
    columns = {"kind": "llm", "provider": "P", "model": "m", "created_at": AT} | columns
    names = ", ".join(columns)
    places = ", ".join(f"${place}" for place in range(2, len(columns) + 2))
    text = f"insert into voice_usage (call_id, {names}) values ($1, {places}) returning id"  # noqa: S608
    found = await pg.fetchval(text, call, *columns.values())
    assert isinstance(found, UUID)
    return found


async def cost_of(pg: Connection, request: UUID) -> tuple[Decimal | None, list[int] | None]:
    """Return a request's cost and the prices it was computed with."""
    row = await pg.fetchrow("select cost, price_ids from voice_usage where id = $1", request)
    assert row is not None
    return row["cost"], row["price_ids"]


async def total_of(pg: Connection, call: UUID) -> tuple[Decimal | None, int]:
    """Return a call's cost and its requests without a price."""
    row = await pg.fetchrow("select cost, unpriced_requests from voice_calls where id = $1", call)
    assert row is not None
    return row["cost"], row["unpriced_requests"]


@pytest.fixture
async def call(pg: Connection) -> UUID:
    """A call of Ann's."""
    return await add_call(pg, await add_user(pg, "ann"))


@pytest.mark.every_postgres
async def test_a_request_costs_what_its_units_cost(pg: Connection, call: UUID) -> None:
    asked = await set_price(pg, "input_token", "2.5", per=1_000_000)
    cached = await set_price(pg, "cached_input_token", "1.25", per=1_000_000)
    answered = await set_price(pg, "output_token", "10", per=1_000_000)
    request = await add_request(
        pg, call, input_tokens=1000, cached_input_tokens=400, output_tokens=50
    )
    # 600 x 2.5 + 400 x 1.25 + 50 x 10, of a million
    assert await cost_of(pg, request) == (Decimal("0.0025"), [asked, cached, answered])
    assert await total_of(pg, call) == (Decimal("0.0025"), 0)


async def test_an_unknown_model_has_no_cost_and_is_counted(pg: Connection, call: UUID) -> None:
    request = await add_request(pg, call, input_tokens=10)
    assert await cost_of(pg, request) == (None, None)
    assert await total_of(pg, call) == (None, 1)
    unnamed = await add_request(pg, call, provider=None, model=None)
    assert await cost_of(pg, unnamed) == (None, None)
    assert await total_of(pg, call) == (None, 2)


async def test_a_unit_without_a_price_of_its_own(pg: Connection, call: UUID) -> None:
    """A cached or audio token costs as the plain one; what only another unit pays has no cost."""
    await set_price(pg, "input_token", "1")
    request = await add_request(
        pg, call, input_tokens=10, cached_input_tokens=3, input_audio_tokens=4
    )
    assert (await cost_of(pg, request))[0] == 10
    spoken = await add_request(pg, call, kind="tts", characters=100)
    assert await cost_of(pg, spoken) == (None, None)


async def test_a_refused_request_of_a_known_model_costs_nothing(pg: Connection, call: UUID) -> None:
    await set_price(pg, "input_token", "1")
    request = await add_request(pg, call, error="APIStatusError")
    assert (await cost_of(pg, request))[0] == 0


async def test_the_price_of_the_day_counts(pg: Connection, call: UUID) -> None:
    await set_price(pg, "input_token", "1", since=date(2026, 1, 1))
    await set_price(pg, "input_token", "2", since=date(2026, 5, 10))
    costs = []
    for at in (AT - timedelta(days=200), AT - timedelta(days=1), AT, AT + timedelta(days=9)):
        request = await add_request(pg, call, input_tokens=1, created_at=at)
        costs.append((await cost_of(pg, request))[0])
    assert costs == [None, 1, 2, 2]


async def test_a_dated_version_has_its_models_price(pg: Connection, call: UUID) -> None:
    await set_price(pg, "input_token", "1")
    for model in ("m-2024-08-06", "m-20251001"):
        request = await add_request(pg, call, model=model, input_tokens=5)
        assert (await cost_of(pg, request))[0] == 5
    other = await add_request(pg, call, model="m-mini", input_tokens=5)
    assert (await cost_of(pg, other))[0] is None


@pytest.mark.every_postgres
async def test_a_request_told_again_is_priced_again(pg: Connection, call: UUID) -> None:
    await set_price(pg, "input_token", "1")
    request = await add_request(pg, call, input_tokens=5, estimated=True)
    await pg.execute(
        "update voice_usage set input_tokens = 8, estimated = false where id = $1", request
    )
    assert (await cost_of(pg, request))[0] == 8
    assert (await total_of(pg, call))[0] == 8
    await pg.execute("delete from voice_usage where id = $1", request)
    assert (await total_of(pg, call))[0] == 0


async def test_public_prices_are_there_and_yours_stay(pg: Connection) -> None:
    rows = await pg.fetch(
        "select price, per, source, source_date from model_prices "
        "where provider = 'api.openai.com' and model = 'gpt-4o-mini' and unit = 'output_token'"
    )
    (row,) = rows
    assert (row["price"], row["per"]) == (Decimal("0.6"), 1_000_000)
    assert row["source"].startswith("https://")
    assert row["source_date"]


@pytest.mark.every_postgres
async def test_costs_of_turns_are_their_owners_to_read(pg: Connection, call: UUID) -> None:
    await set_price(pg, "input_token", "1")
    await add_request(pg, call, input_tokens=7)
    await add_request(pg, call, model="unknown")
    owner = await pg.fetchval("select user_id from voice_calls where id = $1", call)
    async with as_user(pg, owner):
        row = await pg.fetchrow("select * from turn_costs where call_id = $1", call)
        assert row is not None
        assert (row["cost"], row["requests"], row["unpriced_requests"]) == (7, 2, 1)
    stranger = await add_user(pg, "eve")
    async with as_user(pg, stranger):
        assert await pg.fetch("select * from turn_costs where call_id = $1", call) == []


amounts = st.integers(0, 100_000)


@st.composite
def requests(draw: st.DrawFn) -> dict[str, int]:
    """Return a request whose parts lie inside its wholes, as providers tell them."""
    audio, cached_audio = draw(amounts), 0
    cached_audio = draw(st.integers(0, audio))
    cached_text, created, plain = draw(amounts), draw(amounts), draw(amounts)
    output_audio = draw(amounts)
    return {
        "input_tokens": audio + cached_text + created + plain,
        "cached_input_tokens": cached_text + cached_audio,
        "cache_creation_tokens": created,
        "input_audio_tokens": audio,
        "cached_audio_tokens": cached_audio,
        "output_tokens": output_audio + draw(amounts),
        "output_audio_tokens": output_audio,
        "characters": draw(amounts),
        "audio_ms": draw(amounts),
    }


def expected(usage: dict[str, int], prices: dict[str, Decimal]) -> Decimal | None:
    """Compute the cost another way: from whole numbers of millionths."""

    def first(*units: str) -> Decimal | None:
        return next((prices[unit] for unit in units if unit in prices), None)

    cached_text = usage["cached_input_tokens"] - usage["cached_audio_tokens"]
    plain = (
        usage["input_tokens"]
        - usage["input_audio_tokens"]
        - usage["cache_creation_tokens"]
        - cached_text
    )
    parts: list[tuple[int | Decimal, Decimal | None]] = [
        (plain, first("input_token")),
        (cached_text, first("cached_input_token", "input_token")),
        (usage["cache_creation_tokens"], first("cache_creation_token", "input_token")),
        (usage["output_tokens"] - usage["output_audio_tokens"], first("output_token")),
        (
            usage["input_audio_tokens"] - usage["cached_audio_tokens"],
            first("input_audio_token", "input_token"),
        ),
        (
            usage["cached_audio_tokens"],
            first("cached_audio_token", "input_audio_token", "cached_input_token", "input_token"),
        ),
        (usage["output_audio_tokens"], first("output_audio_token", "output_token")),
        (usage["characters"], first("character")),
        (Decimal(usage["audio_ms"]) / 1000, first("audio_second")),
        (1, first("request")),
    ]
    paid = [amount * price for amount, price in parts if amount and price is not None]
    if not paid and (not prices or any(amount for amount, _ in parts[:-1])):
        return None
    return sum(paid, Decimal(0)).quantize(Decimal("1e-10"))


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    usages=st.lists(requests(), min_size=1, max_size=4),
    prices=st.dictionaries(st.sampled_from(UNITS), st.integers(0, 10**6), max_size=10),
)
async def test_costs_are_exact(
    pg: Connection, call: UUID, usages: list[dict[str, int]], prices: dict[str, int]
) -> None:
    """Of any request at any prices, and again when prices are looked up anew."""
    await pg.execute("delete from voice_usage")
    await pg.execute("delete from model_prices where provider = 'p'")
    await pg.execute("update voice_calls set cost = null, unpriced_requests = 0")
    known = {unit: Decimal(price) / 10**6 for unit, price in prices.items()}
    for unit, price in known.items():
        await set_price(pg, unit, str(price))
    wanted = [expected(usage, known) for usage in usages]
    ids = [await add_request(pg, call, **usage) for usage in usages]
    assert [(await cost_of(pg, each))[0] for each in ids] == wanted
    paid = [cost for cost in wanted if cost is not None]
    total = sum(paid, Decimal(0)) if paid else None
    assert await total_of(pg, call) == (total, len(wanted) - len(paid))

    await pg.execute("alter table voice_usage disable trigger voice_usage_price_trigger")
    await pg.execute("update voice_usage set cost = 1, price_ids = null")
    await pg.execute("alter table voice_usage enable trigger voice_usage_price_trigger")
    row = await pg.fetchrow(
        "select * from voice_worker.reprice($1, '-infinity', 'infinity', null, 100)", UUID(int=0)
    )
    assert row is not None
    assert row["looked_at"] == len(usages)
    assert [(await cost_of(pg, each))[0] for each in ids] == wanted
    assert (await total_of(pg, call))[0] == (total if paid else 0)
