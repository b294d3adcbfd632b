"""From a record of asyncpg to a dataclass."""

import json
from collections.abc import Iterable
from typing import TypeVar

import asyncpg

from callrecord.db.reading.rows import Metadata

T = TypeVar("T")


def row_of(kind: type[T], record: "asyncpg.Record") -> T:
    """Return the record as a row; a statement names its columns as the row's fields."""
    fields = dict(record.items())
    if "metadata" in fields:
        fields["metadata"] = _object(fields["metadata"])
    return kind(**fields)


def rows_of(kind: type[T], records: "Iterable[asyncpg.Record]") -> list[T]:
    """Return all records as rows."""
    return [row_of(kind, record) for record in records]


def _object(text: str | None) -> Metadata | None:
    # The statements ask for text: what jsonb comes as depends on the codecs of the connection.
    if text is None:
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):  # more digits or depth than Python takes: kept as text
        found = text
    return found if isinstance(found, dict) else {"value": found}
