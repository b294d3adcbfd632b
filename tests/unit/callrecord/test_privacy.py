"""What is masked in log lines, and what is not."""

import asyncio
import logging
from uuid import uuid4

import pytest

from callrecord import privacy
from callrecord.errors import Stop
from callrecord.privacy import (
    Private,
    describe,
    hide,
    masked,
    private_logger,
    traceback_of,
)

SAID = "my mother's maiden name is Kowalski"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("sip_+15557654321", "sip_+***21"),
        ("sip_15557654321", "sip_***21"),
        ("call-_+15557654321_aBc1", "call-_+***21_aBc1"),
        ("sip:15557654321@trunk.example", "sip:***21@trunk.example"),
        ("+1 (555) 765-4321 rings", "+***21 rings"),
        ("tel:004930987654", "tel:***54"),
        ("1555765", "***65"),
    ],
)
def test_two_digits_of_a_number_are_left(text: str, shown: str) -> None:
    assert masked(text) == shown


def test_what_is_no_number_stays() -> None:
    """Ids, and the milliseconds in the room names of the seed's front end."""
    for text in (
        f"call-{uuid4()}-1763866067000",
        "00000000-1111-2222-3333-444444444444",
        "AJ_YfjQQTV7Byf9",
        "took 0.12345678 s on 127.0.0.1:26608",
        "2026-11-23T02:54:20.517395Z",
    ):
        assert masked(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://voice:s3cr3t@db/calls", "postgresql://<login>@db/calls"),
        ("Authorization: Bearer abcdefgh123", "Authorization: Bearer <token>"),
        ("key sk-abcdefghij0123456789 refused", "key <key> refused"),
        ("https://b/x.ogg?X-Amz-Signature=abc&y=1", "https://b/x.ogg?X-Amz-Signature=<hidden>&y=1"),
        ("wss://h/rtc?access_token=abc", "wss://h/rtc?access_token=<hidden>"),
    ],
)
def test_secrets_are_masked_by_their_looks(text: str, shown: str) -> None:
    assert masked(text) == shown


def test_secrets_of_the_settings_are_masked_wherever_they_stand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(privacy, "_hidden", set())
    hide(["a-secret-of-the-settings", "pass/word-1", "pass%2Fword-1"])
    assert masked("(a-secret-of-the-settings)") == "(<hidden>)"
    assert masked("pass/word-1 and pass%2Fword-1") == "<hidden> and <hidden>"


def test_long_values_are_cut_before_they_are_searched() -> None:
    """A participant's attributes may be long, and this runs on the call's event loop."""
    text = masked("eyJ" * 100_000)
    assert len(text) < privacy.LONGEST + 100
    assert text.endswith("[cut: 300000 characters]")


def test_an_error_is_its_class_and_its_facts() -> None:
    """Its text only if no data of a program can be in it."""

    class RefusedError(Exception):
        status_code = 429
        code = "rate_limit_exceeded"

    assert describe(ValueError(SAID)) == "ValueError"
    assert describe(TimeoutError(SAID)) == "TimeoutError"
    assert describe(RefusedError(SAID)) == (
        "RefusedError(status_code=429, code=rate_limit_exceeded)"
    )
    group = ExceptionGroup(SAID, [KeyError(SAID), ValueError(SAID)])
    assert describe(group) == "ExceptionGroup(KeyError, ValueError)"
    assert describe(Stop("set X")) == "Stop: set X"
    assert describe(ConnectionRefusedError(111, "Connection refused")).endswith("refused")
    assert describe(SyntaxError("bad", ("a.py", 3, 1, SAID))) == "SyntaxError: bad (a.py, line 3)"


def test_a_traceback_tells_causes_without_their_words() -> None:
    def fail() -> None:
        try:
            dict[str, str]()[SAID]
        except KeyError as error:
            raise RuntimeError(SAID) from error

    with pytest.raises(RuntimeError) as caught:
        fail()
    text = traceback_of(caught.value)
    assert text.index("KeyError") < text.index("RuntimeError")
    assert "test_privacy.py" in text
    assert "Kowalski" not in text


@pytest.mark.parametrize(
    ("name", "message", "args", "shown"),
    [
        ("livekit.agents", f"session is closing: {SAID}", (), "session is closing"),
        ("asyncio", f"Task exception was never retrieved\nfuture: {SAID}", (), "Task exception"),
        ("livekit.agents", "failed to say text: %s", (SAID,), "failed to say text"),
        ("voice.call", "failed with %s", (ValueError(SAID),), "failed with ValueError"),
        ("voice.call", ValueError(SAID), (), "ValueError"),
        ("voice.call", "two %s %s", ("only one",), "two %s %s"),
    ],
)
def test_messages(name: str, message: object, args: tuple[object, ...], shown: str) -> None:
    record = logging.LogRecord(name, logging.ERROR, __file__, 1, message, args, None)
    assert Private().filter(record)
    assert record.getMessage().startswith(shown)
    assert "Kowalski" not in record.getMessage()


def test_values() -> None:
    """LiveKit's marked ones go; objects are told by their class; what is nested is masked too."""
    record = logging.LogRecord("livekit.agents", logging.ERROR, __file__, 1, "x", (), None)
    values = {
        "lk.pii.text": SAID,
        "error": f"ValueError('{SAID}')",
        "job": asyncio.Queue(),
        "who": {"sip.phoneNumber": ["+15557654321"]},
        "count": 15557654321,
    }
    vars(record).update(values)
    assert Private().filter(record)
    shown = {key: vars(record)[key] for key in values if key in vars(record)}
    assert shown == {
        "error": "ValueError",
        "job": "Queue",
        "who": {"sip.phoneNumber": ["+***21"]},
        "count": 15557654321,
    }


def test_a_value_that_cannot_be_looked_at_costs_its_line_only() -> None:
    """A filter that raises would raise into the call."""
    endless: dict[str, object] = {}
    endless["itself"] = endless
    record = logging.LogRecord("voice.call", logging.ERROR, __file__, 1, SAID, (), None)
    vars(record)["value"] = endless
    assert Private().filter(record)
    assert record.getMessage() == "a log line could not be made private (RecursionError)"
    assert not hasattr(record, "value")


def test_our_own_lines_are_private_in_anybodys_process(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever's handlers they go to: a stranger's worker has none of ours."""
    logger = private_logger("voice.of_this_test")
    assert private_logger("voice.of_this_test").filters == logger.filters
    try:
        dict[str, str]()[SAID]
    except KeyError:
        logger.exception("turn failed", extra={"room": "call-_+15557654321_x"})
    (line,) = caplog.records
    assert vars(line)["room"] == "call-_+***21_x"
    assert caplog.text.rstrip().endswith("KeyError")
    assert "Kowalski" not in caplog.text
