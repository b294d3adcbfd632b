"""The connection of a command that needs the rights of the tables' owner."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from callrecord.errors import Stop, VoiceError
from callrecord.postgres.connection import connect
from callrecord.postgres.store import check_schema


@asynccontextmanager
async def owners_connection(dsn: str) -> AsyncIterator["asyncpg.Connection[Any]"]:
    """Check the schema and connect.

    Raises:
        Stop: The schema has to change first, or the login lacks a right.
        VoiceError: The database is away, or it rejected a statement.
    """
    await check_schema(dsn)
    connection = await connect(dsn)
    try:
        yield connection
    except asyncpg.InsufficientPrivilegeError as error:
        raise Stop(f"{error}: use the login of the tables' owner") from error
    except asyncpg.PostgresError as error:
        raise VoiceError(str(error)) from error
    finally:
        await connection.close()
