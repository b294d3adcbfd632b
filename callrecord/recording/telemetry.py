"""OpenTelemetry: the facts of the tables as spans and metrics, beside LiveKit's own.

OTEL_EXPORTER_OTLP_ENDPOINT turns it on; the standard's other OTEL_* variables apply as well. Each
span of the job has the call's id, which leads from a trace to its row. Each turn is a span with
its row's id. The metrics follow OpenTelemetry's conventions for generative AI (gen_ai.client.*).

Exporters run in their own threads: one that fails or hangs loses its spans, and the call goes on.
The last flush runs in daemon threads: asyncio would join its own threads when the job ends.
"""

import asyncio
import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from callrecord.events import LATENCIES, CallStarted, Event, Message, Usage
from callrecord.privacy import private_logger
from callrecord.recording.recent import Recent

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.trace import TracerProvider

logger = private_logger("voice.telemetry")

ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
FLUSH_S: Final = 2.0
"""How many seconds the end of a call waits for the last export."""
_SHOWS_CONTENT: Final = "LIVEKIT_TELEMETRY_ALLOW_PII"
_OF_THE_LEDGER: Final = ("gen_ai.client.token.usage", "gen_ai.client.operation.duration")
"""LiveKit emits these too, for the requests that it sees: each would be counted twice."""
_PROVIDERS: Final[list["MeterProvider"]] = []
"""This process's own meter provider, if there is one: it can be set only once."""
_KEPT: Final = 512
"""How many rows are remembered, as another version of each may come."""
_OPERATIONS: Final = {"llm": "chat", "realtime": "chat", "tts": "speech", "stt": "transcription"}


def telemetry_of(header: CallStarted, env: Mapping[str, str] = os.environ) -> "Telemetry | None":
    """Return the telemetry of a job's call; None if it is off or fails. Never raises."""
    if not env.get(ENDPOINT):
        return None
    try:
        return Telemetry(header, shows_content=_SHOWS_CONTENT in env)
    except Exception:
        logger.exception("no telemetry for this call")
        return None


