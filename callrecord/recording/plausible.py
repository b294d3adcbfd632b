"""Which of the framework's latencies can be true: it has told 203 s for a reply that took two."""

from collections.abc import Mapping
from typing import Any, Final

LONGEST_MS: Final = 60_000
"""A caller who waited longer for an answer would have hung up."""


def plausible(told: Mapping[str, int | None]) -> tuple[dict[str, int | None], dict[str, Any]]:
    """Part latencies that can be true from those that cannot.

    Args:
        told: By column, in milliseconds; None was not told.

    Returns:
        The same columns, None in place of what cannot be; and metadata that keeps it, or nothing.
    """
    wrong = {
        column: value
        for column, value in told.items()
        if value is not None and not 0 <= value <= LONGEST_MS
    }
    kept = {column: None if column in wrong else value for column, value in told.items()}
    return kept, {"implausible": wrong} if wrong else {}
