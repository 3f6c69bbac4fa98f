"""A stand-in for an OpenTelemetry collector: takes OTLP over HTTP, keeps it, shows it decoded."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from app.dev.ports import LOOPBACK
from tests.support.waiting import eventually

_MESSAGES = {
    "/v1/traces": ExportTraceServiceRequest,
    "/v1/metrics": ExportMetricsServiceRequest,
    "/v1/logs": ExportLogsServiceRequest,
}


@dataclass(frozen=True)
class Span:
    """One span, its ids as hex digits; `kind` and `status` as OTLP numbers them."""

    name: str
    kind: int
    status: int
    trace_id: str
    span_id: str
    parent_id: str
    seconds: float
    attributes: dict[str, Any]
    service: str
    events: int
    said: str
    """The status's description."""


@dataclass(frozen=True)
class Point:
    """One data point of a histogram."""

    name: str
    unit: str
    count: int
    total: float
    bounds: tuple[float, ...]
    attributes: dict[str, Any]
    service: str


@dataclass(frozen=True)
class Event:
    """One log record that is an event."""

    name: str
    trace_id: str
    span_id: str
    attributes: dict[str, Any]
    service: str


class Collector:
    """What has arrived so far."""

    def __init__(self) -> None:
        self._server = ThreadingHTTPServer((LOOPBACK, 0), _handler(self))
        self._server.daemon_threads = True
        self._received: list[tuple[str, bytes, int]] = []
        self.headers: list[dict[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self._server.server_port}"

    def spans(self, name: str = "", **attributes: Any) -> list[Span]:
        """The spans whose names begin so and that have these attributes (`_` for `.`)."""
        found = [span for one in self._decoded("/v1/traces") for span in _spans(one)]
        return [s for s in found if s.name.startswith(name) and _has(s.attributes, attributes)]

    def points(self, name: str, **attributes: Any) -> list[Point]:
        """The newest data points of a metric, one for each set of attributes and service."""
        found = [point for one in self._decoded("/v1/metrics") for point in _points(one)]
        newest = {(p.service, str(p.attributes)): p for p in found if p.name == name}
        return [p for p in newest.values() if _has(p.attributes, attributes)]

    def events(self, name: str = "", **attributes: Any) -> list[Event]:
        found = [event for one in self._decoded("/v1/logs") for event in _events(one)]
        return [e for e in found if e.name.startswith(name) and _has(e.attributes, attributes)]

    def wait(self, ask: Callable[[], Any], *, timeout: float = 15) -> Any:
        """What `ask` answers once that is true."""
        return eventually(
            ask, timeout=timeout, message=lambda: [(s.name, s.attributes) for s in self.spans()]
        )

    @property
    def raw(self) -> bytes:
        """Every byte received, of every kind."""
        return b"".join(body for _, body, _ in self._received)

    def received_after(self, moment: int, path: str) -> bool:
        """Whether anything came to `path` since then (`time.monotonic_ns`)."""
        return any(to == path and at > moment for to, _, at in list(self._received))

    def take(self, path: str, body: bytes, headers: dict[str, str]) -> None:
        self._received.append((path, body, time.monotonic_ns()))
        self.headers.append(headers)

    def _decoded(self, path: str) -> Iterable[Any]:
        for to, body, _ in list(self._received):
            if to == path:
                message = _MESSAGES[path]()
                message.ParseFromString(body)
                yield message

    @contextmanager
    def serving(self) -> Iterator[Collector]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()


@contextmanager
def running_collector() -> Iterator[Collector]:
    """A collector on a free port, until the block ends."""
    with Collector().serving() as collector:
        yield collector


@contextmanager
def mute_collector() -> Iterator[str]:
    """The URL of one that takes connections and never says a word."""
    with socket.create_server((LOOPBACK, 0), backlog=64) as listener:
        yield f"http://{LOOPBACK}:{listener.getsockname()[1]}"


def _handler(collector: Collector) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            collector.take(self.path, body, dict(self.headers))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    return Handler


def _has(attributes: dict[str, Any], wanted: dict[str, Any]) -> bool:
    plain = {name.replace(".", "_"): value for name, value in attributes.items()}
    return wanted.items() <= plain.items()


def _spans(request: Any) -> Iterator[Span]:
    for group in request.resource_spans:
        service = _attributes(group.resource.attributes)["service.name"]
        for span in (span for scope in group.scope_spans for span in scope.spans):
            yield Span(
                span.name,
                span.kind,
                span.status.code,
                span.trace_id.hex(),
                span.span_id.hex(),
                span.parent_span_id.hex(),
                (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
                _attributes(span.attributes),
                service,
                len(span.events),
                span.status.message,
            )


def _points(request: Any) -> Iterator[Point]:
    for group in request.resource_metrics:
        service = _attributes(group.resource.attributes)["service.name"]
        for metric in (metric for scope in group.scope_metrics for metric in scope.metrics):
            for point in metric.histogram.data_points:
                yield Point(
                    metric.name,
                    metric.unit,
                    point.count,
                    point.sum,
                    tuple(point.explicit_bounds),
                    _attributes(point.attributes),
                    service,
                )


def _events(request: Any) -> Iterator[Event]:
    for group in request.resource_logs:
        service = _attributes(group.resource.attributes)["service.name"]
        for record in (record for scope in group.scope_logs for record in scope.log_records):
            yield Event(
                record.event_name,
                record.trace_id.hex(),
                record.span_id.hex(),
                _attributes(record.attributes),
                service,
            )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(one) for one in value.array_value.values]
    return getattr(value, kind) if kind else None
