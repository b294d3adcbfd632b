"""Where the commands' text goes."""

import io
import os
import shutil
import sys
from collections.abc import Iterable

PIPED_WIDTH = 100


def width() -> int:
    """Return the columns to write for: the terminal's, or COLUMNS, or PIPED_WIDTH in a pipe."""
    fallback = (PIPED_WIDTH, 0)
    return shutil.get_terminal_size(fallback).columns if sys.stdout.isatty() else PIPED_WIDTH


def in_colour() -> bool:
    """Whether to write colours: on a terminal, unless NO_COLOR is set (no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def say(lines: Iterable[str]) -> None:
    """Print lines; whoever reads them may stop reading, as `head` does."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal that knows few characters
    try:
        print("\n".join(lines), flush=True)
    except BrokenPipeError:
        # What is still buffered would fail again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