class Telemetry:
    """Exports one call, which is one job in its own process or thread."""

    def __init__(self, header: CallStarted, *, shows_content: bool = False) -> None:
        """Set up the exporters, for LiveKit's spans as well.

        Args:
            header: The first event of the call.
            shows_content: Whether spans may hold what was said.
        """
        from livekit.agents import telemetry
        from opentelemetry import metrics

        self._call = _named(header)
        self._tracing = _tracer_provider()
        telemetry.set_tracer_provider(
            self._tracing, metadata=dict(self._call), allow_pii=None if shows_content else False
        )
        self._tracer = self._tracing.get_tracer("callrecord")
        self._metering = _meter_provider()
        meter = (self._metering or metrics.NoOpMeterProvider()).get_meter("callrecord")
        tokens, duration = _OF_THE_LEDGER
        self._tokens = meter.create_histogram(tokens, unit="{token}")
        self._durations = meter.create_histogram(duration, unit="s")
        self._exported: Recent[UUID, bool] = Recent(_KEPT)
        self._drafts: dict[UUID, Message] = {}

    def observe(self, event: Event) -> None:
        """Export a recorded event; only the first complete version of a row counts.

        Never raises: the event is recorded even if its telemetry fails.
        """
        try:
            self._observe(event)
        except Exception:
            logger.exception("no telemetry", extra={"event_type": type(event).__name__})

    def _observe(self, event: Event) -> None:
        if isinstance(event, Usage) and not event.metadata.get("open"):
            if event.id not in self._exported:
                self._exported.put(event.id, True)
                self._count(event)
        elif isinstance(event, Message) and event.id not in self._exported:
            if event.metadata.get("final") is False:
                self._drafts[event.id] = event
            else:
                self._drafts.pop(event.id, None)
                self._exported.put(event.id, True)
                self._trace(event)

    async def stop(self) -> None:
        """Export what is left, for FLUSH_S at most."""
        while self._drafts:  # turns that the end of the call cut short are rows, too
            self._trace(self._drafts.pop(next(iter(self._drafts))))
        loop = asyncio.get_running_loop()
        flushed = []
        for provider in (self._tracing, self._metering):
            if provider is not None:
                flushed.append(done := asyncio.Event())
                threading.Thread(target=_flush, args=(provider, loop, done), daemon=True).start()
        try:
            async with asyncio.timeout(FLUSH_S):
                for done in flushed:
                    await done.wait()
        except TimeoutError:
            logger.warning("telemetry not exported in time")

    def _count(self, usage: Usage) -> None:
        about: dict[str, Any] = {
            "gen_ai.operation.name": _OPERATIONS.get(usage.kind, usage.kind),
            "gen_ai.provider.name": usage.provider or "",
            "gen_ai.request.model": usage.model or "",
        }
        if usage.error:
            about["error.type"] = usage.error
        for kind, tokens in (("input", usage.input_tokens), ("output", usage.output_tokens)):
            if tokens:
                self._tokens.record(tokens, about | {"gen_ai.token.type": kind})
        if usage.duration_ms is not None:
            self._durations.record(usage.duration_ms / 1000, about)

    def _trace(self, message: Message) -> None:
        from opentelemetry import trace

        about = self._call | {"voice.message_id": str(message.id), "voice.role": message.role}
        current = trace.get_current_span()
        if current.is_recording():  # LiveKit commits a turn inside the turn's own span
            current.set_attribute("voice.message_id", str(message.id))
        begun = message.speech_started_at or message.at
        ended = max(message.speech_ended_at or begun, begun)
        about |= {
            name: value
            for name, value in {
                "lk.speech_id": message.speech_id,
                "gen_ai.request.model": message.model,
                "voice.interrupted": message.interrupted,
                **{f"voice.{name}": getattr(message, name) for name in LATENCIES},
            }.items()
            if value is not None
        }
        span = self._tracer.start_span(
            "voice.turn", attributes=about, start_time=round(begun.timestamp() * 1e9)
        )
        span.end(round(ended.timestamp() * 1e9))


def _flush(
    provider: "TracerProvider | MeterProvider", loop: asyncio.AbstractEventLoop, done: asyncio.Event
) -> None:
    try:
        provider.force_flush(timeout_millis=round(FLUSH_S * 1000))
    except Exception as error:  # noqa: BLE001 - a lost span does no harm
        logger.warning("telemetry not exported", extra={"error": type(error).__name__})
    finally:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(done.set)


def _named(header: CallStarted) -> dict[str, Any]:
    """Return the attributes that identify the call."""
    return {
        "voice.call_id": str(header.row_id),
        "voice.call_key": str(header.key),
        "lk.job_id": header.job_id,
        "lk.room_sid": header.room_sid,
    }


def _tracer_provider() -> "TracerProvider":
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    if _by_grpc():
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (
            OTLPSpanExporter,
        )
    else:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # type: ignore[assignment]
            OTLPSpanExporter,
        )
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


def _meter_provider() -> "MeterProvider | None":
    """Return our provider, which LiveKit's metrics use too; None if there is a foreign one."""
    from opentelemetry import metrics
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.metrics.view import DropAggregation, View

    known = metrics.get_meter_provider()
    if isinstance(known, MeterProvider):
        if known in _PROVIDERS:
            return known
        logger.warning("this process has a meter provider: no metrics of the ledger")
        return None
    if _by_grpc():
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import (
            OTLPMetricExporter,
        )
    else:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import (  # type: ignore[assignment]
            OTLPMetricExporter,
        )
    provider = MeterProvider(
        metric_readers=[PeriodicExportingMetricReader(OTLPMetricExporter())],
        shutdown_on_exit=False,
        views=[
            View(instrument_name=name, meter_name="livekit-agents", aggregation=DropAggregation())
            for name in _OF_THE_LEDGER
        ],
    )
    metrics.set_meter_provider(provider)
    _PROVIDERS.append(provider)
    return provider


def _by_grpc() -> bool:
    return os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf") == "grpc"
