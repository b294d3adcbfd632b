"""The people of the tests of access, around one call."""

from dataclasses import dataclass
from uuid import UUID

from tests.postgres.rows import add_call, add_leg, add_message, add_usage, add_user
from tests.postgres.server import Connection


@dataclass(frozen=True)
class People:
    """Ann owns a call, Bob is in it, Eve has only a call of her own, Root is an admin."""

    ann: UUID
    bob: UUID
    eve: UUID
    root: UUID
    call: UUID
    reply: UUID
    """What the agent said in the call: 5 tokens."""
    eves_call: UUID


async def add_people(conn: Connection) -> People:
    """Insert them and the two calls, which go on."""
    ann, bob, eve = [await add_user(conn, name) for name in ("ann", "bob", "eve")]
    root = await add_user(conn, "root", role="admin")
    call = await add_call(conn, ann, "active")
    await add_leg(conn, call, ann, "ann")
    await add_leg(conn, call, bob, "bob")
    reply = await add_message(conn, call, "assistant", tokens=5)
    await add_usage(conn, call, reply, tokens=5)
    return People(ann, bob, eve, root, call, reply, await add_call(conn, eve, "active"))
