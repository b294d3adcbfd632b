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

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from local.places import PROJECT


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


def converse(directory: Path, endpoint: str | None) -> dict[str, Any]:
    """Hold a conversation in a process of its own; return what it told."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    if endpoint is not None:
        env["OTEL_EXPORTER_OTLP_ENDPOINT"] = endpoint
    done = subprocess.run(
        [sys.executable, "-m", "tests.callrecord.recording.traced", str(directory)],
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


def test_a_trace_finds_its_rows(tmp_path: Path) -> None:
    with receiving() as receiver:
        told = converse(tmp_path, receiver.url)
    assert len(told["messages"]) == 2
    spans = [(span.name, attributes(span)) for span in receiver.spans]
    assert {about["voice.call_id"] for _, about in spans} == {told["call"]}
    turns = [about["voice.message_id"] for name, about in spans if name == "voice.turn"]
    assert turns == told["messages"]
    assert {name for name, _ in spans} >= {"voice.turn", "llm_request", "agent_turn"}
    framework = [about for name, about in spans if name != "voice.turn"]
    assert any(about.get("voice.message_id") == turns[1] for about in framework)
    assert "Robin" not in str(spans)

    points = {
        (metric.name, attributes(point).get("gen_ai.token.type")): point
        for metric in receiver.metrics
        for point in metric.histogram.data_points
        if metric.name.startswith("gen_ai.client")
    }
    assert points["gen_ai.client.token.usage", "input"].sum == 7
    assert points["gen_ai.client.token.usage", "output"].sum == 3
    assert points["gen_ai.client.operation.duration", None].count == 1
    about = attributes(points["gen_ai.client.token.usage", "input"])
    assert about["gen_ai.request.model"] == "scripted-llm"


def test_a_collector_that_hangs_holds_nothing_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        told = converse(tmp_path, f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert told["flush_s"] < 3
    assert len(told["messages"]) == 2


def test_it_is_off_by_itself(tmp_path: Path) -> None:
    assert len(converse(tmp_path, None)["messages"]) == 2
