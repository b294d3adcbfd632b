"""Settings of recording: an adopted agent's worker and its jobs read the environment."""

import pytest

from callrecord.errors import Stop
from callrecord.recording.settings import RecordSettings


def test_what_is_not_set_is_as_in_our_own_worker() -> None:
    assert RecordSettings.of({}) == RecordSettings()
    assert RecordSettings.of({"AGENT_MASK_DTMF": "", "AGENT_USAGE_DRAIN_S": ""}) == RecordSettings()


def test_what_is_set_counts() -> None:
    found = RecordSettings.of({"AGENT_MASK_DTMF": "Yes", "AGENT_USAGE_DRAIN_S": "0"})
    assert found == RecordSettings(mask_keys=True, drain_s=0.0)


@pytest.mark.parametrize("value", ["10.5", "-1", "soon", "inf"])
def test_a_wrong_value_is_one_line_that_names_it(value: str) -> None:
    with pytest.raises(Stop, match=f"^AGENT_USAGE_DRAIN_S={value}: ?[^\\n]+$"):
        RecordSettings.of({"AGENT_USAGE_DRAIN_S": value})
