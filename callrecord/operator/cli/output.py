"""The output of the commands."""

import io
import os
import shutil
import sys
from collections.abc import Iterable

PIPED_WIDTH = 100


def width() -> int:
    """Return the width of the output: the terminal's or COLUMNS, or PIPED_WIDTH in a pipe."""
    fallback = (PIPED_WIDTH, 0)
    return shutil.get_terminal_size(fallback).columns if sys.stdout.isatty() else PIPED_WIDTH


def in_colour() -> bool:
    """Return whether to use colours: on a terminal, unless NO_COLOR is set (no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def say(lines: Iterable[str]) -> None:
    """Print lines; a reader that closes the pipe early, such as `head`, is no error."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # for a terminal with few characters
    try:
        print("\n".join(lines), flush=True)
    except BrokenPipeError:
        # Otherwise the rest of the buffer would fail again when Python exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
