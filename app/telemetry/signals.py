"""Which signals the environment asks for, by the variables every OpenTelemetry program reads.

Source: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables. All other
`OTEL_*` variables (headers, sampler, batch sizes, resource attributes, …) are the SDK's to read.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Signal(StrEnum):
    """A kind of telemetry."""

    TRACES = "traces"
    METRICS = "metrics"
    LOGS = "logs"


def asked_for(environment: Mapping[str, str]) -> frozenset[Signal]:
    """The signals that have an endpoint, unless they or the whole SDK are switched off.

    An empty variable counts as unset.
    """
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return frozenset()
    return frozenset(s for s in Signal if _has_endpoint(s, environment) and _sent(s, environment))


def _has_endpoint(signal: Signal, environment: Mapping[str, str]) -> bool:
    names = ("OTEL_EXPORTER_OTLP_ENDPOINT", f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT")
    return any(environment.get(name) for name in names)


def _sent(signal: Signal, environment: Mapping[str, str]) -> bool:
    exporters = environment.get(f"OTEL_{signal.upper()}_EXPORTER") or "otlp"
    return "otlp" in exporters.replace(" ", "").split(",")
