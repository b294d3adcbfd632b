"""The worker's entrypoint with the persona of these calls; loaded in each job's process."""

import sys

from livekit.agents import JobContext

from agent.job import entrypoint as plain_entrypoint
from agent.persona import MODULE
from bench.ledger import persona

sys.modules[MODULE] = persona


async def entrypoint(ctx: JobContext) -> None:
    """Run a job."""
    await plain_entrypoint(ctx)
