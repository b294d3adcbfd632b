"""The tables' types for a front end in TypeScript, as `createClient<Database>` takes them.

The shape is that of `supabase gen types`, and each `Row` is the same. Different on purpose: what is
there are the tables, columns and functions that a signed-in user may use, a row that is written has
just the columns that he may write, and what a function returns as a table may be null, as Postgres
does not say which column never is. Left out: relationships of and to views.
"""

import json
import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import TYPE_CHECKING, get_args

from callrecord.events import COMPLETED, FAILED, UPGRADED, USAGE_KINDS, ParticipantType
from callrecord.operator.public_schema import (
    Column,
    ForeignKey,
    Function,
    PublicSchema,
    read_public_schema,
)

if TYPE_CHECKING:
    import asyncpg

SIGNED_IN = "authenticated"
"""The role of PostgREST's requests that carry a user's token."""

NOTHING = "{ [_ in never]: never }"

_PLAIN = {
    "boolean": ("bool",),
    "number": ("int2", "int4", "int8", "float4", "float8", "numeric"),
    "string": (
        *("bpchar", "bytea", "char", "date", "name", "text", "time", "timestamp", "timestamptz"),
        *("timetz", "uuid", "varchar"),
    ),
    "Json": ("json", "jsonb"),
    "undefined": ("void",),
}
_PLAIN_TYPES = {name: typescript for typescript, names in _PLAIN.items() for name in names}
_WORD = re.compile(r"[A-Za-z_$][\w$]*", re.ASCII)

_HEAD = """\
// The tables of the calls, as a signed-in user reads and writes them.
// Written by `python -m db types` from the database: not to be edited.

export type Json = string | number | boolean | null | { [key: string]: Json | undefined } | Json[]
"""

_TAIL = """\
type Public = Database["public"]
type Relations = Public["Tables"] & Public["Views"]

export type Tables<Name extends keyof Relations> = Relations[Name]["Row"]
export type TablesInsert<Name extends keyof Public["Tables"]> = Public["Tables"][Name]["Insert"]
export type TablesUpdate<Name extends keyof Public["Tables"]> = Public["Tables"][Name]["Update"]
export type Enums<Name extends keyof Public["Enums"]> = Public["Enums"][Name]

export type VoiceCall = Tables<"voice_calls">
export type VoiceCallInsert = TablesInsert<"voice_calls">
export type VoiceCallUpdate = TablesUpdate<"voice_calls">
export type VoiceMessage = Tables<"voice_messages">
export type VoiceMessageInsert = TablesInsert<"voice_messages">
export type CallParticipant = Tables<"call_participants">
export type VoiceUsage = Tables<"voice_usage">
export type ActiveCall = Tables<"active_calls_summary">
export type CallAnalytics = Tables<"call_analytics">
export type CallStatus = Enums<"call_status">
export type MessageRole = Enums<"message_role">
"""


async def typescript_of(connection: "asyncpg.Connection[asyncpg.Record]") -> str:
    """Return the text of a TypeScript file that describes the database's schema `public`."""
    return render(await read_public_schema(connection, SIGNED_IN))


def render(schema: PublicSchema) -> str:
    """Return the text of the file."""
    database = _Renderer(schema).database()
    return "\n".join([_HEAD, f"export type Database = {database}\n", _TAIL + _unions()])


def _unions() -> str:
    """Return the values of columns that are text in Postgres, as this version writes them."""
    unions = {
        "EndReason": (*COMPLETED, *FAILED, *UPGRADED),
        "ParticipantType": get_args(ParticipantType),
        "UsageKind": USAGE_KINDS,
    }
    return "".join(f"export type {name} = {_union(words)}\n" for name, words in unions.items())


def _union(words: Iterable[str]) -> str:
    return " | ".join(json.dumps(word) for word in words)


def _object(members: Iterable[tuple[str, str]], *, otherwise: str = NOTHING) -> str:
    """Return an object type with a member a line; `otherwise` if it has none."""
    lines = [f"{name}: {typescript}".replace("\n", "\n  ") for name, typescript in members]
    return "\n".join(["{", *(f"  {line}" for line in lines), "}"]) if lines else otherwise


def _key(name: str, *, optional: bool = False) -> str:
    return (name if _WORD.fullmatch(name) else json.dumps(name)) + ("?" if optional else "")


