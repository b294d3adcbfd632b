"""`python -m db routines`."""

import sys
from argparse import ArgumentParser, Namespace

from callrecord.schema.routines import psql_file

NAME = "routines"
HELP = "print all functions, triggers, views, policies and grants as one file for psql"


def add_arguments(_parser: ArgumentParser) -> None:
    """Declare nothing."""


def run(_arguments: Namespace) -> int:
    """Print the file."""
    sys.stdout.write(psql_file())
    return 0
