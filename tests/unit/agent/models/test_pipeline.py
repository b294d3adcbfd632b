"""The session of a call: its turn-taking is that of the settings, in LiveKit's words."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from livekit import rtc
from livekit.agents import inference, llm

from agent.models.pipeline import Parts, Session, audio_input, build_session, prepare, turn_handling
from agent.settings import Settings, load

Set = Callable[..., Settings]


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Set:
    """Load settings, of these alone."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)

    def read(**settings: str) -> Settings:
        for name, value in ({"OPENAI_API_KEY": "k"} | settings).items():
            monkeypatch.setenv(name, value)
        return load(tmp_path / "none")

    return read


@pytest.mark.parametrize("chosen", ["", "model", "vad"])
def test_turns_are_told_in_the_worker(chosen: str, given: Set) -> None:
    """LiveKit's own default would ask a gateway of its cloud first."""
    options = turn_handling(given(AGENT_TURN_DETECTION=chosen))
    assert options["interruption"]["mode"] == "vad"
    detector = options["turn_detection"]
    if isinstance(detector, inference.TurnDetector):
        assert detector.model == "turn-detector-v1-mini"
    else:
        assert detector == chosen == "vad"


def test_every_choice_reaches_livekit(given: Set) -> None:
    settings = given(
        AGENT_TURN_DETECTION="manual",
        AGENT_ENDPOINTING_MODE="dynamic",
        AGENT_ENDPOINTING_MIN_DELAY="0.2",
        AGENT_ENDPOINTING_MAX_DELAY="1.5",
        AGENT_INTERRUPTION_ENABLED="false",
        AGENT_INTERRUPTION_MODE="adaptive",
        AGENT_INTERRUPTION_MIN_DURATION="0.7",
        AGENT_INTERRUPTION_MIN_WORDS="2",
        AGENT_RESUME_FALSE_INTERRUPTION="false",
        AGENT_FALSE_INTERRUPTION_TIMEOUT="1.5",
        AGENT_PREEMPTIVE_TTS="true",
    )
    options = turn_handling(settings)
    assert options["turn_detection"] == "manual"
    assert options["endpointing"] == {"mode": "dynamic", "min_delay": 0.2, "max_delay": 1.5}
    assert options["interruption"] == {
        "enabled": False,
        "mode": "adaptive",
        "min_duration": 0.7,
        "min_words": 2,
        "resume_false_interruption": False,
        "false_interruption_timeout": 1.5,
    }
    assert options["preemptive_generation"] == {"enabled": True, "preemptive_tts": True}


def test_delays_are_livekits_own_unless_set(given: Set) -> None:
    """They differ with the turn detection: LiveKit must see that none was chosen."""
    assert turn_handling(given())["endpointing"] == {"mode": "fixed"}


@pytest.fixture
async def session(given: Set) -> AsyncIterator[Callable[..., tuple[Session, Parts]]]:
    """Build a session of these settings."""
    made: list[Parts] = []

    def build(**settings: str) -> tuple[Session, Parts]:
        read = given(**settings)
        made.append(prepare(read))
        return build_session(read, made[-1]), made[-1]

    yield build
    for parts in made:
        await parts.aclose()


async def test_a_session_of_three_models(session: Callable[..., tuple[Session, Parts]]) -> None:
    built, parts = session(AGENT_MODEL_TIMEOUT_S="3", AGENT_SILENCE_TIMEOUT_S="12")
    assert (built.stt, built.llm, built.tts) == (parts.stt, parts.llm, parts.tts)
    assert built.vad is parts.models.vad
    assert built.conn_options.llm_conn_options.timeout == 3
    assert built.conn_options.llm_conn_options.max_retry == 1
    assert built.options.user_away_timeout == 12


async def test_a_session_of_a_realtime_model(
    session: Callable[..., tuple[Session, Parts]],
) -> None:
    """It ends turns itself, unless that is left to the worker."""
    built, parts = session(AGENT_REALTIME_MODEL="gpt-realtime")
    assert isinstance(built.llm, llm.RealtimeModel)
    assert built.stt is None
    assert built.tts is parts.tts is not None
    assert built.turn_detection == "realtime_llm"
    assert built.vad is None
    built, parts = session(AGENT_REALTIME_MODEL="gpt-realtime", AGENT_TURN_DETECTION="vad")
    assert (built.turn_detection, built.vad) == ("vad", parts.models.vad)


class _Quiet(rtc.FrameProcessor[rtc.AudioFrame]):
    """Noise cancellation as LiveKit's plugins have it."""

    enabled = True

    def _process(self, frame: rtc.AudioFrame) -> rtc.AudioFrame:
        return frame

    def _close(self) -> None:
        return


async def test_noise_cancellation_is_the_models_choice(
    session: Callable[..., tuple[Session, Parts]],
) -> None:
    _, parts = session()
    assert audio_input(parts).noise_cancellation is None
    quiet = _Quiet()
    with_it = replace(parts, models=replace(parts.models, noise_cancellation=quiet))
    assert audio_input(with_it).noise_cancellation is quiet
