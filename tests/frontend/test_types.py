"""types/voice-calls.ts: equal to the schema, and of use to `createClient<Database>`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from local.places import PROJECT
from tests.frontend.generate import CHECKED_IN, types_of
from tests.frontend.toolchain import NODE
from tests.postgres.server import Connection


@pytest.mark.every_postgres
async def test_the_file_is_what_the_schema_says(database_url: str) -> None:
    written = CHECKED_IN.read_text(encoding="utf-8")
    assert written == await types_of(database_url), "run `make types`"


@pytest.mark.parametrize("project", ["tsconfig.json", "tsconfig.next.json"])
def test_the_front_ends_habits_compile_and_misuse_does_not(sources: Path, project: str) -> None:
    """Each line that must not compile is marked in misuse.ts; tsconfig.next.json: the documents."""
    compiler = sources.parents[1] / "node_modules" / "typescript" / "bin" / "tsc"
    done = subprocess.run(
        [NODE, compiler, "-p", sources / project], check=False, capture_output=True, text=True
    )
    assert done.stdout == ""
    assert done.returncode == 0


SHAPES = """
create type mood as enum ('calm', 'it''s "fine"');
create table "odd name" (
    id bigint generated always as identity primary key,
    "a-b" numeric[] not null,
    mood mood not null default 'calm',
    twice bigint generated always as (id * 2) stored,
    at timestamptz,
    call uuid unique references voice_calls,
    hidden text
);
grant select (id, "a-b", mood, twice, at, call) on "odd name" to authenticated;
grant insert, update ("a-b", twice, at) on "odd name" to authenticated;
create table closed (id int);
create function public.calls_by_day(since timestamptz, zone text default 'UTC')
    returns table (day date, calls bigint) language sql as 'select null::date, 1::bigint';
create function public.newest() returns setof voice_calls language sql
    as 'select * from voice_calls';
create function public.shut(n int) returns int language sql as 'select n';
revoke execute on function public.shut(int) from public;
"""

EXPECTED = [
    """
      "odd name": {
        Row: {
          "a-b": number[]
          at: string | null
          call: string | null
          id: number
          mood: Database["public"]["Enums"]["mood"]
          twice: number | null
        }
        Insert: {
          "a-b": number[]
          at?: string | null
          call?: string | null
          mood?: Database["public"]["Enums"]["mood"]
        }
        Update: {
          "a-b"?: number[]
          at?: string | null
        }
        Relationships: [
          {
            foreignKeyName: "odd name_call_fkey"
            columns: ["call"]
            isOneToOne: true
            referencedRelation: "voice_calls"
            referencedColumns: ["id"]
          },
        ]
      }
""",
    """
      calls_by_day: {
        Args: {
          since: string
          zone?: string
        }
        Returns: {
          day: string | null
          calls: number | null
        }[]
      }
""",
    """
      newest: {
        Args: Record<PropertyKey, never>
        Returns: Database["public"]["Tables"]["voice_calls"]["Row"][]
      }
""",
    r"""
      mood: "calm" | "it's \"fine\""
""",
]


async def test_shapes_that_our_own_tables_do_not_have(pg: Connection, database_url: str) -> None:
    await pg.execute(SHAPES)
    text = await types_of(database_url)
    for expected in EXPECTED:
        assert expected in text
    assert "hidden" not in text
    assert "closed:" not in text
    assert "shut:" not in text


@pytest.mark.parametrize("by", ["owner", "nobody"])
def test_the_command_prints_the_file(by: str, database_url: str) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "DATABASE_URL"}
    if by == "owner":
        environment["DATABASE_URL"] = database_url
    done = subprocess.run(
        [sys.executable, "-m", "db", "types"],
        check=False,
        capture_output=True,
        text=True,
        env=environment,
        cwd=PROJECT,
    )
    if by == "owner":
        assert (done.returncode, done.stdout) == (0, CHECKED_IN.read_text(encoding="utf-8"))
    else:
        assert (done.returncode, done.stdout) == (2, "")
        assert "DATABASE_URL is missing" in done.stderr
