"""What a role sees of schema `public`, from Postgres' catalogue."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from callrecord.postgres.queries import sql

if TYPE_CHECKING:
    import asyncpg


@dataclass(frozen=True, slots=True)
class Type:
    """A type of Postgres.

    Attributes:
        kind: `b` base, `c` composite (tables and views too), `d` domain, `e` enum, `p` pseudo.
        base: Of a domain, the id of the type it narrows.
        element: Of an array, the id of its elements' type.
        labels: Of an enum, in its order.
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
    """A column that the role may read; `optional` in an insert."""

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
    """From one table of the schema to another; `one_to_one`: its columns are unique."""

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
        types: Of all arguments, those that it returns too.
        modes: One letter for each: `i` in, `o` out, `b` both, `v` variadic, `t` a column of the
            table it returns; None if all are `i`.
        required: How many of the arguments that go in have no default.
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
    """Each list in the order of its names."""

    columns: list[Column]
    foreign_keys: list[ForeignKey]
    functions: list[Function]
    types: dict[int, Type] = field(default_factory=dict)


async def read_public_schema(
    connection: "asyncpg.Connection[asyncpg.Record]", role: str
) -> PublicSchema:
    """Read it; any login may.

    Args:
        connection: To the database.
        role: Whose rights count.
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
