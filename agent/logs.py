"""One log for our lines and LiveKit's, through structlog: for people, or as JSON for machines."""

import logging
import sys
from collections import OrderedDict
from uuid import UUID

import structlog
from livekit.agents import JobContext, JobExecutorType
from structlog.typing import EventDict, WrappedLogger

from agent.settings import Settings
from agent.settings.secrets import secrets_of
from callrecord import privacy

_KNOWN_CALLS = 10_000
_SHORT = {"job_id": "job", "call_id": "call"}
_FOR_MACHINES = ("room_id", "pid", "agent_name", "logger")


def configure(settings: Settings | None = None) -> None:
    """Send structlog's lines through the standard library, with values in `extra`.

    LiveKit then forwards them from a job's process to the worker, with its job fields.

    Args:
        settings: The settings whose secrets no line may show.
    """
    if settings is not None:
        privacy.hide(secrets_of(settings))
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
    # Its debug lines come before LiveKit's handler is ours, and say nothing about a call.
    logging.getLogger("asyncio").setLevel(logging.INFO)
    _filter_handlers()


def take_over(*, as_json: bool) -> None:
    """Set our formatter on every handler of the root logger, including LiveKit's."""
    formatter = _formatter(as_json=as_json)
    for handler in logging.getLogger().handlers:
        # LiveKit's queue handler in a job ships records to the worker, which formats them.
        if isinstance(handler, logging.StreamHandler):
            handler.setFormatter(formatter)
    _filter_handlers()


def name_call(ctx: JobContext, fields: dict[str, str]) -> None:
    """Add these fields to every line of a job from now on, even after LiveKit's clean-up."""
    ctx.log_context_fields = dict(fields)
    if ctx.proc.executor_type == JobExecutorType.PROCESS:  # it serves only one call
        _calls.of_process = fields


class _Calls(logging.Filter):
    """Completes lines about a job with fields from earlier lines of that job.

    LiveKit's own lines about a job are logged in the worker, with fewer fields than the job's own.

    Attributes:
        of_process: Fields for all lines, in a process with only one call.
    """

    def __init__(self) -> None:
        super().__init__()
        self.of_process: dict[str, str] = {}
        self._known: OrderedDict[str, dict[str, str]] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the fields to the record, and always keep it."""
        values = vars(record)
        if "call_id" in values and not _is_id(values["call_id"]):
            values["tool_call_id"] = values.pop("call_id")  # LiveKit's lines name function calls so
        for key, value in self.of_process.items():
            values.setdefault(key, value)
        job_id = values.get("job_id")
        if isinstance(job_id, str):
            known = self._of(job_id)
            for key in ("room", "call_id"):
                if values.get(key):
                    known[key] = values[key]
                elif key in known:
                    values[key] = known[key]
        return True

    def _of(self, job_id: str) -> dict[str, str]:
        known = self._known.setdefault(job_id, {})
        if len(self._known) > _KNOWN_CALLS:
            self._known.popitem(last=False)
        return known


_calls = _Calls()
_private = privacy.Private()


def _filter_handlers() -> None:
    for handler in logging.getLogger().handlers:
        for each in (_calls, _private):
            if each not in handler.filters:
                handler.addFilter(each)


def _is_id(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(UUID(value))
    except ValueError:
        return False


def _leave_out(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    event.pop("message", None)  # the event again, left on the record by LiveKit's queue
    return event


def _part_traceback(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    # A traceback object cannot be sent between processes: LiveKit's queue appends its text to the
    # message.
    text = event["_record"].exc_text
    if text:
        event["event"] = event["event"].removesuffix(text).rstrip()
        event["exception"] = text
    return event


def _for_people(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    for key in _FOR_MACHINES:
        event.pop(key, None)
    for key, short in _SHORT.items():
        if key in event:
            event[short] = str(event.pop(key))[-6:]
    return event


_SHARED: list[structlog.typing.Processor] = [
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.ExtraAdder(),
    _leave_out,
    _part_traceback,
    structlog.processors.StackInfoRenderer(),
]


def _formatter(*, as_json: bool) -> logging.Formatter:
    processors: list[structlog.typing.Processor]
    if as_json:
        processors = [
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.EventRenamer("message"),
            structlog.processors.JSONRenderer(default=str),
        ]
    else:
        colors = sys.stdout.isatty()
        processors = [
            structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _for_people,
            structlog.dev.ConsoleRenderer(colors=colors, pad_event_to=0),
        ]
    return structlog.stdlib.ProcessorFormatter(foreign_pre_chain=_SHARED, processors=processors)
