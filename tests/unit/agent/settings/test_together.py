"""Settings that are wrong in themselves or together: a line for each, which quotes no secret."""

import os
from pathlib import Path

import pytest
from livekit.agents.voice import turn

from agent.settings import Settings, checks, load, require_database, require_models
from agent.settings.secrets import without_secrets
from callrecord.errors import Stop


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing in the environment, and an empty working directory."""
    for name in list(os.environ):
        if name.lower() in Settings.model_fields or name.upper().startswith("AGENT_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def _told(monkeypatch: pytest.MonkeyPatch, **settings: str) -> list[str]:
    """Return what is said of these settings, a line each."""
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(Stop) as stopped:
        load()
    return str(stopped.value).splitlines()


def test_all_that_is_wrong_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    head, *lines = _told(
        monkeypatch, AGENT_NMAE="x", AGENT_MAX_CALLS="0", AGENT_LLM_TEMPERATURE="warm"
    )
    assert head == "3 settings are wrong:"
    names = {line.split()[0].rstrip(":") for line in lines}
    assert names == {"AGENT_NMAE", "AGENT_LLM_TEMPERATURE", "AGENT_MAX_CALLS"}


OTHER = "https://other.example/v1"
SECOND = {
    "AGENT_FALLBACK_BASE_URL": OTHER,
    "AGENT_FALLBACK_API_KEY": "k",
    "AGENT_FALLBACK_STT_MODEL": "m",
}


@pytest.mark.parametrize(
    ("named", "settings"),
    [
        ("AGENT_WORKER_LOST_S", {"AGENT_HEARTBEAT_S": "15"}),
        ("AZURE_OPENAI_API_KEY", {"AZURE_OPENAI_ENDPOINT": "https://a.openai.azure.com"}),
        ("AZURE_OPENAI_ENDPOINT", {"AZURE_OPENAI_API_KEY": "k"}),
        ("AZURE_OPENAI_ENDPOINT", {"AZURE_OPENAI_ENDPOINT": "https://a.azure.com/openai/x"}),
        ("AGENT_STT_API_KEY", {"AGENT_STT_BASE_URL": OTHER, "OPENAI_API_KEY": "k"}),
        ("AGENT_REALTIME_API_KEY", {"AGENT_REALTIME_BASE_URL": OTHER}),
        (
            "AGENT_FALLBACK_BASE_URL",
            SECOND | {"AGENT_FALLBACK_BASE_URL": ""},
        ),
        (
            "AGENT_FALLBACK_API_KEY",
            SECOND | {"AGENT_FALLBACK_API_KEY": ""},
        ),
        (
            "AGENT_FALLBACK_LLM_MODEL",
            SECOND | {"AGENT_FALLBACK_STT_MODEL": ""},
        ),
        ("AGENT_TURN_DETECTION", {"AGENT_TURN_DETECTION": "realtime_llm"}),
        ("AGENT_TURN_DETECTION", {"AGENT_TURN_DETECTION": "stt", "AGENT_REALTIME_MODEL": "m"}),
        (
            "AGENT_INTERRUPTION_ENABLED",
            {"AGENT_INTERRUPTION_ENABLED": "false", "AGENT_REALTIME_MODEL": "m"},
        ),
        (
            "AGENT_PREEMPTIVE_TTS",
            {"AGENT_PREEMPTIVE_TTS": "true", "AGENT_PREEMPTIVE_GENERATION": "false"},
        ),
        (
            "AGENT_ENDPOINTING_MIN_DELAY",
            {"AGENT_ENDPOINTING_MIN_DELAY": "2", "AGENT_ENDPOINTING_MAX_DELAY": "1"},
        ),
        ("AGENT_ENDPOINTING_MIN_DELAY", {"AGENT_ENDPOINTING_MIN_DELAY": "9"}),
        ("AGENT_ENDPOINTING_MAX_DELAY", {"AGENT_ENDPOINTING_MAX_DELAY": "0.1"}),
    ],
)
def test_what_does_not_go_together_is_one_line(
    monkeypatch: pytest.MonkeyPatch, named: str, settings: dict[str, str]
) -> None:
    (line,) = _told(monkeypatch, **settings)
    assert line.startswith(f"{named}: ")


def test_livekits_own_delays_are_those_we_compare_with() -> None:
    """In LiveKit 1.8 they have no public name."""
    defaults = (turn._ENDPOINTING_DEFAULTS, turn._STREAMING_ENDPOINTING_DEFAULTS)
    assert min(each["max_delay"] for each in defaults) == checks.LIVEKITS_SHORTEST_MAX_DELAY_S
    assert max(each["min_delay"] for each in defaults) == checks.LIVEKITS_LONGEST_MIN_DELAY_S


@pytest.mark.parametrize("name", ["OPENAI_BASE_URL", "AGENT_LLM_BASE_URL"])
@pytest.mark.parametrize(
    "url",
    [
        "api.openai.com/v1",
        "ftp://host/v1",
        "https://",
        "http://host:port/v1",
        "https://name:hidden@host/v1",
        "https://host/v1?key=hidden",
        "https://host /v1",
    ],
)
def test_an_address_must_be_one(monkeypatch: pytest.MonkeyPatch, name: str, url: str) -> None:
    """The line does not show it: a password may stand in it."""
    (line,) = _told(monkeypatch, **{name: url})
    assert line.startswith(f"{name}: ")
    assert "hidden" not in line


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:hid#den@host/name",
        "postgresql://user:hid/den@host/name",
        "postgres://user:hid@den@host/name",
        "postgres://user:hidden@host:port/name",
    ],
)
def test_a_database_that_would_be_read_wrongly_is_one_line(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """Read wrongly, a part of the password is a host or a port, and stands in the error."""
    (line,) = _told(monkeypatch, DATABASE_URL=url)
    assert line.startswith("DATABASE_URL: cannot be read")
    assert "hid" not in line
    assert "den" not in line


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:p%40ss@host:5432/name?sslmode=require",
        "postgres://one:5432,two:5433/name",
        "postgresql:///name?host=/run/postgresql",
        "postgresql://u:p@[::1]:5432/name",
        "postgresql://host",
    ],
)
def test_a_database_of_any_form_is_taken(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    assert require_database(load()) == url


@pytest.mark.parametrize("language", ["de", "pt-BR", "zh-Hans"])
def test_a_language_is_a_code(monkeypatch: pytest.MonkeyPatch, language: str) -> None:
    monkeypatch.setenv("AGENT_LANGUAGE", language)
    assert load().agent_language == language
    (line,) = _told(monkeypatch, AGENT_LANGUAGE="German, please")
    assert line.startswith("AGENT_LANGUAGE: ")


@pytest.mark.parametrize(
    "settings",
    [
        {"OPENAI_API_KEY": "k"},
        {"AZURE_OPENAI_ENDPOINT": "https://a.openai.azure.com", "AZURE_OPENAI_API_KEY": "k"},
        {f"AGENT_{kind}_API_KEY": "k" for kind in ("STT", "LLM", "TTS")},
        {"AGENT_REALTIME_MODEL": "m", "AGENT_REALTIME_API_KEY": "k", "AGENT_REALTIME_SAY": "model"},
    ],
)
def test_a_key_is_needed_for_what_is_asked_alone(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str]
) -> None:
    with pytest.raises(Stop, match=r"^OPENAI_API_KEY is not set"):
        require_models(load())
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    require_models(load())


def test_secrets_are_kept_out_of_what_others_quote(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-hidden")
    monkeypatch.setenv("DATABASE_URL", "postgresql://user:pass%40word@host/name")
    text = "sk-hidden, pass@word and pass%40word, postgresql://user:pass%40word@host/name: no"
    assert without_secrets(text, load()) == "***, *** and ***, ***: no"
