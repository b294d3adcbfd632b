"""Tells which files a .dockerignore lets into the build."""

import os
import re
from pathlib import Path, PurePosixPath


class Context:
    """The files of a folder that its .dockerignore lets through.

    A pattern hits a path, or a folder that the path is in; of all that hit, the last one counts.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        lines = (folder / ".dockerignore").read_text().splitlines()
        wanted = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        self._rules = [(_regex(line.lstrip("!")), not line.startswith("!")) for line in wanted]

    def lets_through(self, path: str) -> bool:
        """Return whether the file with this path, relative to the folder, enters the build."""
        parts = PurePosixPath(path)
        places = [str(each) for each in (parts, *parts.parents) if str(each) != "."]
        shut = False
        for regex, shuts in self._rules:
            if any(regex.fullmatch(place) for place in places):
                shut = shuts
        return not shut

    def files(self, under: str) -> list[str]:
        """Return the files that enter the build, of a file or folder; paths as given there."""
        start = self.folder / under
        if start.is_file():
            return [under] if self.lets_through(under) else []
        found: list[str] = []
        for place, _, names in os.walk(start):
            inside = Path(place).relative_to(self.folder)
            found += [str(inside / name) for name in names]
        return [path for path in found if self.lets_through(path)]


def _regex(pattern: str) -> re.Pattern[str]:
    # Go's filepath.Match, and `**` for any number of folders.
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", pattern.strip("/"))
    forms = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(forms.get(part, re.escape(part)) for part in parts))
