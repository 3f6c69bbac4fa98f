"""How telemetry leaves the process: OTLP over HTTP, in batches, from threads of its own.

What waits to be sent is bounded and the oldest is dropped, so a collector that is away or mute
costs some memory and some log lines, and never a job its time. Nothing is registered globally or
at the interpreter's exit, where OpenTelemetry would wait up to half a minute: `close` is bounded.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from importlib.metadata import version

from opentelemetry._logs import Logger, NoOpLogger
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import Meter, NoOpMeter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import NoOpTracer, Tracer

from app.telemetry.signals import Signal

SCOPE = "llm_jobs"
"""The name under which all of ours is sent."""


@dataclass(frozen=True, slots=True)
class Exporting:
    """The three ways out. A signal nobody asked for has one that leads nowhere."""

    tracer: Tracer
    meter: Meter
    events: Logger
    closing: tuple[Callable[[], object], ...] = ()

    def close(self, timeout_seconds: float) -> bool:
        """Send what waits, for so long at the most; whether that was enough.

        Each signal in a thread of its own, which is left behind when its collector is mute.
        """
        deadline = time.monotonic() + timeout_seconds
        threads = [threading.Thread(target=close, daemon=True) for close in self.closing]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in threads)


def open_exporting(service: str, signals: Collection[Signal]) -> Exporting:
    """The ways out for these signals, as the `OTEL_*` variables say."""
    resource = _resource(service)
    tracer: Tracer = NoOpTracer()
    meter: Meter = NoOpMeter(SCOPE)
    events: Logger = NoOpLogger(SCOPE)
    closing: list[Callable[[], object]] = []
    if Signal.TRACES in signals:
        tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
        tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        tracer = tracers.get_tracer(SCOPE, version("llm-jobs"))
        closing.append(tracers.shutdown)
    if Signal.METRICS in signals:
        reader = PeriodicExportingMetricReader(OTLPMetricExporter())
        meters = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
        meter = meters.get_meter(SCOPE, version("llm-jobs"))
        closing.append(meters.shutdown)
    if Signal.LOGS in signals:
        loggers = LoggerProvider(resource=resource, shutdown_on_exit=False)
        loggers.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
        events = loggers.get_logger(SCOPE, version("llm-jobs"))
        closing.append(loggers.shutdown)
    return Exporting(tracer, meter, events, tuple(closing))


def _resource(service: str) -> Resource:
    """Who we are: by our own account only where the environment says nothing."""
    named = OTELResourceDetector().detect().attributes.get(SERVICE_NAME)
    return Resource.create({SERVICE_NAME: named or service, "service.version": version("llm-jobs")})
