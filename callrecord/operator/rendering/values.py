"""Formats times and quantities."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal


def minute(at: datetime | None) -> str | None:
    """Return date and minute."""
    return None if at is None else at.strftime("%Y-%m-%d %H:%M")


def second(at: datetime | None) -> str | None:
    """Return date and second."""
    return None if at is None else at.strftime("%Y-%m-%d %H:%M:%S")


def clock(at: datetime | None) -> str | None:
    """Return the time of day to the millisecond."""
    return None if at is None else at.strftime("%H:%M:%S.%f")[:-3]


def length(seconds: int | None) -> str | None:
    """Return a duration as `m:ss` or `h:mm:ss`."""
    if seconds is None:
        return None
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def seconds(ms: int | None, digits: int = 2) -> str | None:
    """Return milliseconds as seconds."""
    return None if ms is None else f"{ms / 1000:.{digits}f} s"


def number(count: int | None) -> str | None:
    """Return a count; None for 0, which means that the provider reported none."""
    return str(count) if count else None


def money(costs: Iterable[Decimal | None]) -> str | None:
    """Return a sum; None if any part of it is unknown."""
    known = list(costs)
    if not known or None in known:
        return None
    total = sum((each for each in known if each is not None), Decimal(0))
    return f"{total.normalize():f}"
