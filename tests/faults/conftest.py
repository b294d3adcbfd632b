"""What the tests of the fault list share, and the table that they end with."""

import re
import time
from collections.abc import Callable

import pytest

from tests.postgres.conftest import dsn, store, workers

__all__ = ["dsn", "store", "workers"]

_NUMBER = re.compile(r"test_((?:\d\d_)+)(.*)")


class Recovery:
    """A watch: from the end of a fault until all is as if it had not been."""

    def __init__(self, tell: Callable[[str, object], None]) -> None:
        self._tell = tell
        self._since = time.monotonic()

    def begin(self) -> None:
        """The fault is over now."""
        self._since = time.monotonic()

    def done(self) -> None:
        """Everything is where it should be."""
        self._tell("recovery_s", round(time.monotonic() - self._since, 2))


@pytest.fixture
def recovery(record_property: Callable[[str, object], None]) -> Recovery:
    """A watch whose time is shown in the table at the end of the run."""
    return Recovery(record_property)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show each number of the list: what happened, whether anything was lost, how long it took."""
    rows = []
    for outcome in ("passed", "failed", "skipped"):
        for report in terminalreporter.getreports(outcome):
            if told := dict(report.user_properties).get("told"):
                terminalreporter.write_line(f"{outcome}: {told}")
            found = _NUMBER.match(report.nodeid.rpartition("::")[2])
            if found is None or (report.when != "call" and outcome == "passed"):
                continue
            took = dict(report.user_properties).get("recovery_s", "")
            lost = {"passed": "0", "failed": "FAILED", "skipped": "not run"}[outcome]
            numbers = found[1].strip("_").replace("_", ", ")
            rows.append((numbers, found[2].replace("_", " "), lost, f"{took} s" if took else ""))
    if rows:
        terminalreporter.section("faults: number, what happened, lost, recovered in")
        for row in sorted(rows):
            terminalreporter.write_line(f"{row[0]:>8}  {row[1]:<78}  {row[2]:>7}  {row[3]:>8}")
