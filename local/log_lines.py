"""Lines of a log in words: what a person is shown of it when something has failed."""

import json
import re
from collections.abc import Iterable
from typing import Any, Final

SHOWN: Final = 3
_LENGTH: Final = 300
_ERRORS: Final = ("error", "critical", "fatal", "panic")
_WARNINGS: Final = ("warning", "warn")
_PLAIN_LEVEL: Final = re.compile(r"(?:^|[\s\[])(ERROR|CRITICAL|FATAL|PANIC|WARNING|WARN)\b:?\s*")


def in_words(line: str) -> str:
    """Return a line as a person reads it: of a JSON object its level, its message and its error."""
    entry = _entry(line)
    if entry is None:
        return line
    words = f"{entry.get('level', '')} {entry['message']}".strip()
    if part := entry.get("part"):
        words += f" ({part})"
    why = entry.get("exception") or entry.get("error") or entry.get("problem") or ""
    # The last line of a traceback names the error.
    last = str(why).rstrip().rpartition("\n")[2]
    return f"{words}: {last}" if last else words


def problems(lines: Iterable[str]) -> list[str]:
    """Return the last different errors of a log in words; if it has none, its last warnings."""
    found: dict[str, dict[str, None]] = {"error": {}, "warning": {}}
    for line in lines:
        if (kind := _kind(line)) is not None:
            text = in_words(line).strip()[:_LENGTH]
            found[kind].pop(text, None)  # said again: it is among the last
            found[kind][text] = None
    return list(found["error"] or found["warning"])[-SHOWN:]


def _entry(line: str) -> dict[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        entry = json.loads(line)
    except ValueError:  # cut off by a process that was killed
        return None
    return entry if isinstance(entry, dict) and "message" in entry else None


def _kind(line: str) -> str | None:
    entry = _entry(line)
    if entry is not None:
        level = str(entry.get("level", "")).lower()
    else:
        match = _PLAIN_LEVEL.search(line[:80])
        level = match[1].lower() if match else ""
    if level in _ERRORS:
        return "error"
    return "warning" if level in _WARNINGS else None
