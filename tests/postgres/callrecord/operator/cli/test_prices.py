"""`python -m db prices`, as an operator runs it."""

from pathlib import Path

from tests.postgres.callrecord.operator.command import run
from tests.postgres.rows import add_call, add_user
from tests.postgres.server import Connection

SET = ("prices", "set", "Local", "m", "input_token", "3", "--per", "1000", "--from", "2026-01-01")


async def test_a_price_set_later_prices_what_was_used(pg: Connection, database_url: str) -> None:
    call = await add_call(pg, await add_user(pg, "ann"))
    await pg.execute(
        "insert into voice_usage (call_id, kind, provider, model, input_tokens, created_at) "
        "select $1, 'llm', 'local', 'm', n, '2026-05-01' from generate_series(1, 3) n",
        call,
    )
    code, output, errors = await run(database_url, *SET)
    assert (code, errors) == (0, "")
    assert output.splitlines()[0] == "1 prices stored"
    code, output, errors = await run(database_url, "prices", "recompute")
    assert (code, output, errors) == (0, "3 requests, 3 changed\n", "")
    row = await pg.fetchrow("select cost, unpriced_requests from voice_calls where id = $1", call)
    assert row is not None
    assert (float(row["cost"]), row["unpriced_requests"]) == (0.018, 0)
    code, output, _ = await run(database_url, "prices", "recompute", "--until", "2026-04-01")
    assert output == "0 requests, 0 changed\n"


async def test_the_list_shows_what_is_set(database_url: str) -> None:
    await run(database_url, *SET)
    code, output, _ = await run(database_url, "prices", "list", "--provider", "local")
    assert code == 0
    assert output.splitlines()[-1].split()[:7] == [
        *("local", "m", "input_token", "3", "USD", "1,000", "2026-01-01")
    ]


async def test_a_file_is_loaded_whole_or_not_at_all(
    pg: Connection, database_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "prices.csv"
    file.write_text(
        "provider,model,unit,price,per,valid_from\n"
        "local,a,input_token,1,1000000,2026-01-01\n"
        "local,a,output_token,2,1000000,2026-01-01\n"
    )
    code, output, _ = await run(database_url, "prices", "load", str(file))
    assert (code, output.splitlines()[0]) == (0, "2 prices stored")
    file.write_text(file.read_text().replace(",2,", ",5,"))
    _, output, _ = await run(database_url, "prices", "load", str(file))
    assert output.splitlines()[0] == "0 prices stored, 2 already set"
    _, output, _ = await run(database_url, "prices", "load", str(file), "--replace")
    assert await pg.fetchval("select sum(price) from model_prices where model = 'a'") == 6


async def test_a_wrong_line_is_named(pg: Connection, database_url: str, tmp_path: Path) -> None:
    file = tmp_path / "prices.csv"
    for line, told in (
        ("local,a,token,1", "line 2: unit 'token': must be one of input_token"),
        ("local,a,input_token,-1", "line 2: price -1: must be a number, zero or more"),
        ("local,a,input_token,", "line 2: missing 1 required"),
    ):
        file.write_text(f"provider,model,unit,price\n{line}\n")
        code, _, errors = await run(database_url, "prices", "load", str(file))
        assert (code, told in errors) == (2, True), errors
    code, _, errors = await run(database_url, "prices", "load", str(tmp_path / "none.csv"))
    assert (code, errors.count("\n")) == (2, 1)
    assert await pg.fetchval("select count(*) from model_prices where provider = 'local'") == 0
