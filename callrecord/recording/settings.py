"""The settings of recording, from the environment: our own worker's names and defaults."""

from collections.abc import Mapping
from dataclasses import dataclass

from callrecord.errors import Stop
from callrecord.recording.usage.meter import DRAIN_S
from callrecord.shipping.settings import number

LONGEST_DRAIN_S = 10.0
_TRUE = {"1", "true", "t", "yes", "y", "on"}


@dataclass(frozen=True, slots=True)
class RecordSettings:
    """Settings of a recorded call.

    Attributes:
        mask_keys: Record that callers press keys, but not which ones.
        drain_s: Seconds that a cancelled model request may go on, to report its usage.
    """

    mask_keys: bool = False
    drain_s: float = DRAIN_S

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "RecordSettings":
        """Read AGENT_MASK_DTMF and AGENT_USAGE_DRAIN_S; an empty value counts as not set.

        Raises:
            Stop: A value is not valid; one line says which.
        """
        drain_s = number(environment, "AGENT_USAGE_DRAIN_S", DRAIN_S)
        if drain_s > LONGEST_DRAIN_S:
            raise Stop(f"AGENT_USAGE_DRAIN_S={drain_s:g}: must be {LONGEST_DRAIN_S:g} or less")
        masked = environment.get("AGENT_MASK_DTMF", "").strip().lower() in _TRUE
        return cls(mask_keys=masked, drain_s=drain_s)
