"""Where LiveKit ends a caller's turn, whether or not it goes on to answer it.

A turn is committed to the conversation only when a reply is to follow. If a hook stops the reply
(`StopResponse`) or raises, or if the agent has no language model, no event of the session reports
the end of the turn. LiveKit calls `on_end_of_turn` of its activity then. Without that name, turns
are separated only when they are committed.
"""

import functools
from collections.abc import Callable
from typing import Any, Final
from weakref import WeakKeyDictionary

from livekit.agents import AgentSession
from livekit.agents.voice.agent_activity import AgentActivity

from callrecord.privacy import private_logger
from callrecord.recording.instrumentation.patches import apply_once, replace

logger = private_logger("voice.recorder")

_HOOK: Final = "on_end_of_turn"

_listeners: "WeakKeyDictionary[AgentSession[Any], Callable[[str], None]]" = WeakKeyDictionary()


def listen(session: AgentSession[Any], ended: Callable[[str], None]) -> None:
    """Call `ended` with the words of each turn that ends in a session; it must not raise."""
    install()
    _listeners[session] = ended


def install() -> None:
    """Observe the ends of turns from now on, in this process."""
    apply_once("turn ends", _install)


def _install() -> None:
    plain = vars(AgentActivity).get(_HOOK)
    if plain is None:
        logger.warning("LiveKit does not report where turns end, only committed ones are separated")
        return

    @functools.wraps(plain)
    def hooked(self: AgentActivity, info: Any) -> bool:
        taken: bool = plain(self, info)  # else the turn goes on
        listener = _listeners.get(self.session)
        if taken and listener is not None:
            listener(info.new_transcript)
        return taken

    replace(AgentActivity, _HOOK, hooked)
