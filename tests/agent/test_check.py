"""`python -m agent check` where nothing is set yet: lines, not a traceback."""

from pathlib import Path

import pytest

from agent import check
from agent.settings import load


async def test_nothing_set_is_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each part that lacks its settings says which."""
    for name in ("LIVEKIT_URL", "DATABASE_URL", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AGENT_OUTBOX_DIR", str(tmp_path / "outbox"))
    findings = {each.part: each for each in await check.check(load(tmp_path / "none"))}
    assert {part for part, each in findings.items() if each.ok} == {"outbox"}
    assert "LIVEKIT_URL is not set" in findings["LiveKit"].detail
    assert "DATABASE_URL is not set" in findings["Postgres"].detail
    assert "OPENAI_API_KEY is not set" in findings["models"].detail
