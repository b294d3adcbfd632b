"""The settings of shipping, from the environment, with the worker's names and defaults."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from callrecord.errors import Stop
from callrecord.postgres.database_url import checked_url
from callrecord.shipping.heartbeat import Rhythm

OUTBOX_DIR = "var/outbox"
MIN_FREE_MB = 200
SHIP_TIMEOUT_S = 20.0
RHYTHM = Rhythm()
BEATS_TO_LOSE = 6
"""Minimum number of heartbeats within the time after which a worker counts as lost."""


@dataclass(frozen=True)
class ShipSettings:
    """Settings of a process that ships an outbox.

    Attributes:
        dsn: URL of the Postgres that stores the calls; it holds a password and is not printed.
        outbox_dir: Local directory of events that are not stored yet.
        min_free_mb: Free megabytes on its disk below which no new calls are accepted.
        ship_timeout_s: Seconds to ship the last events when it stops.
        rhythm: When to send heartbeats, and when other workers count as lost.
    """

    dsn: str = field(repr=False)
    outbox_dir: Path = Path(OUTBOX_DIR)
    min_free_mb: int = MIN_FREE_MB
    ship_timeout_s: float = SHIP_TIMEOUT_S
    rhythm: Rhythm = RHYTHM

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "ShipSettings":
        """Return the settings in DATABASE_URL and the AGENT_ variables; an empty one is unset.

        Raises:
            Stop: One is missing or invalid; the message is one line that names it.
        """
        return cls(
            dsn=checked_url(environment.get("DATABASE_URL")),
            outbox_dir=outbox_dir(environment),
            min_free_mb=int(number(environment, "AGENT_OUTBOX_MIN_FREE_MB", MIN_FREE_MB)),
            ship_timeout_s=number(environment, "AGENT_SHIP_TIMEOUT_S", SHIP_TIMEOUT_S),
            rhythm=_rhythm(environment),
        )


def rhythm_problem(heartbeat_s: float, worker_lost_s: float) -> str | None:
    """Return why the two conflict, as a line that starts with the setting to change."""
    if worker_lost_s >= BEATS_TO_LOSE * heartbeat_s > 0:
        return None
    return f"AGENT_WORKER_LOST_S: must be at least {BEATS_TO_LOSE} times AGENT_HEARTBEAT_S"


def _rhythm(environment: Mapping[str, str]) -> Rhythm:
    rhythm = Rhythm(
        every_s=number(environment, "AGENT_HEARTBEAT_S", RHYTHM.every_s),
        lost_after_s=number(environment, "AGENT_WORKER_LOST_S", RHYTHM.lost_after_s),
        not_served_min=number(environment, "AGENT_NOT_SERVED_MIN", RHYTHM.not_served_min),
    )
    problem = rhythm_problem(rhythm.every_s, rhythm.lost_after_s)
    if problem:
        raise Stop(problem)
    return rhythm


def outbox_dir(environment: Mapping[str, str]) -> Path:
    """Return the directory of AGENT_OUTBOX_DIR."""
    return Path(environment.get("AGENT_OUTBOX_DIR") or OUTBOX_DIR)


def number(environment: Mapping[str, str], name: str, default: float) -> float:
    """Return the number in a variable; an empty one is unset.

    Raises:
        Stop: It is not a number, or below zero.
    """
    text = environment.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise Stop(f"{name}={text}: must be a number, zero or more")
    return value
