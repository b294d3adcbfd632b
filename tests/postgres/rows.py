"""Rows that tests start from."""

from uuid import UUID, uuid4

from tests.postgres.server import Connection

STRICT = """
create function no_bad() returns trigger language plpgsql as $$
begin
    if new.content like 'bad%' then
        raise exception 'not this: %', new.content using errcode = '22000';
    end if;
    return new;
end $$;
create trigger no_bad before insert on voice_messages for each row execute function no_bad();
"""
"""A rule of a team's own: turns that begin with "bad" are refused, until no_bad is dropped."""


async def add_user(conn: Connection, name: str, *, role: str = "user") -> UUID:
    """Insert a user whose e-mail is `<name>@example.org`, and return the id."""
    user_id: UUID = await conn.fetchval(
        "insert into users (name, email, role) values ($1, $3, $2) returning id",
        name,
        role,
        f"{name}@example.org",
    )
    return user_id


async def add_call(conn: Connection, user_id: UUID | None = None, status: str = "pending") -> UUID:
    """Insert a call as a front end does, and return the id."""
    call_id: UUID = await conn.fetchval(
        """
        insert into voice_calls (user_id, session_id, room_name, ai_agent_used, status)
        values ($1, $2, 'Support Call', true, $3) returning id
        """,
        user_id,
        f"call-{user_id}-{uuid4().hex}",
        status,
    )
    return call_id


async def add_leg(conn: Connection, call_id: UUID, user_id: UUID | None, identity: str) -> UUID:
    """Insert a leg and return the id."""
    leg_id: UUID = await conn.fetchval(
        """
        insert into call_participants (call_id, user_id, participant_identity)
        values ($1, $2, $3) returning id
        """,
        call_id,
        user_id,
        identity,
    )
    return leg_id


async def add_message(
    conn: Connection,
    call_id: UUID,
    role: str = "user",
    *,
    tokens: int = 0,
    number: int | None = None,
) -> UUID:
    """Insert a message and return the id."""
    message_id: UUID = await conn.fetchval(
        """
        insert into voice_messages (call_id, role, content, tokens_used, sequence_number)
        values ($1, $2, 'words', $3, $4) returning id
        """,
        call_id,
        role,
        tokens,
        number,
    )
    return message_id


async def add_usage(
    conn: Connection,
    call_id: UUID,
    message_id: UUID | None = None,
    *,
    kind: str = "llm",
    tokens: int = 0,
) -> UUID:
    """Insert a model request and return the id."""
    usage_id: UUID = await conn.fetchval(
        """
        insert into voice_usage (call_id, message_id, kind, model, total_tokens)
        values ($1, $2, $3, 'small', $4) returning id
        """,
        call_id,
        message_id,
        kind,
        tokens,
    )
    return usage_id


async def total_tokens(conn: Connection, call_id: UUID) -> int:
    """Return the total that the call's row shows."""
    total: int = await conn.fetchval(
        "select total_tokens_used from voice_calls where id = $1", call_id
    )
    return total
