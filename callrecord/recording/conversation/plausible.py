"""Which of the framework's latencies can be true: it has told 203 s for a reply that took two."""

from collections.abc import Mapping
from typing import Any, Final

LONGEST_MS: Final = 60_000
"""A caller who waited longer for an answer would have hung up."""

WHOLE: Final = "e2e_latency_ms"
PARTS: Final = ("llm_ttft_ms", "first_sentence_ms", "tts_ttfb_ms", "playout_delay_ms")
"""Columns of what lies within the whole, from the caller's last word to the agent's first sound."""


def plausible(
    told: Mapping[str, int | None], *, ahead: bool = False
) -> tuple[dict[str, int | None], dict[str, Any]]:
    """Part latencies that can be true from those that cannot.

    Where a part is longer than the whole, neither is believed: nothing says which is wrong.

    Args:
        told: By column, in milliseconds; None was not told.
        ahead: The reply may have been begun while the caller still spoke: its parts may be longer.

    Returns:
        The same columns, None in place of what cannot be; and metadata that keeps it, or nothing.
    """
    wrong = {
        column: value
        for column, value in told.items()
        if value is not None and not 0 <= value <= LONGEST_MS
    }
    whole = None if ahead or WHOLE in wrong else told.get(WHOLE)
    if whole is not None:
        parts = {part: told.get(part) or 0 for part in PARTS if part not in wrong}
        longer = {part: value for part, value in parts.items() if value > whole}
        wrong |= longer | ({WHOLE: whole} if longer else {})
    kept = {column: None if column in wrong else value for column, value in told.items()}
    return kept, {"implausible": wrong} if wrong else {}
