"""What no log line may show: what people said, phone numbers, secrets.

A filter. On our own loggers always, since the worker may be somebody else's; in our worker on every
handler, since most lines are LiveKit's and its plugins': they quote errors, and errors quote
conversations.
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
"""Whose messages are put together with values: they are cut before the first of them."""

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""What a log record has besides the values given with it."""

LONGEST = 16 * 1024
"""Characters of one value in a line."""

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
    r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"  # an id, which is no number
    r"|(?<![0-9A-Za-z])1\d{12}(?![0-9A-Za-z])"  # milliseconds: no such number can be dialled
    r"|(?P<phone>\+\d[\d ().-]{4,}\d|(?<![0-9A-Za-z.])\d{7,15}(?![0-9A-Za-z]))",
    re.IGNORECASE,
)

_UNMISTAKABLE = 16
"""Characters from which on a secret is no word that a text may hold by itself."""

_hidden: set[str] = set()


def hide(secrets: Iterable[str]) -> None:
    """Have these texts masked in every line of this process."""
    _hidden.update(secrets)


def without_values(text: str, secrets: Iterable[str], mask: str) -> str:
    """Return the text with a mask in place of each secret.

    A short one is masked where it stands by itself, not within a word: with the password "right"
    a line still speaks of rights.
    """
    # The longest first: one may be a part of another.
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        if len(secret) >= _UNMISTAKABLE:
            text = text.replace(secret, mask)
        else:
            text = re.sub(rf"(?<![^\W_]){re.escape(secret)}(?![^\W_])", mask, text)
    return text


def masked(text: str) -> str:
    """Return the text without secrets, and with no more than the last two digits of numbers.

    Text beyond LONGEST characters is cut: this runs on a call's event loop.
    """
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]} [cut: {len(text)} characters]"
    text = without_values(text, _hidden, "<hidden>")
    for pattern, mask in _SECRETS:
        text = pattern.sub(mask, text)
    return _NUMBER.sub(_last_digits, text)


def describe(error: BaseException) -> str:
    """Return an error's class and facts; its text only where no program's data can be in it."""
    name = type(error).__name__
    if text := _safe_text(error):
        return f"{name}: {text}"
    facts = [f"{fact}={value}" for fact in _FACTS if (value := _fact(error, fact)) is not None]
    inner = getattr(error, "exceptions", ()) if isinstance(error, BaseExceptionGroup) else ()
    facts += [describe(each) for each in inner]
    return f"{name}({', '.join(facts)})" if facts else name


def traceback_of(error: BaseException) -> str:
    """Return the traceback of an error and of what caused it, with descriptions for texts."""
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
    """Return the values that a record was given in `extra`."""
    return {key: value for key, value in vars(record).items() if key not in _STANDARD}


class Private(logging.Filter):
    """Takes out of each record what must not be shown."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record in place; it is always kept, and this never raises into a call."""
        try:
            self._make_private(record)
        except Exception as error:  # noqa: BLE001 - of a value that can't be looked at
            name = type(error).__name__
            record.msg, record.args = f"a line could not be made private ({name})", None
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
    """Return the logger of that name, whose lines show none of it in anybody's process."""
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
    """Return the text of an error that the interpreter, the system or this project has worded."""
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
