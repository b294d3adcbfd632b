"""The pipeline asks nobody but the models of its settings."""

import pytest
from livekit.agents import inference

from agent.pipeline import turn_handling
from agent.settings import load


@pytest.mark.parametrize("chosen", ["model", "vad"])
def test_turns_are_told_in_the_worker(chosen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """LiveKit's own default would ask a gateway of its cloud first."""
    monkeypatch.setenv("AGENT_TURN_DETECTION", chosen)
    options = turn_handling(load())
    assert options["interruption"]["mode"] == "vad"
    detector = options["turn_detection"]
    if isinstance(detector, inference.TurnDetector):
        assert detector.model == "turn-detector-v1-mini"
    else:
        assert detector == chosen
