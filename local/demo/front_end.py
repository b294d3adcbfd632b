"""Does what a front end does for a call: creates the row, then the room, then the token."""

import json
import time
from dataclasses import dataclass
from uuid import UUID, uuid4

import asyncpg

from local.caller import Caller, Server
from local.caller.voice import Voice
from local.sql import sql


@dataclass(frozen=True)
class Placed:
    """A call that is about to start.

    Attributes:
        call_id: Id of its pending row.
        caller: The caller, with a token, not yet in the room, which exists.
    """

    call_id: UUID
    caller: Caller


async def place_call(connection: asyncpg.Connection, server: Server, voice: Voice) -> Placed:
    """Insert a user and a pending call, create the room with its id, and make a token.

    Raises:
        CallerError: LiveKit refuses the room.
    """
    user_id = uuid4()
    email = f"ada.{user_id.hex[:8]}@example.com"
    await connection.execute(sql("demo_user"), user_id, "Ada", email)
    session_id = f"call-{user_id}-{time.time_ns() // 1_000_000}"
    call_id: UUID = await connection.fetchval(sql("demo_call"), user_id, session_id)
    await server.create_room(session_id, json.dumps({"callId": str(call_id)}))
    caller = Caller(
        server,
        room=session_id,
        identity=str(user_id),
        name="Ada",
        metadata=json.dumps({"userId": str(user_id), "callId": str(call_id)}),
        voice=voice,
    )
    return Placed(call_id, caller)
