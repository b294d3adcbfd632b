"""Files and folders that the documents name are there."""

import re
from pathlib import Path

import pytest

from local.places import PROJECT

PAGES = [
    path for folder in (".", "docs", "docs/decisions") for path in PROJECT.glob(f"{folder}/*.md")
]
OURS = r"`((?:agent|bench|callrecord|db|docs|local|migrations|tests|types)/[\w./-]*\w/?)`"
EXAMPLES = {"migrations/104_language.sql"}
"""What a reader is told to make."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_a_page_names_what_is_there(page: Path) -> None:
    named = set(re.findall(OURS, page.read_text(encoding="utf-8"))) - EXAMPLES
    assert [each for each in sorted(named) if not is_there(each)] == []


def is_there(name: str) -> bool:
    """Whether it is a file or folder, or the number that a migration begins with."""
    path = PROJECT / name
    return path.exists() or any(path.parent.glob(f"{path.name}_*.sql"))
