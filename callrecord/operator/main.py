"""The operator's commands: `python -m db`, `python -m callrecord` and `callrecord`."""

import argparse
import logging
import sys

from callrecord.errors import Stop, VoiceError
from callrecord.operator.cli import COMMANDS


def main(argv: list[str] | None = None, *, prog: str = "callrecord") -> int:
    """Run one command.

    Returns:
        0: done; 1: failed; 2: a setting or an argument has to change first.
    """
    parser = argparse.ArgumentParser(
        prog=prog, description="Commands for the database of DATABASE_URL."
    )
    commands = parser.add_subparsers(dest="command", metavar="command", required=True)
    for command in COMMANDS:
        own = commands.add_parser(command.NAME, help=command.HELP, description=command.HELP)
        command.add_arguments(own)
        own.set_defaults(run=command.run)
    arguments = parser.parse_args(argv)
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    try:
        return int(arguments.run(arguments))
    except Stop as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except VoiceError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
