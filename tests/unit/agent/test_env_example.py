"""`.env.example` tells each setting as the code has it."""

import os
import re
from pathlib import Path

import pytest

from agent.env_example import render, render_markdown
from agent.settings import Settings, load
from local.places import PROJECT

EXAMPLE = PROJECT / ".env.example"
TABLE = PROJECT / "docs" / "settings.md"


def test_the_file_is_what_the_code_says() -> None:
    text = EXAMPLE.read_text()
    assert text == render(), "run `uv run python -m agent.env_example > .env.example`"


def test_the_table_is_what_the_code_says() -> None:
    command = "uv run python -m agent.env_example --markdown > docs/settings.md"
    assert TABLE.read_text() == render_markdown(), f"run `{command}`"


def test_each_setting_is_described() -> None:
    names = re.findall(r"^(?:# )?([A-Z_]+)=", render(), re.MULTILINE)
    assert sorted(names) == sorted(name.upper() for name in Settings.model_fields)
    assert names[0] == "LIVEKIT_URL", "first what everybody fills in"
    assert all(field.description for field in Settings.model_fields.values())


def test_the_file_can_be_used_as_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Copied, and with every default uncommented, it changes nothing."""
    for name in list(os.environ):
        if name.lower() in Settings.model_fields:
            monkeypatch.delenv(name)
    bare = load(tmp_path / "none")
    uncommented = tmp_path / "all.env"
    uncommented.write_text(re.sub(r"^# (?=[A-Z_]+=)", "", render(), flags=re.MULTILINE))
    assert load(EXAMPLE) == load(uncommented) == bare
