"""Keeps what people said, phone numbers and secrets out of the log.

This is a filter. It is always on our own loggers, because the worker may be the user's own. In our
worker it is on every handler, because LiveKit and its plugins write most lines: they quote errors,
and errors quote conversations.
"""

import logging
import re
import traceback
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import PurePath
from typing import Any
from uuid import UUID

from callrecord.errors import Stop, Transient

_SPOKEN = "lk.pii."
"""LiveKit's mark for log values that people said."""

_FOREIGN = (
    "livekit",
    "asyncio",
    "openai",
    "httpx",
    "httpx2",
    "httpcore",
    "httpcore2",
    "aiohttp",
    "websockets",
)
"""Libraries that put values into their messages; such a message is cut before the first value."""

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""The attributes of a log record that are not from `extra`."""

LONGEST = 16 * 1024
"""Longest value in a line, in characters."""

_PLAIN = (int, float, bool, UUID, date, timedelta, type(None))
_FACTS = ("status_code", "status", "code", "sqlstate", "errno")
_FACT = re.compile(r"[\w.-]{1,40}")
_ERROR_NAME = re.compile(r"[A-Z]\w*(?:Error|Exception|Timeout)\b")

_SECRETS: list[tuple[re.Pattern[str], str]] = [
    (re.compile(r"(?<![\w-])eyJ[\w-]+\.[\w-]+\.[\w-]+"), "<token>"),
    (re.compile(r"\b[spr]k-[\w-]{16,}"), "<key>"),
    (re.compile(r"\b(Bearer|Basic) [\w.~+/=-]{8,}", re.IGNORECASE), r"\1 <token>"),
    (re.compile(r"://[^/\s:@]*:[^/\s@]+@"), "://<login>@"),
    (
        re.compile(
            r"\b((?:access_token|token|sig|signature|x-amz-[\w-]+|x-goog-[\w-]+|api[-_]?key"
            r"|secret|password)=)[^&\s'\"]+",
            re.IGNORECASE,
        ),
        r"\1<hidden>",
    ),
]

_NUMBER = re.compile(
    r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"  # an id, not a phone number
    r"|(?<![0-9A-Za-z])1\d{12}(?![0-9A-Za-z])"  # milliseconds; no phone number has this form
    r"|(?P<phone>\+\d[\d ().-]{4,}\d|(?<![0-9A-Za-z.])\d{7,15}(?![0-9A-Za-z]))",
    re.IGNORECASE,
)

_UNMISTAKABLE = 16
"""Length from which a secret is not an ordinary word, in characters."""

_hidden: set[str] = set()


def hide(secrets: Iterable[str]) -> None:
    """Mask these texts in every log line of this process."""
    _hidden.update(secrets)


def without_values(text: str, secrets: Iterable[str], mask: str) -> str:
    """Return the text with a mask in place of each secret.

    A short secret is masked as a whole word, not within a word: if the password is "right", a line
    may still contain "rights".
    """
    # The longest first, because one secret may contain another.
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        if len(secret) >= _UNMISTAKABLE:
            text = text.replace(secret, mask)
        else:
            text = re.sub(rf"(?<![^\W_]){re.escape(secret)}(?![^\W_])", mask, text)
    return text


def masked(text: str) -> str:
    """Return the text without secrets, and with only the last two digits of phone numbers.

    Text beyond LONGEST characters is cut, because this runs on a call's event loop.
    """
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]} [cut: {len(text)} characters]"
    text = without_values(text, _hidden, "<hidden>")
    for pattern, mask in _SECRETS:
        text = pattern.sub(mask, text)
    return _NUMBER.sub(_last_digits, text)


def describe(error: BaseException) -> str:
    """Return an error's class and facts; its text only if it can't contain data of a call."""
    name = type(error).__name__
    if text := _safe_text(error):
        return f"{name}: {text}"
    facts = [f"{fact}={value}" for fact in _FACTS if (value := _fact(error, fact)) is not None]
    inner = getattr(error, "exceptions", ()) if isinstance(error, BaseExceptionGroup) else ()
    facts += [describe(each) for each in inner]
    return f"{name}({', '.join(facts)})" if facts else name


def traceback_of(error: BaseException) -> str:
    """Return the traceback of an error and its causes, with `describe` in place of their texts."""
    parts: list[str] = []
    seen: set[int] = set()
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        seen.add(id(at))
        frames = "".join(traceback.format_tb(at.__traceback__))
        parts.append(f"Traceback (most recent call last):\n{frames}{describe(at)}")
        at = at.__cause__ or (None if at.__suppress_context__ else at.__context__)
    return "\n\nThen, from that:\n\n".join(reversed(parts))


def values_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return a record's values from `extra`."""
    return {key: value for key, value in vars(record).items() if key not in _STANDARD}


