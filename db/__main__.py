"""`python -m db <command>`: what an operator does with the database."""

import argparse
import logging
import sys

from db.cli import COMMANDS
from db.errors import Stop, VoiceError


def main(argv: list[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 done, 1 it failed, 2 a setting or an argument has to change first.
    """
    parser = argparse.ArgumentParser(prog="python -m db", description=__doc__)
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


if __name__ == "__main__":
    sys.exit(main())
