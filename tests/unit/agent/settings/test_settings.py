"""Settings: from the environment and `.env`, and one clear line for what is wrong."""

import os
from pathlib import Path

import pytest

from agent.settings import Settings, load, require_database, require_livekit
from callrecord.errors import Stop


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing in the environment, and an empty working directory."""
    for name in list(os.environ):
        if name.lower() in Settings.model_fields or name.upper().startswith("AGENT_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def _env_file(text: str) -> None:
    Path(".env").write_text(text)


def test_everything_has_a_default() -> None:
    settings = load()
    assert settings.agent_name == ""
    assert settings.agent_max_calls == 4 * (os.cpu_count() or 1)
    assert settings.agent_outbox_dir == Path("var/outbox")


def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    _env_file("AGENT_NAME=file\nAGENT_LANGUAGE=de\n")
    monkeypatch.setenv("AGENT_NAME", "environment")
    settings = load()
    assert (settings.agent_name, settings.agent_language) == ("environment", "de")


def test_another_file_can_be_named(tmp_path: Path) -> None:
    other = tmp_path / "other.env"
    other.write_text("AGENT_NAME=other\n")
    assert load(other).agent_name == "other"


def test_an_empty_value_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """As compose files pass what nobody has filled in."""
    monkeypatch.setenv("AGENT_MAX_CALLS", "")
    monkeypatch.setenv("OPENAI_BASE_URL", "")
    settings = load()
    assert settings.agent_max_calls > 0
    assert settings.openai_base_url == "https://api.openai.com/v1"


@pytest.mark.parametrize("by_file", [False, True])
def test_an_unknown_name_is_refused(monkeypatch: pytest.MonkeyPatch, *, by_file: bool) -> None:
    if by_file:
        _env_file("AGENT_NMAE=x\n")
    else:
        monkeypatch.setenv("AGENT_NMAE", "x")
    with pytest.raises(Stop, match=r"^AGENT_NMAE is not a setting .* did you mean AGENT_NAME\?"):
        load()


def test_other_peoples_names_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTS_HOME", "x")
    monkeypatch.setenv("LIVEKIT_LOG_LEVEL", "debug")
    load()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AGENT_MAX_CALLS", "0"),
        ("AGENT_MAX_CALLS", "many"),
        ("AGENT_DRAIN_TIMEOUT_S", "0"),
        ("AGENT_REJOIN_GRACE_S", "-1"),
        ("AGENT_TURN_DETECTION", "magic"),
        ("AGENT_HTTP_PORT", "65536"),
        ("AGENT_LOG_FORMAT", "xml"),
    ],
)
def test_a_bad_value_is_one_line(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(Stop) as stopped:
        load()
    assert str(stopped.value).startswith(f"{name}: ")
    assert "\n" not in str(stopped.value)


def test_secrets_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, field in Settings.model_fields.items():
        if "SecretStr" in str(field.annotation):
            monkeypatch.setenv(name.upper(), f"postgres://hidden-{name}")
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://name.openai.azure.com")
    monkeypatch.setenv("AGENT_FALLBACK_BASE_URL", "https://other/v1")
    monkeypatch.setenv("AGENT_FALLBACK_LLM_MODEL", "other")
    settings = load()
    assert "hidden" not in repr(settings)
    assert "hidden" not in str(settings)
    assert "hidden" not in settings.model_dump_json()
    assert require_database(settings) == "postgres://hidden-database_url"


def test_a_database_must_be_named() -> None:
    with pytest.raises(Stop, match=r"^DATABASE_URL is not set"):
        require_database(load())


@pytest.mark.parametrize("missing", ["LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"])
def test_livekit_must_be_named(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    named = {"LIVEKIT_URL": "ws://h:1", "LIVEKIT_API_KEY": "k", "LIVEKIT_API_SECRET": "s"}
    for name in named.keys() - {missing}:
        monkeypatch.setenv(name, named[name])
    with pytest.raises(Stop, match=f"^{missing} is not set"):
        require_livekit(load())
    option = missing.replace("LIVEKIT_", "--").lower().replace("_", "-")
    require_livekit(load(), ["agent", "start", f"{option}=x"])


@pytest.mark.parametrize("url", ["localhost:7880", "ftp://host", "wss://", "livekit"])
def test_livekits_address_must_be_one(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    for name, value in (("URL", url), ("API_KEY", "k"), ("API_SECRET", "s")):
        monkeypatch.setenv(f"LIVEKIT_{name}", value)
    with pytest.raises(Stop, match=r"^LIVEKIT_URL is no such address"):
        require_livekit(load())
