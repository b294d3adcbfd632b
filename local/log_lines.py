"""Makes log lines readable, for error messages."""

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
    """Return a readable line: for a JSON object, its level, message and error."""
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
    """Return a log's last distinct errors as text, or its last warnings if it has no errors."""
    found: dict[str, dict[str, None]] = {"error": {}, "warning": {}}
    for line in lines:
        if (kind := _kind(line)) is not None:
            text = in_words(line).strip()[:_LENGTH]
            found[kind].pop(text, None)  # a repeated line counts as a recent one
            found[kind][text] = None
    return list(found["error"] or found["warning"])[-SHOWN:]


def _entry(line: str) -> dict[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        entry = json.loads(line)
    except ValueError:  # cut off when the process was killed
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
