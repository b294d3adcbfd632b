"""Workers whose persona has been edited, as their developers do it."""

import shutil
from pathlib import Path

from local.places import PROJECT


def copy_agent(directory: Path, more: str = "") -> Path:
    """Copy the `agent` package to where a worker runs, and so imports it from.

    Args:
        directory: The worker's.
        more: Python, put at the end of the persona's class.

    Returns:
        The copy's `assistant.py`.
    """
    shutil.copytree(
        PROJECT / "agent", directory / "agent", ignore=shutil.ignore_patterns("__pycache__")
    )
    assistant = directory / "agent" / "assistant.py"
    assistant.write_text(assistant.read_text() + more)
    return assistant
