"""What shipping needs to know, from the environment: the names and defaults of our own worker."""

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
"""Heartbeats that fit into the time after which a worker counts as lost, at least."""


@dataclass(frozen=True)
class ShipSettings:
    """Settings of what ships an outbox.

    Attributes:
        dsn: Of the Postgres that gets the calls; it holds a password, and is not printed.
        outbox_dir: Local directory of events on their way there.
        min_free_mb: Free megabytes on its disk below which no new calls are taken.
        ship_timeout_s: Seconds to bring the last events to Postgres at the end.
        rhythm: Of its heartbeats, and when others count as lost.
    """

    dsn: str = field(repr=False)
    outbox_dir: Path = Path(OUTBOX_DIR)
    min_free_mb: int = MIN_FREE_MB
    ship_timeout_s: float = SHIP_TIMEOUT_S
    rhythm: Rhythm = RHYTHM

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "ShipSettings":
        """Return what DATABASE_URL and the AGENT_ variables say; an empty one is not set.

        Raises:
            Stop: One is missing or does not do; one line that says which.
        """
        return cls(
            dsn=checked_url(environment.get("DATABASE_URL")),
            outbox_dir=outbox_dir(environment),
            min_free_mb=int(number(environment, "AGENT_OUTBOX_MIN_FREE_MB", MIN_FREE_MB)),
            ship_timeout_s=number(environment, "AGENT_SHIP_TIMEOUT_S", SHIP_TIMEOUT_S),
            rhythm=_rhythm(environment),
        )


def rhythm_problem(heartbeat_s: float, worker_lost_s: float) -> str | None:
    """Return what does not go together, as a line that begins with the setting to change."""
    if worker_lost_s >= BEATS_TO_LOSE * heartbeat_s > 0:
        return None
    return f"AGENT_WORKER_LOST_S: is not {BEATS_TO_LOSE} times AGENT_HEARTBEAT_S, or more"


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
    """Return the number that a variable holds; an empty one is not set.

    Raises:
        Stop: It is no number of zero or more.
    """
    text = environment.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise Stop(f"{name}={text}: not a number of zero or more")
    return value
