"""What is looked at before anything is shipped."""

import asyncio

from callrecord.errors import Transient
from callrecord.postgres.store import check_schema
from callrecord.privacy import private_logger

logger = private_logger("voice.ship")

SCHEMA_TIMEOUT_S = 5.0


async def check_schema_if_there(dsn: str) -> None:
    """Check that the database has a schema for this version; one that is away is no obstacle.

    Raises:
        Stop: It has another schema, or refuses the login; one line that says what to do.
    """
    try:
        await asyncio.wait_for(check_schema(dsn), SCHEMA_TIMEOUT_S)
    except (Transient, TimeoutError) as error:
        why = str(error) or "no answer"
        logger.warning("database away, events wait on disk", extra={"error": why})
