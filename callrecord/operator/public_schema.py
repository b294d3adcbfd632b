"""Reads, from Postgres' catalogue, the part of schema `public` that a role may use."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from callrecord.postgres.queries import sql

if TYPE_CHECKING:
    import asyncpg


@dataclass(frozen=True, slots=True)
class Type:
    """A type of Postgres.

    Attributes:
        kind: `b` base, `c` composite (also tables and views), `d` domain, `e` enum, `p` pseudo.
        base: For a domain, the id of its base type.
        element: For an array, the id of its elements' type.
        labels: For an enum, its labels in order.
    """

    id: int
    name: str
    is_public: bool
    kind: str
    base: int | None
    element: int | None
    labels: list[str]


@dataclass(frozen=True, slots=True)
class Column:
    """A column that the role may read; `optional`: an insert may omit it."""

    relation: str
    of_view: bool
    name: str
    type: int
    nullable: bool
    optional: bool
    insertable: bool
    updatable: bool


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A foreign key between two tables of the schema; `one_to_one`: its columns are unique."""

    name: str
    relation: str
    referenced: str
    columns: list[str]
    referenced_columns: list[str]
    one_to_one: bool


@dataclass(frozen=True, slots=True)
class Function:
    """A function that the role may call.

    Attributes:
        types: The types of all arguments, including output arguments.
        modes: One letter for each argument: `i` in, `o` out, `b` both, `v` variadic, `t` a column
            of the returned table; None if all are `i`.
        required: How many input arguments have no default.
    """

    name: str
    returns_set: bool
    returns: int
    types: list[int]
    modes: list[str] | None
    names: list[str] | None
    required: int


@dataclass(frozen=True, slots=True)
class PublicSchema:
    """The parts of the schema; each list is sorted by name."""

    columns: list[Column]
    foreign_keys: list[ForeignKey]
    functions: list[Function]
    types: dict[int, Type] = field(default_factory=dict)


async def read_public_schema(
    connection: "asyncpg.Connection[asyncpg.Record]", role: str
) -> PublicSchema:
    """Read the schema; any login may do this.

    Args:
        connection: A connection to the database.
        role: The role whose rights count.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        columns = await connection.fetch(sql("public_columns"), role)
        foreign_keys = await connection.fetch(sql("public_foreign_keys"))
        functions = await connection.fetch(sql("public_functions"), role)
        types = await connection.fetch(sql("public_types"))
    return PublicSchema(
        [Column(**row) for row in columns],
        [ForeignKey(**row) for row in foreign_keys],
        [Function(**row) for row in functions],
        {row["id"]: Type(**row) for row in types},
    )
