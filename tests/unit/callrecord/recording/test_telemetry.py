"""OpenTelemetry: a real OTLP receiver gets spans and metrics that lead to the call's rows."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import openai
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from local.places import PROJECT
from tests.unit.callrecord.recording.instrumentation.conftest import SCRIPT
from tests.unit.local.ai_control import set_script


class Receiver:
    """An OTLP/HTTP collector that keeps what it gets."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.metrics: list[Any] = []
        self.url = ""

    def take(self, path: str, body: bytes) -> None:
        """Decode a request."""
        if path == "/v1/traces":
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                self.spans += [span for scope in resource.scope_spans for span in scope.spans]
        else:
            for one in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                self.metrics += [metric for scope in one.scope_metrics for metric in scope.metrics]


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Run a receiver on loopback."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.take(self.path, body)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
async def models(scripted: openai.AsyncOpenAI) -> openai.AsyncOpenAI:
    """The models with this script in force."""
    await set_script(scripted, SCRIPT)
    return scripted


def converse(models: openai.AsyncOpenAI, directory: Path, endpoint: str | None) -> dict[str, Any]:
    """Hold a conversation in a process of its own; return what it told."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    if endpoint is not None:
        # What an exporter waits for a collector: longer than anything here may take.
        env |= {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_TIMEOUT": "300"}
    module = "tests.unit.callrecord.recording.traced"
    done = subprocess.run(
        [sys.executable, "-m", module, str(directory), str(models.base_url), models.api_key],
        check=False,
        capture_output=True,
        text=True,
        env=env | {"NO_PROXY": "127.0.0.1"},
        cwd=PROJECT,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def attributes(item: Any) -> dict[str, Any]:
    """Return a span's or a point's attributes."""
    return {
        each.key: getattr(each.value, each.value.WhichOneof("value") or "string_value")
        for each in item.attributes
    }


@pytest.fixture(scope="module")
def exported(
    models: openai.AsyncOpenAI, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Receiver, dict[str, Any]]:
    """A conversation with a collector: what that got, and the rows."""
    with receiving() as receiver:
        told = converse(models, tmp_path_factory.mktemp("exported"), receiver.url)
    return receiver, told


def test_a_trace_finds_its_rows(exported: tuple[Receiver, dict[str, Any]]) -> None:
    receiver, told = exported
    assert len(told["messages"]) == 6  # two questions and answers, a function, one that was cut
    spans = [(span.name, attributes(span)) for span in receiver.spans]
    assert {about["voice.call_id"] for _, about in spans} == {told["call"]}
    turns = [about for name, about in spans if name == "voice.turn"]
    assert {turn["voice.message_id"]: turn.get("voice.llm_ttft_ms") for turn in turns} == told[
        "messages"
    ]
    assert len(turns) == len(told["messages"])
    assert {name for name, _ in spans} >= {"llm_request", "agent_turn", "function_tool"}
    committed_in = {
        about["voice.message_id"]
        for name, about in spans
        if name != "voice.turn" and "voice.message_id" in about
    }
    answers = {turn["voice.message_id"] for turn in turns if turn["voice.role"] == "assistant"}
    assert answers <= committed_in <= told["messages"].keys()
    assert "Robin" not in str(spans)


def test_metrics_are_those_of_the_ledger(exported: tuple[Receiver, dict[str, Any]]) -> None:
    receiver, told = exported
    points = [
        (metric.name, attributes(point), point)
        for metric in receiver.metrics
        for point in metric.histogram.data_points
    ]
    for kind in ("input", "output"):
        found = [
            point.sum
            for name, about, point in points
            if name == "gen_ai.client.token.usage" and about["gen_ai.token.type"] == kind
        ]
        assert sum(found) == sum(told[kind]) > 0  # LiveKit's own are not there a second time
    durations = [
        (about["gen_ai.request.model"], point.count)
        for name, about, point in points
        if name == "gen_ai.client.operation.duration"
    ]
    assert durations == [("gpt-4o", len(told["input"]))]
    assert "gen_ai.client.operation.time_to_first_chunk" in {name for name, _, _ in points}


def test_a_collector_that_hangs_holds_nothing_up(
    models: openai.AsyncOpenAI, tmp_path: Path
) -> None:
    """Neither the end of the call nor that of its process."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        told = converse(models, tmp_path, f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert told["flush_s"] < 10
    assert len(told["messages"]) == 6


def test_it_is_off_by_itself(models: openai.AsyncOpenAI, tmp_path: Path) -> None:
    assert len(converse(models, tmp_path, None)["messages"]) == 6
