"""Prometheus metrics, read from rows at each scrape: any web process gives the same numbers, and a
restart loses none. Names are a promise: dashboards and alerts are checked against `METRICS`.

What is counted, and when, is `app.statistics`'. No label ever holds an id of a user or an output.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from flask import Response
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from api.auth import MONITORING
from api.routing import Answer, Call, Routes
from api.schemas.common import Empty
from app.liveness import Liveness
from app.operations import WorkerPicture
from app.statistics import lag_seconds
from app.statistics.gauges import Gauges, gauges
from app.statistics.totals import Histogram, Totals, totals
from models.statistics import BOUNDS

routes = Routes(tag="operations")


@dataclass(frozen=True, slots=True)
class Described:
    """A metric: its type, its labels, and what it says."""

    type: str
    labels: tuple[str, ...]
    help: str


METRICS: Mapping[str, Described] = {
    "llm_jobs_submitted_total": Described(
        "counter", ("queue", "model", "format"), "Jobs accepted."
    ),
    "llm_jobs_finished_total": Described(
        "counter",
        ("status", "model", "error_class"),
        "Jobs that ended: completed, failed or cancelled, and the error code of the latter two.",
    ),
    "llm_job_attempts_total": Described(
        "counter", ("model", "outcome"), "Calls to providers that are over, by how they ended."
    ),
    "llm_job_duration_seconds": Described(
        "histogram", (), "From a job's acceptance to its end, waiting and retries included."
    ),
    "llm_job_queue_wait_seconds": Described(
        "histogram", (), "From a job's acceptance to its first claim, of jobs that ended."
    ),
    "llm_provider_request_duration_seconds": Described(
        "histogram", (), "How long calls to providers took."
    ),
    "llm_tokens_total": Described(
        "counter", ("model", "direction"), "Tokens used, input or output."
    ),
    "llm_cached_input_tokens_total": Described(
        "counter", ("model",), "The part of the input tokens that providers had cached."
    ),
    "llm_cost_usd_total": Described(
        "counter", ("model",), "US dollars for calls whose price is known."
    ),
    "llm_feedback_total": Described(
        "counter",
        ("value", "template", "model"),
        "Verdicts given; none is one taken back. The template is a saved prompt's name, or raw.",
    ),
    "llm_dispatcher_recovered_total": Described(
        "counter",
        ("reason",),
        "Rows that dispatchers set going again (lost_message, dead_worker) or ended (poisoned,"
        " expired).",
    ),
    "llm_queue_depth": Described(
        "gauge",
        ("queue", "state"),
        "Jobs that are ready, scheduled for later (up to 10000 are counted), or processing.",
    ),
    "llm_queue_oldest_age_seconds": Described(
        "gauge", ("queue",), "How long the longest waiting due job has been due; 0 without one."
    ),
    "llm_queue_paused": Described("gauge", ("queue",), "1 while a queue is held back."),
    "llm_pauses": Described(
        "gauge", ("kind",), "Pauses in force, of queues, models and providers' buckets."
    ),
    "llm_workers": Described("gauge", ("state",), "Workers that are alive, late or dead."),
    "llm_worker_last_heartbeat_timestamp_seconds": Described(
        "gauge", ("worker",), "When a worker last reported, in Unix time."
    ),
    "llm_worker_in_flight": Described("gauge", ("worker",), "Jobs a worker has under way."),
    "llm_worker_concurrency": Described(
        "gauge", ("worker",), "Jobs a worker can have under way at once."
    ),
    "llm_worker_dispatcher_stalled": Described(
        "gauge", ("worker",), "1 while a worker's dispatcher is more than two ticks late."
    ),
    "llm_statistics_lag_seconds": Described(
        "gauge", (), "How long the oldest event has waited to be counted in the above; 0 without."
    ),
}
"""Every metric, in the order of the answer. Histograms have the buckets of `BOUNDS`."""

NAMES = tuple(METRICS)


@routes.get(
    "/metrics",
    access=MONITORING,
    answers={
        200: Answer(description="Metrics in the Prometheus text format.", media_type="text/plain"),
    },
)
def read_metrics(call: Call[Empty, Empty]) -> Response:
    """Read the metrics, for Prometheus.

    Also opened by the token in `LLM_JOBS_METRICS_TOKEN`, as `Authorization: Bearer`. Counters are
    some seconds behind, as they are read from statistics.
    """
    with call.runtime.database.read() as session:
        counted = totals(session)
        state = gauges(session, call.runtime.settings, unfinished=counted.unfinished)
        reading = _Reading(counted, state, lag_seconds(session))
    return Response(generate_latest(reading), content_type=CONTENT_TYPE_PLAIN_0_0_4)


@dataclass(frozen=True, slots=True)
class _Reading(Collector):
    """What was read from the rows, as the client library takes it."""

    totals: Totals
    gauges: Gauges
    lag_seconds: float

    def collect(self) -> Iterator[Metric]:
        yield from _counters(self.totals)
        yield from _queues(self.gauges)
        yield from _workers(self.gauges)
        yield _gauge("llm_statistics_lag_seconds", {(): self.lag_seconds})


def _counters(of: Totals) -> Iterator[Metric]:
    yield _counter("llm_jobs_submitted_total", of.submitted)
    yield _counter("llm_jobs_finished_total", of.finished)
    yield _counter("llm_job_attempts_total", of.attempts)
    yield _histogram("llm_job_duration_seconds", of.durations)
    yield _histogram("llm_job_queue_wait_seconds", of.waits)
    yield _histogram("llm_provider_request_duration_seconds", of.calls)
    yield _counter("llm_tokens_total", of.tokens)
    yield _counter("llm_cached_input_tokens_total", of.cached)
    yield _counter("llm_cost_usd_total", {(model,): usd for model, usd in of.cost.items()})
    yield _counter("llm_feedback_total", of.feedback)
    yield _counter(
        "llm_dispatcher_recovered_total", {(reason,): n for reason, n in of.recovered.items()}
    )


def _queues(of: Gauges) -> Iterator[Metric]:
    yield _gauge("llm_queue_depth", of.depth)
    yield _gauge("llm_queue_oldest_age_seconds", _by_one(of.oldest_age_seconds))
    yield _gauge("llm_queue_paused", _by_one(of.paused_queues))
    yield _gauge("llm_pauses", _by_one(of.paused))


def _workers(of: Gauges) -> Iterator[Metric]:
    states = [worker.liveness for worker in of.workers]
    yield _gauge("llm_workers", {(state,): states.count(state) for state in Liveness})
    facts: dict[str, Callable[[WorkerPicture], float]] = {
        "llm_worker_last_heartbeat_timestamp_seconds": lambda w: w.seen_at.timestamp(),
        "llm_worker_in_flight": lambda w: w.in_flight,
        "llm_worker_concurrency": lambda w: w.concurrency,
        "llm_worker_dispatcher_stalled": lambda w: w.dispatcher_stalled,
    }
    for name, fact in facts.items():
        yield _gauge(name, {(worker.name,): fact(worker) for worker in of.workers})


def _by_one(values: Mapping[Any, float]) -> dict[tuple[str, ...], float]:
    return {(name,): value for name, value in values.items()}


def _counter(name: str, values: Mapping[tuple[str, ...], float | Decimal]) -> Metric:
    told = METRICS[name]
    return _filled(CounterMetricFamily(name, told.help, labels=told.labels), values)


def _gauge(name: str, values: Mapping[Any, float]) -> Metric:
    told = METRICS[name]
    return _filled(GaugeMetricFamily(name, told.help, labels=told.labels), values)


def _filled(
    family: CounterMetricFamily | GaugeMetricFamily,
    values: Mapping[tuple[str, ...], float | Decimal],
) -> Metric:
    for labels, value in sorted(values.items()):
        family.add_metric(labels, float(value))
    return family


def _histogram(name: str, of: Histogram) -> Metric:
    return HistogramMetricFamily(
        name, METRICS[name].help, buckets=list(_buckets(of.counts)), sum_value=of.seconds
    )


def _buckets(counts: Sequence[int]) -> Iterable[tuple[str, float]]:
    """Each bucket holds those below it, too."""
    so_far = 0
    for bound, count in zip([*BOUNDS, float("inf")], counts, strict=True):
        so_far += count
        yield floatToGoString(bound), so_far  # type: ignore[no-untyped-call]
