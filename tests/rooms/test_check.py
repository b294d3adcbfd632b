"""`python -m agent check` says what is right and what is wrong, without taking a call."""

from pathlib import Path
from typing import Any

import pytest

from agent.check import check
from agent.check.check import Finding
from agent.settings import Settings, load
from local.stack import Stack
from tests.unit.local.ai_control import faulty
from tests.unit.local.servers import ai_server

pytestmark = pytest.mark.room

SCRIPT: dict[str, Any] = {
    "tts": "tone",
    "stt": ["can you hear me"] * 20,
    "default": {"reply": "Hello."},
}
SERVICES = ["LiveKit", "Postgres", "outbox", "speech cache", "persona", "recording"]
PARTS = [*SERVICES, "language model", "text to speech", "speech to text"]


@pytest.fixture
def settings(
    stack: Stack, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """Settings under which everything does."""
    for name, value in stack.env().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("AGENT_OUTBOX_DIR", str(tmp_path / "outbox"))
    monkeypatch.setenv("AGENT_SPEECH_CACHE_DIR", str(tmp_path / "speech"))
    return load(tmp_path / "no.env")


async def test_all_parts_of_a_right_set_up_do(settings: Settings) -> None:
    """Every part is tried for real: the speech that was made is heard."""
    findings = await check.check(settings)
    assert [finding.part for finding in findings] == PARTS
    assert all(finding.ok for finding in findings), check.table(findings)
    assert "can you hear me" in findings[-1].detail
    assert check.table(findings).endswith(f"all {len(findings)} checks passed")
    assert not list(settings.agent_outbox_dir.iterdir())


async def test_a_realtime_model_is_tried(settings: Settings) -> None:
    """It is asked for a short answer; speech to text of its own is not needed."""
    findings = await check.check(_with(settings, agent_realtime_model="gpt-realtime"))
    assert [finding.part for finding in findings] == [*SERVICES, "realtime model", "text to speech"]
    assert all(finding.ok for finding in findings), check.table(findings)
    assert "gpt-realtime said “" in findings[-2].detail


async def test_azure_is_tried(settings: Settings, stack: Stack) -> None:
    """By its own paths and its own header; the realtime model too."""
    azure = _with(
        settings,
        openai_api_key="",
        openai_base_url="http://127.0.0.1:9/v1",
        azure_openai_endpoint=stack.openai_base_url.removesuffix("/v1"),
        azure_openai_api_key="azure",
    )
    for each in (azure, _with(azure, agent_realtime_model="my-deployment")):
        findings = await check.check(each)
        assert all(finding.ok for finding in findings), check.table(findings)
    assert "my-deployment" in findings[-2].detail


async def test_a_second_provider_is_tried(settings: Settings, stack: Stack) -> None:
    """By itself, although the first one answers."""
    second = _with(
        settings,
        agent_fallback_base_url="http://127.0.0.1:9/v1",
        agent_fallback_api_key="second",
        agent_fallback_llm_model="other",
        agent_tts_base_url=stack.openai_base_url,
        agent_tts_api_key="own",
    )
    findings = await check.check(second)
    wrong = _only(findings, "language model, provider 2")
    assert [each for each in findings if not each.ok] == [wrong]
    assert "AGENT_FALLBACK_BASE_URL" in wrong.detail


@pytest.mark.parametrize(
    ("name", "value", "part", "told"),
    [
        ("livekit_api_secret", "x" * 40, "LiveKit", "LIVEKIT_API_SECRET is refused"),
        ("livekit_url", "ws://127.0.0.1:9", "LiveKit", "Cannot connect"),
        ("database_url", "", "Postgres", "DATABASE_URL is not set"),
        ("agent_outbox_dir", "/proc/outbox", "outbox", "can't be written"),
        ("agent_outbox_min_free_mb", 1 << 40, "outbox", "no calls would be taken"),
        ("agent_speech_cache_dir", "/proc/speech", "speech cache", "AGENT_SPEECH_CACHE_DIR"),
        ("openai_base_url", "http://127.0.0.1:9/v1", "language model", "OPENAI_BASE_URL"),
    ],
)
async def test_what_is_wrong_is_named(
    settings: Settings, name: str, value: object, part: str, told: str
) -> None:
    """One line for the part, and no secret in it."""
    finding = _only(await check.check(_with(settings, **{name: value})), part)
    assert not finding.ok
    assert told in finding.detail
    text = check.table([finding])
    assert text.endswith("1 of 1 checks failed")
    assert settings.livekit_api_secret.get_secret_value() not in text


FAULTS: list[tuple[dict[str, Any], str, str]] = [
    ({"on": "llm", "do": "fail", "status": 401}, "language model", "OPENAI_API_KEY"),
    ({"on": "llm", "do": "fail", "status": 404}, "language model", "AGENT_LLM_MODEL"),
    ({"on": "llm", "do": "fail", "status": 503}, "language model", "answers 503"),
    ({"on": "llm", "do": "empty"}, "language model", "it answered with nothing"),
    ({"on": "llm", "do": "stall"}, "language model", "AGENT_MODEL_TIMEOUT_S"),
    ({"on": "tts", "do": "fail", "status": 403}, "text to speech", "OPENAI_API_KEY"),
    ({"on": "tts", "do": "stall"}, "text to speech", "AGENT_MODEL_TIMEOUT_S"),
    ({"on": "tts", "do": "empty"}, "text to speech", "AGENT_TTS_MODEL"),
    ({"on": "stt", "do": "stall"}, "speech to text", "AGENT_MODEL_TIMEOUT_S"),
    ({"on": "stt", "do": "empty"}, "speech to text", "it heard nothing"),
    ({"on": "connect", "do": "fail", "status": 401}, "realtime model", "OPENAI_API_KEY"),
    ({"on": "connect", "do": "fail", "status": 404}, "realtime model", "AGENT_REALTIME_MODEL"),
    ({"on": "realtime", "do": "fail", "status": 500}, "realtime model", "AGENT_REALTIME_MODEL"),
]


async def test_what_a_model_does_wrong_is_named(settings: Settings, tmp_path: Path) -> None:
    """With the setting to change; and a key that its server quotes is not shown."""
    key = "-".join(("sk", "quoted", "by", "the", "server"))  # noqa: FLY002 - in no source line
    async with ai_server(tmp_path, SCRIPT) as client:
        own = {
            "openai_base_url": str(client.base_url),
            "openai_api_key": key,
            "agent_model_timeout_s": 2,
        }
        for fault, part, told in FAULTS:
            wrong = fault | ({"message": f"You sent {key}."} if fault["do"] == "fail" else {})
            async with faulty(client, SCRIPT, wrong):
                model = "gpt-realtime" if part == "realtime model" else ""
                findings = await check.check(_with(settings, **own, agent_realtime_model=model))
            finding = _only(findings, part)
            assert not finding.ok, fault
            assert told in finding.detail, (fault, finding.detail)
            assert key not in check.table(findings)


def _with(settings: Settings, **changes: object) -> Settings:
    return Settings.model_validate({**settings.model_dump(), **changes})


def _only(findings: list[Finding], part: str) -> Finding:
    (finding,) = [each for each in findings if each.part == part]
    return finding
