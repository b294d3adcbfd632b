"""The operator's commands: one module each, which has the names that `Command` lists."""

from argparse import ArgumentParser, Namespace
from typing import Protocol

from callrecord.operator.cli import (
    calls,
    check_usage,
    migrate,
    prices,
    recount,
    refused,
    replay,
    routines,
    ship,
    show,
    status,
    sweep,
    types,
)


class Command(Protocol):
    """The names that a command's module defines."""

    @property
    def NAME(self) -> str:  # noqa: N802 - a constant of the module
        """The word on the command line."""

    @property
    def HELP(self) -> str:  # noqa: N802
        """One line for `--help`."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command's own arguments."""

    def run(self, arguments: Namespace) -> int:
        """Run it and return the exit code; may raise the errors of `callrecord.errors`."""


COMMANDS: tuple[Command, ...] = (
    migrate,
    ship,
    status,
    calls,
    show,
    check_usage,
    refused,
    replay,
    sweep,
    prices,
    recount,
    types,
    routines,
)
