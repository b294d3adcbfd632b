"""Logs as in the worker."""

import pytest

from agent import logs


@pytest.fixture(autouse=True, scope="session")
def logs_as_in_the_worker() -> None:
    """Log as the worker does; by itself structlog prints the values of local variables."""
    logs.configure()