def _or_null(typescript: str, *, nullable: bool = True) -> str:
    return f"{typescript} | null" if nullable else typescript


class _Renderer:
    def __init__(self, schema: PublicSchema) -> None:
        self._schema = schema
        self._relations = {
            name: list(columns)
            for name, columns in groupby(schema.columns, key=lambda column: column.relation)
        }

    def database(self) -> str:
        members = {
            "Tables": _object(self._tables(of_views=False)),
            "Views": _object(self._tables(of_views=True)),
            "Functions": _object(self._functions()),
            "Enums": _object(
                (_key(each.name), _union(each.labels))
                for each in self._schema.types.values()
                if each.kind == "e" and each.is_public
            ),
            "CompositeTypes": NOTHING,
        }
        return _object([("public", _object(members.items()))])

    def _tables(self, *, of_views: bool) -> Iterator[tuple[str, str]]:
        for name, columns in self._relations.items():
            if columns[0].of_view != of_views:
                continue
            members = [("Row", self._row(columns))]
            if not of_views:
                members += [("Insert", self._insert(columns)), ("Update", self._update(columns))]
            members.append(("Relationships", self._relationships(name)))
            yield _key(name), _object(members)

    def _row(self, columns: list[Column]) -> str:
        return _object((_key(each.name), self._of_column(each)) for each in columns)

    def _insert(self, columns: list[Column]) -> str:
        return _object(
            (_key(each.name, optional=each.optional), self._of_column(each))
            for each in columns
            if each.insertable
        )

    def _update(self, columns: list[Column]) -> str:
        return _object(
            (_key(each.name, optional=True), self._of_column(each))
            for each in columns
            if each.updatable
        )

    def _of_column(self, column: Column) -> str:
        return _or_null(self._type(column.type), nullable=column.nullable)

    def _relationships(self, relation: str) -> str:
        keys = [key for key in self._schema.foreign_keys if key.relation == relation]
        lines = [f"  {self._relationship(key)}".replace("\n", "\n  ") + "," for key in keys]
        return "\n".join(["[", *lines, "]"]) if lines else "[]"

    def _relationship(self, key: ForeignKey) -> str:
        return _object(
            [
                ("foreignKeyName", json.dumps(key.name)),
                ("columns", json.dumps(key.columns)),
                ("isOneToOne", json.dumps(key.one_to_one)),
                ("referencedRelation", json.dumps(key.referenced)),
                ("referencedColumns", json.dumps(key.referenced_columns)),
            ]
        )

    def _functions(self) -> Iterator[tuple[str, str]]:
        by_name = groupby(self._schema.functions, key=lambda function: function.name)
        for name, overloads in by_name:
            yield _key(name), " | ".join(self._function(each) for each in overloads)

    def _function(self, function: Function) -> str:
        names = function.names or [""] * len(function.types)
        modes = function.modes or ["i"] * len(function.types)
        arguments = list(zip(names, modes, function.types, strict=True))
        going_in = [(name, type_) for name, mode, type_ in arguments if mode in "ibv"]
        coming_out = [(name, type_) for name, mode, type_ in arguments if mode in "obt"]
        taken = _object(
            (
                (_key(name, optional=place >= function.required), self._type(type_))
                for place, (name, type_) in enumerate(going_in)
            ),
            otherwise="Record<PropertyKey, never>",
        )
        if coming_out:
            returned = _object((_key(n), _or_null(self._type(t))) for n, t in coming_out)
        else:
            returned = self._type(function.returns)
        if function.returns_set:
            returned += "[]"
        return _object([("Args", taken), ("Returns", returned)])

    def _type(self, type_id: int) -> str:
        found = self._schema.types[type_id]
        if found.element is not None:
            return f"{self._type(found.element)}[]"
        if found.base is not None:
            return self._type(found.base)
        if found.kind == "e" and found.is_public:
            return f'Database["public"]["Enums"][{json.dumps(found.name)}]'
        if found.kind == "c" and found.is_public and found.name in self._relations:
            group = "Views" if self._relations[found.name][0].of_view else "Tables"
            return f'Database["public"]["{group}"][{json.dumps(found.name)}]["Row"]'
        return _PLAIN_TYPES.get(found.name, "unknown")
