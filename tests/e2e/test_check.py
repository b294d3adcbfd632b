"""`python -m agent check` says what is right and what is wrong, without taking a call."""

from pathlib import Path

import pytest

from agent import check
from agent.check import Finding
from agent.settings import Settings, load
from local.stack import Stack

pytestmark = pytest.mark.room

PARTS = ["LiveKit", "Postgres", "outbox", "language model", "text to speech", "speech to text"]


@pytest.fixture
def settings(
    stack: Stack, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """Settings under which everything does."""
    for name, value in stack.env().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("AGENT_OUTBOX_DIR", str(tmp_path / "outbox"))
    return load(tmp_path / "no.env")


async def test_all_parts_of_a_right_set_up_do(settings: Settings) -> None:
    """Every part is tried for real: the speech that was made is heard."""
    findings = await check.check(settings)
    assert [finding.part for finding in findings] == PARTS
    assert all(finding.ok for finding in findings), check.table(findings)
    assert "can you hear me" in findings[-1].detail
    assert check.table(findings).endswith("all parts do")
    assert not list(settings.agent_outbox_dir.iterdir())


@pytest.mark.parametrize(
    ("name", "value", "part", "told"),
    [
        ("livekit_api_secret", "x" * 40, "LiveKit", "LIVEKIT_API_SECRET is refused"),
        ("livekit_url", "ws://127.0.0.1:9", "LiveKit", "Cannot connect"),
        ("database_url", "", "Postgres", "DATABASE_URL is not set"),
        ("agent_outbox_dir", "/proc/outbox", "outbox", "can't be written"),
        ("agent_outbox_min_free_mb", 1 << 40, "outbox", "no calls would be taken"),
        ("openai_base_url", "http://127.0.0.1:9/v1", "language model", "Connection"),
    ],
)
async def test_what_is_wrong_is_named(
    settings: Settings, name: str, value: object, part: str, told: str
) -> None:
    """One line for the part, and no secret in it."""
    wrong = Settings.model_validate({**settings.model_dump(), name: value})
    finding = _only(await check.check(wrong), part)
    assert not finding.ok
    assert told in finding.detail
    text = check.table([finding])
    assert text.endswith("1 of 1 parts do not")
    assert settings.livekit_api_secret.get_secret_value() not in text


def _only(findings: list[Finding], part: str) -> Finding:
    (finding,) = [each for each in findings if each.part == part]
    return finding
