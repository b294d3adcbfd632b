"""One log: our lines and LiveKit's through structlog, for people or as JSON for machines."""

import logging
import re
import sys

import structlog
from structlog.typing import EventDict, WrappedLogger

_SPOKEN = "lk.pii."
"""LiveKit's mark for log values that people said."""


def _leave_out(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    event.pop("message", None)  # the event again, left on the record by LiveKit's queue
    for key in [key for key in event if key.startswith(_SPOKEN)]:
        del event[key]
    return event


def _part_traceback(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    # A traceback does not pass the border of a process: LiveKit's queue puts its text at the end
    # of the message.
    text = event["_record"].exc_text
    if text and event["event"].endswith(text):
        event["event"] = event["event"].removesuffix(text).rstrip()
        event["exception"] = text
    return event


_SHARED: list[structlog.typing.Processor] = [
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.ExtraAdder(),
    _leave_out,
    _part_traceback,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
]


_TOKEN = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+")


def _mask_tokens(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    # LiveKit logs the request it was refused, and with it the token that it carries.
    for name, value in event.items():
        text = repr(value) if isinstance(value, BaseException) else value
        if isinstance(text, str) and "eyJ" in text:
            event[name] = _TOKEN.sub("<token>", text)
    return event


def configure() -> None:
    """Send structlog's lines through the standard library, values in `extra`.

    So they travel from a job's process to the worker in LiveKit's own way, with its job fields.
    """
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.filter_by_level,
            structlog.stdlib.render_to_log_kwargs,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def take_over(*, as_json: bool) -> None:
    """Give every handler on the root logger our formatter, LiveKit's command line's too."""
    formatter = _formatter(as_json=as_json)
    for handler in logging.getLogger().handlers:
        # LiveKit's queue handler in a job ships records to the worker, which formats them.
        if isinstance(handler, logging.StreamHandler):
            handler.setFormatter(formatter)


def _formatter(*, as_json: bool) -> logging.Formatter:
    final: list[structlog.typing.Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        _mask_tokens,
    ]
    if as_json:
        final += [
            structlog.processors.format_exc_info,
            structlog.processors.EventRenamer("message"),
            structlog.processors.JSONRenderer(default=str),
        ]
    else:
        # Plain tracebacks: the default ones show local variables, and so keys and spoken words.
        plain = structlog.dev.plain_traceback
        colors = sys.stdout.isatty()
        final.append(structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain))
    return structlog.stdlib.ProcessorFormatter(foreign_pre_chain=_SHARED, processors=final)
