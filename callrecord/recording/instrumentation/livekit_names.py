"""LiveKit's private names that recording relies on, and what a call loses without each.

No other private name is used in `callrecord`. If a version of LiveKit lacks a name, a call loses
only what the table says; the worker's start and `agent check` report it.
"""

import inspect
import pkgutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import CodeType
from typing import Any, Final

from livekit.agents import __version__ as livekit_version

from callrecord.privacy import private_logger

logger = private_logger("voice.record")


@dataclass(frozen=True, slots=True)
class Names:
    """Private names of one class or module of LiveKit.

    Attributes:
        owner: The class or module, as `package.module` or `package.module:Class`.
        names: Names in the owner, attributes that its `__init__` sets, or functions within it.
        used_for: What recording uses them for.
        lost: What a call lacks if one of them is missing.
        test: The file, below tests/, of a test that fails if one of them is missing.
    """

    owner: str
    names: tuple[str, ...]
    used_for: str
    lost: str
    test: str

    def missing(self) -> list[str]:
        """Return a line for each name that the installed LiveKit lacks, with what is lost."""
        try:
            known = set(_names_of(pkgutil.resolve_name(self.owner)))
        except (ImportError, AttributeError):
            known = set()
        return [f"{self.owner}.{each}: {self.lost}" for each in self.names if each not in known]


_INSTRUMENTATION: Final = "unit/callrecord/recording/instrumentation/"
_CONVERSATION: Final = "unit/callrecord/recording/conversation/"
_NO_ROWS: Final = "the model's requests are a gap in the ledger (usage_complete is false)"
_NO_WORDS: Final = "generated_content is what the text output was given"
_STREAM: Final = ("_run", "_event_ch", "_metrics_monitor_task")
_TOKENS: Final = ("_set_token_usage", "_input_tokens", "_output_tokens")

NAMES: Final = (
    Names(
        "livekit.agents.llm:LLMStream",
        ("_llm", *_STREAM),
        "each attempt of a stream, what it answers, and whether it only passes others on",
        _NO_ROWS,
        _INSTRUMENTATION + "test_llm_streams.py",
    ),
    Names(
        "livekit.agents.tts:ChunkedStream",
        ("_tts", *_STREAM, *_TOKENS),
        "the same, and the tokens that a speech model reports",
        _NO_ROWS,
        _INSTRUMENTATION + "test_tts_streams.py",
    ),
    Names(
        "livekit.agents.tts:SynthesizeStream",
        ("_tts", *_STREAM, *_TOKENS, "_pushed_text"),
        "the same, and the characters that a speech model was given",
        _NO_ROWS,
        _INSTRUMENTATION + "test_tts_streams.py",
    ),
    Names(
        "livekit.agents.stt:RecognizeStream",
        ("_stt", *_STREAM),
        "each attempt of a stream, and what it answers",
        "what was heard after the provider's last report is missing in the ledger",
        _INSTRUMENTATION + "test_stt_streams.py",
    ),
    Names(
        "livekit.agents.stt:STT",
        ("_recognize_impl", "_recognize_metrics_needed"),
        "each attempt to transcribe a whole utterance",
        "attempts that failed or were cut are missing in the ledger",
        _INSTRUMENTATION + "test_stt_requests.py",
    ),
    Names(
        "livekit.agents.llm:RealtimeSession",
        ("_realtime_model",),
        "the realtime model of a session",
        "a gap that is found names no model",
        _INSTRUMENTATION + "test_realtime.py",
    ),
    Names(
        "livekit.agents.voice.agent_activity",
        ("_SpeechHandleContextVar",),
        "the speech that a request is made for",
        "requests have no message",
        _INSTRUMENTATION + "test_llm_streams.py",
    ),
    Names(
        "livekit.agents.voice.agent_activity",
        ("perform_llm_inference",),
        "the words that a model wrote for a reply",
        _NO_WORDS,
        _CONVERSATION + "test_heard.py",
    ),
    Names(
        "livekit.agents.voice.generation:_LLMGenerationData",
        ("generated_text",),
        "the words that a model wrote for a reply",
        _NO_WORDS,
        _CONVERSATION + "test_heard.py",
    ),
    Names(
        "livekit.agents.voice.agent_activity:AgentActivity",
        ("on_end_of_turn",),
        "where a caller's turn ends that gets no reply",
        "turns are separated only when they are committed",
        _INSTRUMENTATION + "test_turn_ends.py",
    ),
    Names(
        "livekit.agents:AgentSession",
        ("_activity",),
        "the session that a realtime model's request is of",
        "of several realtime sessions at once, requests count for the first",
        _INSTRUMENTATION + "test_realtime.py",
    ),
    Names(
        "livekit.agents.voice.agent_activity:AgentActivity",
        ("realtime_llm_session",),
        "the session that a realtime model's request is of",
        "of several realtime sessions at once, requests count for the first",
        _INSTRUMENTATION + "test_realtime.py",
    ),
    Names(
        "livekit.agents.voice.tool_executor",
        ("_RunningTasks",),
        "why a tool ended: its error, or that it was cancelled",
        "the row of a tool that failed has no error type",
        _CONVERSATION + "test_tools.py",
    ),
    *(
        Names(
            f"livekit.agents.{kind}.fallback_adapter",
            (f"_recover_{kind}_task",),
            "requests that only ask whether a model is back",
            "such a request counts as one outside any speech",
            _INSTRUMENTATION + "test_llm_failures.py",
        )
        for kind in ("llm", "stt", "tts")
    ),
    Names(
        "livekit.agents.ipc.job_proc_lazy_main:_JobProc",
        ("_shutdown_job",),
        "who closes a session: the agent's code, or the job's end",
        "a hang-up by the agent may end as drained, and a drain as a hang-up",
        _INSTRUMENTATION + "test_hang_ups.py",
    ),
    Names(
        "livekit.agents:AgentServer",
        ("_agent_name",),
        "the agent's name in the table of workers",
        "the worker's row has no agent_name",
        "postgres/callrecord/recording/test_server.py",
    ),
)
"""All private names that recording uses."""


def missing(names: Iterable[Names] = NAMES) -> list[str]:
    """Return a line for each name that the installed LiveKit lacks, with what is lost."""
    return [line for each in names for line in each.missing()]


def log_missing() -> None:
    """Log a warning for each name that the installed LiveKit lacks."""
    for line in missing():
        logger.warning(
            "LiveKit lacks a name that recording relies on",
            extra={"livekit": livekit_version, "lacks": line},
        )


def _names_of(owner: Any) -> Iterator[str]:
    yield from vars(owner)  # without its bases: the owner may lack a name of an abstract base
    if isinstance(owner, type):
        yield from getattr(owner, "__dataclass_fields__", ())
        for base in owner.__mro__:
            init = inspect.unwrap(vars(base).get("__init__", lambda: None))
            if inspect.isfunction(init):
                yield from init.__code__.co_names
    else:  # functions within a module's methods
        methods = (
            method
            for each in vars(owner).values()
            if isinstance(each, type) and each.__module__ == owner.__name__
            for method in vars(each).values()
            if inspect.isfunction(method)
        )
        for method in methods:
            inner = (const for const in method.__code__.co_consts if isinstance(const, CodeType))
            yield from (each.co_name for each in inner)
