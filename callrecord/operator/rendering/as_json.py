"""Renders rows as JSON: for programs, and safe in a terminal."""

import json
from typing import Any

import msgspec

from callrecord.operator.rendering.plain import harmless


def as_json(value: Any) -> str:
    """Return rows as indented JSON; times are RFC 3339, decimals are strings."""
    return _escaped(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def compact(value: Any) -> str:
    """Return a value as JSON on one line."""
    return _escaped(msgspec.json.encode(value).decode())


def _escaped(text: str) -> str:
    # JSON escapes only controls below 0x20. Other harmful characters occur only within strings.
    return "".join(each if harmless(each) or each == "\n" else _escape(each) for each in text)


def _escape(each: str) -> str:
    return "\\u007f" if each == "\x7f" else json.dumps(each)[1:-1]
