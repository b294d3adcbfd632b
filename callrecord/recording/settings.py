"""What recording needs to know, from the environment: the names and defaults of our own worker."""

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
        mask_keys: Record that callers press keys, and not which.
        drain_s: Seconds that a model request which was cut may go on, to report its usage.
    """

    mask_keys: bool = False
    drain_s: float = DRAIN_S

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "RecordSettings":
        """Return what AGENT_MASK_DTMF and AGENT_USAGE_DRAIN_S say; an empty one is not set.

        Raises:
            Stop: One is not valid; one line that says which.
        """
        drain_s = number(environment, "AGENT_USAGE_DRAIN_S", DRAIN_S)
        if drain_s > LONGEST_DRAIN_S:
            raise Stop(f"AGENT_USAGE_DRAIN_S={drain_s:g}: must be {LONGEST_DRAIN_S:g} or less")
        masked = environment.get("AGENT_MASK_DTMF", "").strip().lower() in _TRUE
        return cls(mask_keys=masked, drain_s=drain_s)
