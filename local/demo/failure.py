"""The final message of a failed demo: what happened, why, and where the full logs are."""

import shutil
import time
from pathlib import Path
from typing import Final

from local.log_lines import problems
from local.places import CACHE

_LOGS: Final = CACHE / "logs"
_PARTS: Final = {
    "migrations": "the migrations",
    "ai": "the local models",
    "worker": "the worker",
    "livekit": "the LiveKit server",
    "postgres": "Postgres",
}
_UNHELPFUL: Final = {"livekit", "postgres"}
"""Logs whose errors have other causes, such as a client that disconnected."""


class KeptLogs:
    """The logs of a run, copied before its directories are removed.

    Attributes:
        directory: Where they are; it is made once there is a log to keep.
    """

    def __init__(self) -> None:
        self.directory = _LOGS / time.strftime("demo-%Y%m%dT%H%M%S")

    def keep(self, run_directory: Path) -> None:
        """Copy all logs of a run's directory."""
        self.directory.mkdir(parents=True, exist_ok=True)
        for log in run_directory.rglob("*.log"):
            shutil.copy(log, self.directory)

    def summary(self) -> str:
        """Return the last errors of each part as text, and the directory of the logs."""
        if not self.directory.is_dir():
            return ""
        lines: list[str] = []
        for name, title in _PARTS.items():
            log = self.directory / f"{name}.log"
            found = problems(log.read_text(errors="replace").splitlines()) if log.exists() else []
            if found and not (lines and name in _UNHELPFUL):
                lines += [f"{title}:", *(f"  {problem}" for problem in found)]
        return "\n".join([*lines, f"whole logs: {self.directory}"])
