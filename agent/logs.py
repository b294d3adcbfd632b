"""One log: our lines and LiveKit's through structlog, for people or as JSON for machines."""

import logging
import sys
from typing import Any

import structlog
from structlog.typing import EventDict, WrappedLogger

_SPOKEN = "lk.pii."
"""LiveKit's mark for log values that people said."""


def _leave_out_spoken(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    for key in [key for key in event if key.startswith(_SPOKEN)]:
        del event[key]
    return event


_SHARED: list[structlog.typing.Processor] = [
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.ExtraAdder(),
    _leave_out_spoken,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
]


def configure() -> None:
    """Send structlog's lines through the standard library, values in `extra`.

    So they travel from a job's process to the worker in LiveKit's own way, with its job fields.
    """
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.filter_by_level,
            structlog.processors.format_exc_info,
            _exception_to_extra,
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
        structlog.stdlib.ProcessorFormatter.remove_processors_meta
    ]
    if as_json:
        final += [
            structlog.processors.format_exc_info,
            structlog.processors.EventRenamer("message"),
            structlog.processors.JSONRenderer(default=str),
        ]
    else:
        final.append(structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty()))
    return structlog.stdlib.ProcessorFormatter(foreign_pre_chain=_SHARED, processors=final)


def _exception_to_extra(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    # `exception` as text: a traceback object does not pass the border of a process.
    text: Any = event.pop("exception", None)
    if text:
        event["traceback"] = text
    return event
