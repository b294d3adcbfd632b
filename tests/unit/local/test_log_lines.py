"""What a person is shown of a log."""

import json

from local.log_lines import in_words, problems


def _line(level: str, message: str, **more: str) -> str:
    return json.dumps({"timestamp": "now", "level": level, "message": message, **more})


def test_a_json_line_is_its_level_its_message_and_its_error() -> None:
    trace = "Traceback (most recent call last):\n  File ...\nTimeoutError: no answer"
    assert in_words(_line("error", "models fail", exception=trace)) == (
        "error models fail: TimeoutError: no answer"
    )
    assert in_words(_line("error", "worker not started", error="no such host")) == (
        "error worker not started: no such host"
    )
    assert in_words(_line("error", "models fail", part="stt", problem="APITimeoutError")) == (
        "error models fail (stt): APITimeoutError"
    )


def test_what_is_no_json_of_a_log_stays_as_it_is() -> None:
    for line in ("", "LOG:  ready", '{"cut": ', "{}", "[1]", '{"level": "error"}'):
        assert in_words(line) == line


def test_the_last_three_different_errors_are_shown() -> None:
    lines = [_line("error", name) for name in ("first", "a", "b", "a", "c")]
    assert problems([_line("warning", "slow"), *lines]) == ["error b", "error a", "error c"]


def test_warnings_are_shown_where_there_is_no_error() -> None:
    assert problems([_line("info", "fine"), _line("warning", "slow")]) == ["warning slow"]


def test_plain_lines_are_judged_by_their_level() -> None:
    plain = [
        "2026-01-02 03:04:05.678 UTC [42] FATAL:  terminating connection",
        "ERROR POST /v1/audio/speech failed: TypeError: no",
        "  raise Error in a traceback",
    ]
    assert problems(plain) == plain[:2]
