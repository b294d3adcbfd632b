"""What front ends tell in metadata: JSON by agreement, and anything at all in truth."""

import json
from typing import Any

_DEPTH = 32
"""Levels of nesting that are kept as JSON: readers of a row have limits of their own."""


def told(metadata: str) -> dict[str, Any] | None:
    """Return the JSON object that a room's, job's or participant's metadata is.

    Returns:
        An empty one for no metadata; None if it is no object, or nested too deeply to be one.
    """
    if not metadata:
        return {}
    try:
        value = json.loads(metadata)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and _is_shallow(value) else None


def _is_shallow(value: Any) -> bool:
    level = [value]
    for _ in range(_DEPTH):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return True
    return False


def _inside(value: Any) -> list[Any]:
    values = value.values() if isinstance(value, dict) else value
    return [inner for inner in values if isinstance(inner, dict | list)]
