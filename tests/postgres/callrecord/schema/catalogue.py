"""What a database holds, so that two ways to the same schema can be compared."""

import re
from dataclasses import dataclass
from pathlib import Path

import asyncpg

CATALOGUE = Path(__file__).with_name("catalogue.sql").read_text(encoding="utf-8")
RIGHTS = """
create or replace function pg_temp.rights(acl aclitem[], kind "char", owner oid) returns text
language sql as $$
    select string_agg(entry, ' ' order by entry) from (
        select concat_ws('/', coalesce(nullif(a.grantee, 0)::regrole::text, 'public'),
            a.privilege_type, case when a.is_grantable then 'grantable' end) as entry
        from aclexplode(
            case kind when 'c' then acl else coalesce(acl, acldefault(kind, owner)) end
        ) a
        where a.grantee <> owner
    ) entries
$$
"""
"""What others than the owner may do; a column ('c') has no rights of its own at first."""
TABLES = """
select c.oid::regclass::text as name from pg_class c
where c.relnamespace in (
    select oid from pg_namespace
    where nspname in ('public', 'voice_worker', 'voice_access', 'voice_before')
) and c.relkind in ('r', 'p') and c.relname not in (
    'schema_version', 'schema_migrations', 'user_limits'
)
"""
CHECKSUM = """
select count(*), md5(string_agg(r.row, '|' order by r.row))
from (select jsonb_strip_nulls(to_jsonb(t))::text as row from {} t) r
"""
"""Without what is null: a column that was added says nothing yet."""
Catalogue = dict[str, str]


@dataclass(frozen=True, slots=True)
class Difference:
    """An object that two databases do not have alike; None: it is not there."""

    name: str
    one: str | None
    other: str | None


async def catalogue(url: str) -> Catalogue:
    """Return all that the database holds, `<kind> <name>` with its definition, in their order."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(RIGHTS)
        found = {f"{row[0]} {row[1]}": str(row[2]) for row in await connection.fetch(CATALOGUE)}
    finally:
        await connection.close()
    return dict(sorted((name, _plain(text)) for name, text in found.items()))


def _plain(definition: str) -> str:
    """Return a check without the casts and brackets that a dump adds to it."""
    if not definition.startswith("CHECK"):
        return definition
    return re.sub(r"::(?:text|character varying)(?:\[\])?|[()]", "", definition)


def differences(one: Catalogue, other: Catalogue) -> list[Difference]:
    """Return what is not the same in both, by name."""
    return [
        Difference(name, one.get(name), other.get(name))
        for name in sorted(one.keys() | other.keys())
        if one.get(name) != other.get(name)
    ]


async def rows(url: str) -> Catalogue:
    """Return a checksum over the rows of each table, with their number, by the table's name."""
    connection = await asyncpg.connect(url)
    try:
        found = {}
        for table in await connection.fetch(TABLES):
            row = await connection.fetchrow(CHECKSUM.format(table["name"]))
            assert row is not None
            found[table["name"]] = f"{row[0]} {row[1]}"
    finally:
        await connection.close()
    return dict(sorted(found.items()))
