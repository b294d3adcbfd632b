"""The ledger beside what sessions have counted: any history of metrics adds up, a lack is told."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from livekit.agents import AgentSession
from livekit.agents.metrics import LLMMetrics, RealtimeModelMetrics, STTMetrics, TTSMetrics
from livekit.agents.metrics.base import Metadata

from callrecord.events import new_id, now
from tests.unit.callrecord.recording.outbox import Outbox, tell

_TOKENS = st.integers(0, 1000)
_SOURCE = st.builds(
    Metadata, model_name=st.sampled_from(["m-1", "m-2"]), model_provider=st.just("acme")
)


def _common(**fields: Any) -> dict[str, Any]:
    return {
        "label": st.just("model"),
        "request_id": st.uuids().map(str),
        "timestamp": st.just(1.0),
        "duration": st.just(0.5),
        "metadata": _SOURCE,
    } | fields


_METRICS = st.one_of(
    st.builds(
        LLMMetrics,
        **_common(
            ttft=st.just(0.1),
            cancelled=st.booleans(),
            completion_tokens=_TOKENS,
            prompt_tokens=_TOKENS,
            prompt_cached_tokens=st.just(0),
            total_tokens=st.integers(1, 2000),
            tokens_per_second=st.just(1.0),
            speech_id=st.sampled_from([None, "speech_1"]),
        ),
    ),
    st.builds(
        RealtimeModelMetrics,
        **_common(
            input_tokens=_TOKENS,
            output_tokens=_TOKENS,
            input_token_details=st.just(RealtimeModelMetrics.InputTokenDetails()),
            output_token_details=st.just(RealtimeModelMetrics.OutputTokenDetails()),
        ),
    ),
    st.builds(
        STTMetrics,
        **_common(
            audio_duration=st.floats(0, 60),
            streamed=st.booleans(),
            input_tokens=_TOKENS,
            output_tokens=_TOKENS,
        ),
    ),
    st.builds(
        TTSMetrics,
        **_common(
            ttfb=st.just(0.1),
            audio_duration=st.floats(0, 60),
            cancelled=st.booleans(),
            characters_count=st.integers(0, 500),
            streamed=st.booleans(),
        ),
    ),
)


@pytest.fixture
async def session(outbox: Outbox) -> AgentSession[None]:
    """A session that is recorded, and counts."""
    session = AgentSession[None]()
    outbox.recorder.attach_session(session)
    return session


@pytest.fixture
def outbox(outbox: Outbox) -> Iterator[Outbox]:
    """A recorder's outbox, ended with its test."""
    yield outbox
    outbox.recorder.finish("caller_hangup", now(), {})


@given(st.lists(_METRICS, max_size=12))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
async def test_any_history_adds_up(
    outbox: Outbox, session: AgentSession[None], history: list[Any]
) -> None:
    for metrics in history:
        tell(session, metrics)
    outbox.check_ledger()
    assert outbox.recorder.gaps() == []


async def test_what_the_session_alone_has_counted_is_a_gap(
    outbox: Outbox, session: AgentSession[None]
) -> None:
    metrics = TTSMetrics(
        label="tts",
        request_id=str(new_id()),
        timestamp=1.0,
        ttfb=0.1,
        duration=0.5,
        audio_duration=1.0,
        cancelled=False,
        characters_count=42,
        streamed=True,
        metadata=Metadata(model_name="m-1", model_provider="acme"),
    )
    session._usage_collector.collect(metrics)
    assert outbox.recorder.gaps() == ["tts acme/m-1: 0 characters in the ledger, 42 in the session"]
    outbox.recorder.finish("caller_hangup", now(), {})
    assert outbox.events()[-1].usage_complete is False  # type: ignore[union-attr]


async def test_a_request_that_could_not_be_handled_is_a_gap(
    outbox: Outbox, session: AgentSession[None]
) -> None:
    session.emit("metrics_collected", None)  # type: ignore[arg-type]
    assert outbox.recorder.gaps() == ["1 events of requests could not be handled"]
