"""`python -m agent check` where little is right: lines, not a traceback, and no secrets."""

from pathlib import Path

import pytest

from agent.check import check
from agent.settings import load
from tests.unit.agent.processes import AWAY, agent, agent_here

SECRETS = {
    "LIVEKIT_API_SECRET": "hidden-livekit-secret-that-is-long-enough",
    "DATABASE_URL": "postgresql://user:hidden-password@127.0.0.1:1/name",
    "OPENAI_API_KEY": "hidden-openai",
    "AGENT_STT_API_KEY": "hidden-stt",
    "AGENT_LLM_API_KEY": "hidden-llm",
    "AGENT_TTS_API_KEY": "hidden-tts",
    "AGENT_REALTIME_API_KEY": "hidden-realtime",
    "AGENT_FALLBACK_API_KEY": "hidden-second",
    "AZURE_OPENAI_API_KEY": "hidden-azure",
}
"""One of each."""

NOBODY = "http://127.0.0.1:1"
SERVERS = {
    "LIVEKIT_URL": "ws://127.0.0.1:1",
    "LIVEKIT_API_KEY": "key",
    "AZURE_OPENAI_ENDPOINT": NOBODY,
    "AGENT_LLM_BASE_URL": f"{NOBODY}/v1",
    "AGENT_FALLBACK_BASE_URL": f"{NOBODY}/v1",
    **{f"AGENT_FALLBACK_{kind}_MODEL": "other" for kind in ("STT", "LLM", "TTS")},
}
WRONG: list[dict[str, str]] = [
    {},
    {"AGENT_REALTIME_MODEL": "gpt-realtime"},
    {"DATABASE_URL": "mysql://user:hidden-password@host/name"},
    {"LIVEKIT_URL": "ws://127.0.0.1:port"},
]
UNREADABLE: list[dict[str, str]] = [
    {"DATABASE_URL": "postgresql://user:hidden/password@127.0.0.1/name"},
    {"DATABASE_URL": "postgresql://user:hidden-password@127.0.0.1:port/name"},
    {"AGENT_LLM_BASE_URL": "http://user:hidden-llm@127.0.0.1:1/v1"},
    {"AGENT_LLM_BASE_URL": "hidden-llm"},
    {"AGENT_MAX_CALLS": "hidden-openai"},
    {"AGENT_TURN_DETECTION": "hidden-openai"},
]


async def test_nothing_set_is_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each part that lacks its settings says which."""
    for name in ("LIVEKIT_URL", "DATABASE_URL", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AGENT_OUTBOX_DIR", str(tmp_path / "outbox"))
    monkeypatch.setenv("AGENT_SPEECH_CACHE_DIR", str(tmp_path / "speech"))
    findings = {each.part: each for each in await check.check(load(tmp_path / "none"))}
    assert {part for part, each in findings.items() if each.ok} == {
        "outbox",
        "speech cache",
        "persona",
        "recording",
    }
    assert "LIVEKIT_URL is not set" in findings["LiveKit"].detail
    assert "DATABASE_URL is not set" in findings["Postgres"].detail
    assert "OPENAI_API_KEY is not set" in findings["models"].detail


@pytest.mark.parametrize(
    ("changes", "code"), [*((each, 1) for each in WRONG), *((each, 2) for each in UNREADABLE)]
)
async def test_no_secret_is_printed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    changes: dict[str, str],
    code: int,
) -> None:
    """Whatever is wrong, and wherever a secret was put by mistake."""
    settings = AWAY | SECRETS | SERVERS | changes
    ended = await agent_here(monkeypatch, "check", cwd=tmp_path, **settings)
    out, err = capfd.readouterr()
    assert ended == code, (out, err)
    assert "hidden" not in out + err
    assert "Traceback" not in out + err
    if code == 1:
        assert err == ""
        assert "checks failed" in out
    else:
        assert out == ""
        assert err.startswith("agent: ")


async def test_it_is_a_program_of_its_own(tmp_path: Path) -> None:
    """Whose process has what the table says, and an exit code."""
    ended = await agent("check", cwd=tmp_path, **AWAY | SECRETS | SERVERS)
    assert (ended.code, ended.err) == (1, "")
    assert "checks failed" in ended.out
    assert "hidden" not in ended.out
