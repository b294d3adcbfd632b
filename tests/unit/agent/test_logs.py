"""Logs: one formatter for our lines and LiveKit's, also from a job's process."""

import json
import logging
import pickle
import socket
import sys
from collections.abc import Iterator
from io import StringIO
from uuid import uuid4

import pytest
import structlog
from livekit.agents.cli.log import setup_logging
from livekit.agents.ipc.log_queue import LogQueueHandler, LogQueueListener
from livekit.agents.utils.aio import duplex_unix

from agent import logs

ours = structlog.get_logger("voice.tests")
livekit = logging.getLogger("livekit.agents")
HIDDEN = "-".join(("hidden", "value"))  # noqa: FLY002 - a traceback shows the source's lines


class Log:
    """What the worker has printed."""

    def __init__(self, stream: StringIO) -> None:
        self._stream = stream

    @property
    def text(self) -> str:
        """All of it."""
        return self._stream.getvalue()

    def lines(self) -> list[dict[str, object]]:
        """Each line as JSON."""
        return [json.loads(line) for line in self.text.splitlines()]


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch) -> Iterator[StringIO]:
    """The root logger with nothing but LiveKit's own handler, as its command line sets it up."""
    logger, stream = logging.getLogger(), StringIO()
    handlers, level = logger.handlers[:], logger.level
    logger.handlers.clear()
    monkeypatch.setattr(sys, "stdout", stream)
    setup_logging("DEBUG", devmode=False, console=False)
    yield stream
    logger.handlers[:] = handlers
    logger.setLevel(level)


@pytest.fixture
def as_json(root: StringIO) -> Log:
    """The log under `start`."""
    logs.take_over(as_json=True)
    return Log(root)


@pytest.fixture
def for_people(root: StringIO) -> Log:
    """The log under `dev`."""
    logs.take_over(as_json=False)
    return Log(root)


def test_ours_and_livekits_lines_look_the_same(as_json: Log) -> None:
    ours.info("call ended", end_reason="caller_hangup")
    livekit.info("received %s", "job", extra={"job_id": "AJ_1"})
    mine, theirs = as_json.lines()
    assert (mine["message"], mine["level"], mine["logger"]) == ("call ended", "info", "voice.tests")
    assert (theirs["message"], theirs["logger"]) == ("received job", "livekit.agents")
    assert mine["end_reason"] == "caller_hangup"
    assert theirs["job_id"] == "AJ_1"
    assert str(mine["timestamp"]).endswith("Z")


def test_an_exception_is_one_line_of_json(as_json: Log) -> None:
    for logger in (ours, livekit):
        try:
            _fail(key=HIDDEN)
        except ZeroDivisionError:
            logger.exception("failed")
    for line in as_json.lines():
        trace = str(line["exception"])
        assert "Traceback" in trace
        assert "ZeroDivisionError" in trace
    assert HIDDEN not in as_json.text


def test_a_traceback_for_people_shows_no_values(for_people: Log) -> None:
    """Local variables are keys and spoken words."""
    for logger in (ours, livekit):
        try:
            _fail(key=HIDDEN)
        except ZeroDivisionError:
            logger.exception("failed")
    assert for_people.text.count("ZeroDivisionError") >= 2
    assert HIDDEN not in for_people.text


def test_spoken_words_are_left_out(as_json: Log) -> None:
    """LiveKit marks them by the key."""
    livekit.warning("skipping user input", extra={"lk.pii.user_input": "my secret", "room": "r"})
    (line,) = as_json.lines()
    assert line["room"] == "r"
    assert "secret" not in as_json.text


def test_tokens_are_masked(as_json: Log) -> None:
    """LiveKit logs a refused request with the token in its headers."""
    token = "eyJhbGciOi.eyJ2aWRlbyI6.c2ln-bmF0_dXJl"  # noqa: S105 - made up
    livekit.warning("refused", extra={"headers": [f"Bearer {token}"]})
    (line,) = as_json.lines()
    assert line["headers"] == ["Bearer <token>"]


def test_a_line_about_a_job_is_completed(as_json: Log) -> None:
    """LiveKit's lines in the worker know the job, and some the room; the job's know the call."""
    call_id = str(uuid4())
    livekit.info("received", extra={"job_id": "AJ_7", "room": "hall"})
    ours.info("call began", job_id="AJ_7", call_id=call_id)
    livekit.info("process exiting", extra={"job_id": "AJ_7"})
    livekit.info("another", extra={"job_id": "AJ_8"})
    first, began, exiting, another = as_json.lines()
    assert "call_id" not in first
    assert began["room"] == "hall"
    assert (exiting["room"], exiting["call_id"]) == ("hall", call_id)
    assert another.keys().isdisjoint({"room", "call_id"})


def test_the_id_of_a_function_call_is_no_call_id(as_json: Log) -> None:
    livekit.error("tool failed", extra={"job_id": "AJ_9", "call_id": "call_abc"})
    (line,) = as_json.lines()
    assert line["tool_call_id"] == "call_abc"
    assert "call_id" not in line


def test_odd_values_break_no_line(as_json: Log) -> None:
    ours.info("odd", value=object(), nested={"x": {1, 2}}, text='two\nlines "quoted"')
    (line,) = as_json.lines()
    assert line["text"] == 'two\nlines "quoted"'


def test_levels_are_kept(as_json: Log) -> None:
    logging.getLogger("voice.quiet").setLevel(logging.WARNING)
    structlog.get_logger("voice.quiet").info("not this")
    structlog.get_logger("voice.quiet").warning("but this")
    assert [line["message"] for line in as_json.lines()] == ["but this"]


def test_a_jobs_lines_come_through_its_queue(as_json: Log) -> None:
    """With traceback, values and level, as LiveKit's queue carries them between processes."""
    _fail_in_a_job()
    (line,) = as_json.lines()
    assert (line["message"], line["level"], line["job_id"]) == ("job failed", "error", "AJ_1")
    assert "ZeroDivisionError" in str(line["exception"])
    assert HIDDEN not in as_json.text


def test_a_jobs_lines_for_people_say_all_once(for_people: Log) -> None:
    _fail_in_a_job()
    assert for_people.text.count("job failed") == 1
    assert for_people.text.count("Traceback") == 1


def test_a_record_of_ours_can_be_pickled(root: StringIO) -> None:
    """Else LiveKit's queue would print an error in place of the line."""
    records: list[logging.LogRecord] = []

    class Keep(logging.Handler):
        """Keeps the records."""

        def emit(self, record: logging.LogRecord) -> None:
            """Keep one."""
            records.append(record)

    logging.getLogger().addHandler(Keep())
    ours.warning("call refused", job_id="AJ_1")
    assert pickle.loads(pickle.dumps(records[-1])).job_id == "AJ_1"  # noqa: S301 - our own bytes
    assert root.getvalue()


def _fail(*, key: str) -> float:
    return len(key) / 0


def _fail_in_a_job() -> None:
    there, here = socket.socketpair()
    queue = LogQueueHandler(duplex_unix._Duplex.open(there))
    listener = LogQueueListener(duplex_unix._Duplex.open(here), lambda _: None)
    listener.start()
    job = logging.getLogger("voice.job")
    job.propagate = False
    job.addHandler(queue)
    try:
        _fail(key=HIDDEN)
    except ZeroDivisionError:
        structlog.get_logger("voice.job").exception("job failed", job_id="AJ_1")
    finally:
        job.removeHandler(queue)
        queue.close()
        job.propagate = True  # the listener hands the line on to the root
        listener.stop()
