"""`python -m db sweep`: sweeps once by hand, as each worker does all the time."""

import asyncio
import os
import uuid
from argparse import ArgumentParser, Namespace

from callrecord.operator.cli.output import say
from callrecord.postgres.workers import Workers
from callrecord.shipping.heartbeat import Heartbeat, Identity
from callrecord.shipping.settings import ShipSettings

NAME = "sweep"
HELP = "end the calls of lost workers, after watching their heartbeats for AGENT_WORKER_LOST_S"


def add_arguments(_parser: ArgumentParser) -> None:
    """Declare nothing: all settings are in the environment, as for a worker."""


def run(_arguments: Namespace) -> int:
    """Watch, sweep once, and print the result."""
    settings = ShipSettings.of(os.environ)
    limit_s = settings.rhythm.lost_after_s
    say([f"watching for {limit_s:g} s first, as every sweeper does (AGENT_WORKER_LOST_S)"])
    lost = asyncio.run(_sweep(settings))
    if not lost:
        say(["no calls of lost workers"])
    for worker_id, calls in lost.items():
        say([f"worker {worker_id} is lost: {calls} calls ended as worker_lost"])
    return 0


async def _sweep(settings: ShipSettings) -> dict[uuid.UUID, int]:
    me = Identity(uuid.uuid4(), kind="sweep")
    lost: dict[uuid.UUID, int] = {}
    workers = Workers(settings.dsn)
    heartbeat = Heartbeat(settings.dsn, me, settings.rhythm)
    try:
        while True:
            await heartbeat.beat()
            swept = await workers.sweep(me.worker_id)
            for worker_id, calls in swept.lost.items():
                lost[worker_id] = lost.get(worker_id, 0) + calls
            if swept.lost:
                continue
            if swept.state == "swept":
                return lost
            left_s = swept.seconds or 0.0  # None while another worker sweeps
            await asyncio.sleep(min(left_s, settings.rhythm.every_s) + 0.05)
    finally:
        await heartbeat.stop(all_shipped=False)
        await workers.forget(me.worker_id)
        await workers.close()
