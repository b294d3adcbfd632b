"""Logs as in the worker."""

from tests.unit.agent.conftest import logs_as_in_the_worker

__all__ = ["logs_as_in_the_worker"]
