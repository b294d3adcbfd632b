"""Renders conversations for people and for programs."""

import logging
import sys
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console
from rich.text import Text

from local.calling.transcript import Turn, Who


@dataclass
class CallReport:
    """The result of one call.

    Attributes:
        room: Name of the room.
        identity: The caller's.
        turns: What both sides said, in order.
        error: Why it failed; None if it did not.
    """

    room: str
    identity: str
    turns: list[Turn] = field(default_factory=list)
    error: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON; times in seconds since the caller joined."""
        return asdict(self)


def quiet_livekit() -> None:
    """Keep LiveKit's log out of a conversation; its errors are also raised."""
    logging.getLogger("livekit").setLevel(logging.CRITICAL)


def turn_line(turn: Turn, label: str = "") -> Text:
    """Return a turn as one line; the label identifies the call."""
    is_agent = turn.who is Who.AGENT
    line = Text(f"{label} " if label else "", style="dim")
    line.append(f"{turn.who:>6}: ", style="bold green" if is_agent else "bold cyan")
    line.append(turn.text or "(speaks)", style="" if turn.text else "dim")
    if turn.interrupted:
        line.append(" (interrupted)", style="yellow")
    if turn.latency_s is not None:
        line.append(f"  {turn.latency_s:.2f} s", style="dim")
    return line


def print_turn(console: Console, turn: Turn, label: str = "") -> None:
    """Print a turn as it happens."""
    console.print(turn_line(turn, label), soft_wrap=True)


def print_failure(error: Exception, label: str = "") -> None:
    """Print why a call failed, in one line on stderr."""
    print(f"{f'call {label}: ' if label else ''}{error}", file=sys.stderr)
