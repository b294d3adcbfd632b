"""Maps dataclasses to the columns of a statement, and its records back to dataclasses."""

import json
from collections.abc import Iterable
from dataclasses import Field, fields
from functools import cache
from typing import Any, TypeVar

import asyncpg

from callrecord.postgres.queries import sql
from callrecord.rows import Metadata

T = TypeVar("T")


@cache
def select(kind: type[Any], name: str) -> str:
    """Return the statement `name` with the columns of this kind of row."""
    return sql(name).replace("{columns}", ", ".join(map(_column, fields(kind))))


def _column(field: Field[Any]) -> str:
    # As text: the Python type of jsonb depends on the connection's codecs.
    return "metadata::text as metadata" if field.name == "metadata" else field.name


def row_of(kind: type[T], record: "asyncpg.Record") -> T:
    """Return the record as a row; the statement's columns have the names of the row's fields."""
    values = dict(record.items())
    if "metadata" in values:
        values["metadata"] = _object(values["metadata"])
    return kind(**values)


def rows_of(kind: type[T], records: "Iterable[asyncpg.Record]") -> list[T]:
    """Return all records as rows."""
    return [row_of(kind, record) for record in records]


def _object(text: str | None) -> Metadata | None:
    if text is None:
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):  # too many digits or too deep for Python: keep the text
        found = text
    return found if isinstance(found, dict) else {"value": found}
