"""Each row's fields are the columns of the migrated database, with types that fit."""

import re
from datetime import datetime
from decimal import Decimal
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints
from uuid import UUID

import pytest

from callrecord.reading import ActiveCall, Call, Leg, Message, Usage
from tests.postgres.server import Connection

pytestmark = pytest.mark.every_postgres

COLUMNS = """
select a.attname as name, a.attnotnull as never_null, t.typname as type,
    (select array_agg(e.enumlabel::text) from pg_enum e where e.enumtypid = t.oid) as labels,
    (
        select pg_get_constraintdef(c.oid) from pg_constraint c
        where c.conrelid = a.attrelid and c.contype = 'c' and c.conkey = array[a.attnum]
    ) as condition
from pg_attribute a join pg_type t on t.oid = a.atttypid
where a.attrelid = $1::text::regclass and a.attnum > 0 and not a.attisdropped
"""
TYPES: dict[str, Any] = {
    "uuid": UUID,
    "varchar": str,
    "text": str,
    "name": str,
    "timestamptz": datetime,
    "int4": int,
    "int8": int,
    "bool": bool,
    "numeric": Decimal,
    "jsonb": dict[str, Any],
    "_text": list[str],
    "_int8": list[int],
}


def required(hint: Any) -> Any:
    """Return a type without its None."""
    if isinstance(hint, UnionType) or NoneType in get_args(hint):
        return next(each for each in get_args(hint) if each is not NoneType)
    return hint


def fits(hint: Any, column: Any) -> bool:
    if get_origin(hint) is Literal:
        labels = column["labels"] or re.findall(r"'([^']+)'", column["condition"] or "")
        return set(get_args(hint)) == set(labels)
    return bool(hint == TYPES.get(column["type"]))


@pytest.mark.parametrize(
    ("row", "table"),
    [
        (Call, "voice_calls"),
        (Message, "voice_messages"),
        (Leg, "call_participants"),
        (Usage, "voice_usage"),
        (ActiveCall, "active_calls_summary"),
    ],
)
async def test_fields_are_columns(pg: Connection, row: type, table: str) -> None:
    columns = {each["name"]: each for each in await pg.fetch(COLUMNS, table)}
    hints = get_type_hints(row)
    assert set(hints) == set(columns)
    unlike = [name for name, hint in hints.items() if not fits(required(hint), columns[name])]
    assert not unlike
    if row is not ActiveCall:  # a view's columns may all be null, says the catalogue
        nullable = {name for name, hint in hints.items() if required(hint) is not hint}
        assert nullable == {name for name, each in columns.items() if not each["never_null"]}
