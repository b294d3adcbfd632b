"""Where LiveKit ends a caller's turn, whether or not it goes on to answer it.

A turn is committed to the conversation only once a reply is to follow. Where a hook stops the reply
(`StopResponse`), raises, or the agent has no language model, no event of the session tells that the
turn was over. LiveKit's activity is told by its `on_end_of_turn`; without that name, turns are told
apart as they are committed.
"""

import functools
from collections.abc import Callable
from typing import Any, Final
from weakref import WeakKeyDictionary

from livekit.agents import AgentSession
from livekit.agents.voice.agent_activity import AgentActivity

from callrecord.db.privacy import private_logger

logger = private_logger("voice.recorder")

_HOOK: Final = "on_end_of_turn"

_listeners: "WeakKeyDictionary[AgentSession[Any], Callable[[str], None]]" = WeakKeyDictionary()


def listen(session: AgentSession[Any], ended: Callable[[str], None]) -> None:
    """Have `ended` told the words of each turn that ends in a session; it must not raise."""
    _install()
    _listeners[session] = ended


def _install() -> None:
    plain = vars(AgentActivity).get(_HOOK)
    if plain is None:
        logger.warning("LiveKit does not tell where turns end, only committed ones are told apart")
        return
    if hasattr(plain, "__wrapped__"):
        return

    @functools.wraps(plain)
    def hooked(self: AgentActivity, info: Any) -> bool:
        taken: bool = plain(self, info)  # else the turn goes on
        listener = _listeners.get(self.session)
        if taken and listener is not None:
            listener(info.new_transcript)
        return taken

    setattr(AgentActivity, _HOOK, hooked)