class Private(logging.Filter):
    """Removes from each record what must not be logged."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record in place; this keeps every record and never raises."""
        try:
            self._make_private(record)
        except Exception as error:  # noqa: BLE001 - from a value that can't be inspected
            name = type(error).__name__
            record.msg, record.args = f"a log line could not be made private ({name})", None
            record.exc_info = record.exc_text = record.stack_info = None
            for key in values_of(record):
                delattr(record, key)
        return True

    def _make_private(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        if error is not None:
            record.exc_text = traceback_of(error)
        record.exc_info = None
        if record.exc_text:
            record.exc_text = masked(record.exc_text)
        record.msg, record.args = masked(self._message(record)), None
        foreign = _is_foreign(record)
        for key, value in values_of(record).items():
            if key.startswith(_SPOKEN):
                delattr(record, key)
                continue
            hidden = foreign and key == "error" and isinstance(value, str)
            setattr(record, key, _name_of_error(value) if hidden else _shown(value))

    def _message(self, record: logging.LogRecord) -> str:
        if isinstance(record.msg, BaseException):
            return describe(record.msg)
        text = _interpolated(record)
        if _is_foreign(record):
            text = text.partition("\n")[0].partition(": ")[0]
        return text


def private_logger(name: str) -> logging.Logger:
    """Return the logger of that name with the filter, so that it is private in any process."""
    logger = logging.getLogger(name)
    if not any(isinstance(each, Private) for each in logger.filters):
        logger.addFilter(Private())
    return logger


def _interpolated(record: logging.LogRecord) -> str:
    args = record.args
    if isinstance(args, tuple):
        args = tuple(describe(arg) if isinstance(arg, BaseException) else arg for arg in args)
    try:
        return str(record.msg) % args if args else str(record.msg)
    except (TypeError, ValueError, KeyError):  # a line with the wrong arguments is still a line
        return str(record.msg)


def _is_foreign(record: logging.LogRecord) -> bool:
    return record.name.partition(".")[0] in _FOREIGN


def _name_of_error(text: str) -> str:
    found = _ERROR_NAME.match(text)
    return found.group() if found else "(left out)"


def _shown(value: Any) -> Any:
    if isinstance(value, str | PurePath):
        return masked(str(value))
    if isinstance(value, BaseException):
        return masked(describe(value))
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, dict):
        return {masked(str(key)): _shown(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_shown(each) for each in value]
    return type(value).__name__


def _last_digits(found: re.Match[str]) -> str:
    if found["phone"] is None:
        return found.group()
    plus = "+" if found.group().startswith("+") else ""
    return f"{plus}***{found.group()[-2:]}"


def _safe_text(error: BaseException) -> str | None:
    """Return the text of an error if the interpreter, the system or this project wrote it."""
    if isinstance(error, OSError):
        return str(error) if error.errno is not None else None
    if isinstance(error, ImportError | NameError | AttributeError):
        return str(error) if error.name is not None else None
    if isinstance(error, SyntaxError):
        return f"{error.msg} ({error.filename}, line {error.lineno})"
    return str(error) if isinstance(error, Stop | Transient) else None


def _fact(error: BaseException, name: str) -> int | str | None:
    value = getattr(error, name, None)
    if isinstance(value, int) or (isinstance(value, str) and _FACT.fullmatch(value)):
        return value
    return None
