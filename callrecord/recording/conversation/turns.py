"""The turns of one session: what the caller and the agent said, and what each turn cost.

A turn is recorded before LiveKit commits it, and again when more is known: the caller's turn from
its first final transcript on, the agent's turn from its first sentence on. So a call that is killed
keeps what was said until then.
"""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import msgspec
from livekit.agents import AgentSession, ChatMessage, FunctionCall, FunctionCallOutput
from livekit.agents.llm import AgentHandoff
from livekit.agents.voice.events import ToolCallEnded, ToolCallStarted

from callrecord.events import Event, Message, Usage, new_id
from callrecord.recording.conversation.agent_turns import AgentTurns
from callrecord.recording.conversation.agents import ConfigUpdates, handoff
from callrecord.recording.conversation.caller_turns import CallerTurns
from callrecord.recording.conversation.messages import when
from callrecord.recording.conversation.tools import Tools
from callrecord.recording.current_models import CurrentModels, named
from callrecord.recording.instrumentation.lookups import realtime_session
from callrecord.recording.usage.ledger import HEARD, Ledger
from callrecord.recording.usage.reconciliation import UsedModels
from callrecord.recording.usage.requests import NO_WORDS


class Turns:
    """Records the conversation of one session.

    Attributes:
        of_caller: What callers say and type.
        of_agent: What the agent says.
    """

    def __init__(
        self,
        append: Callable[[Event], None],
        written: Callable[[str], str],
        only_person: Callable[[], str | None] = lambda: None,
    ) -> None:
        """Record to `append`.

        Args:
            append: Gets each event.
            written: Returns what a model wrote for a speech since the last call.
            only_person: Returns the identity of the person in the room, if there is only one.
        """
        self._append = append
        self._models = CurrentModels()
        self._ledger = Ledger(append, lambda: self._models.now().realtime)
        self.of_caller = CallerTurns(append, self._models, only_person)
        self._used = UsedModels(self._models)
        self.of_agent = AgentTurns(append, self._ledger, self._used, written, self._models)
        self._estimated = 0
        self._tools = Tools(append)
        self._config = ConfigUpdates()
        self._session: AgentSession[None] | None = None
        self._unpaid: UUID | None = None
        self._wordless = False

    @property
    def session(self) -> AgentSession[None] | None:
        """The session of these turns."""
        return self._session

    def follow(self, session: AgentSession[None]) -> None:
        """Set the session."""
        self._session = session
        self._models.follow(session)
        self._tools.follow(session)
        self.of_caller.follow(session)
        self.of_agent.follow(session)

    def end(self) -> None:
        """Mark what is not committed as interrupted: the call is over."""
        self._look_at_config()
        self._tools.end()
        self._estimated = self._ledger.close()
        self.of_caller.end()
        self.of_agent.end()

    def item_added(self, item: ChatMessage) -> None:
        """Record a turn that LiveKit has committed."""
        if item.role == "user":
            self._heard(self.of_caller.commit(item))
            self._wordless = not (item.text_content or "").strip()
        elif item.role == "assistant":
            self.of_agent.commit(item)
        else:
            self._append(
                Message(id=new_id(), role="system", content=item.text_content or "", at=when(item))
            )
        self._look_at_config()

    def turn_ended(self, transcript: str) -> None:
        """Record that LiveKit has ended a turn of these words."""
        self._heard(self.of_caller.ended(transcript))

    def metered(self, usage: Usage) -> None:
        """Record a request that LiveKit's metrics report."""
        by_itself = usage.kind == "stt" and self._hears_itself
        if by_itself and self._wordless:
            usage = msgspec.structs.replace(usage, metadata=usage.metadata | {"purpose": NO_WORDS})
        self.responded(usage)
        if by_itself and self._unpaid is not None:
            self._ledger.heard(self._unpaid)
            self._unpaid = None

    def responded(self, usage: Usage) -> None:
        """Record a request that ended when LiveKit reported it, for the current speech."""
        self._ledger.add(usage, self.of_agent.speeches, waits_for=self._waited_for(usage))

    def transcribed(self, requests: Sequence[Usage]) -> None:
        """Record the requests for what a caller said; the last one was answered."""
        heard = "purpose" not in requests[-1].metadata  # else it found no words, or was a probe
        for usage in requests:
            self._ledger.add(usage, self.of_agent.speeches, waits_for=HEARD if heard else None)

    def requested(self, usage: Usage) -> None:
        """Record a request, or an update of one."""
        self._ledger.add(usage, self.of_agent.speeches)

    @property
    def hears_by(self) -> Any:
        """The model that transcribes the caller now; None without one."""
        return self._models.now().stt

    def gaps(self) -> list[str]:
        """Return a line for each model of the session that was used but reported no request."""
        found = self._used.gaps(self._ledger.kinds)
        realtime = self._models.now().realtime
        if self._estimated and realtime is not None:
            found.append(f"realtime {named(realtime)}: {self._estimated} responses without figures")
        return found

    def made(self, speech_id: str | None, asker: Any = None) -> bool:
        """Return whether a speech, or a realtime model's session, belongs to this session."""
        if asker is not None:
            return realtime_session(self._session) is asker
        return speech_id is not None and (
            speech_id in self.of_agent.speeches or self._ledger.last(speech_id) is not None
        )

    def tool_updated(self, update: ToolCallStarted | ToolCallEnded) -> None:
        """Record that a function call has started or ended."""
        if update.type == "tool_call_ended":
            self._tools.ended(update)
        else:
            call = update.function_call
            self._tools.started(call, self.of_agent.agent, self.of_agent.speech_of(call))

    def tool_executed(self, call: FunctionCall, output: FunctionCallOutput | None) -> None:
        """Record a function call with its result, in its place in the conversation."""
        self._tools.executed(call, output, self.of_agent.agent, self.of_agent.speech_of(call))

    def handed_over(self, item: AgentHandoff) -> None:
        """Record that another agent takes over."""
        message = handoff(item)
        if message is not None:
            self._append(message)
        self._look_at_config()

    def _heard(self, message_id: UUID | None) -> None:
        if message_id is not None:
            self._ledger.heard(message_id)
            self._unpaid = message_id
            self._used.heard()

    @property
    def _hears_itself(self) -> bool:
        """Whether a realtime model transcribes: it reports usage when the turn is committed."""
        return self._models.now().hears_itself

    def _waited_for(self, usage: Usage) -> str | None:
        if usage.kind == "stt":
            return HEARD if self._unpaid is not None or not self._hears_itself else None
        # A realtime model's response that has just ended belongs to the current speech. The end of
        # a cancelled one may be reported after the next speech has started.
        ends_now = usage.kind == "realtime" and usage.request_id and not usage.cancelled
        return self.of_agent.current() if ends_now else None

    def _look_at_config(self) -> None:
        for message in self._config.look(self._session):
            self._append(message)
