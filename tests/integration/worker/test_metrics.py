"""What the metrics say after real jobs is what the rows say: each number, on both databases."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import select

from api.app import create_app
from app import accounts, feedback, jobs
from models import Attempt, LLMOutput, Role, WorkerHeartbeat
from models.statistics import BOUNDS
from tests.support.platform import Platform
from tests.support.waiting import eventually

Samples = dict[tuple[str, tuple[str, ...]], float]


class Prometheus:
    """Scrapes a web application on the platform's database, with an operator's key."""

    def __init__(self, platform: Platform) -> None:
        self._client = create_app(platform.runtime).test_client()
        with platform.runtime.database.write() as session:
            number = len(session.scalars(select(LLMOutput.id)).all())
            email = f"prometheus-{number}-{id(self)}@example.org"
            user = accounts.create_user(session, email=email, role=Role.ADMIN)
            self._key = accounts.create_key(session, user.id, scopes=["ops:read"]).text

    def scrape(self) -> Samples:
        """Every sample, by its name and the values of its labels in alphabetical order."""
        answer = self._client.get("/metrics", headers={"Authorization": f"Bearer {self._key}"})
        assert answer.status_code == 200, answer.text
        return {
            (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(answer.text)
            for sample in family.samples
        }

    def settled(self) -> Samples:
        """The samples once everything that happened is counted."""
        eventually(lambda: self.scrape()["llm_statistics_lag_seconds", ()] == 0, timeout=30)
        return self.scrape()


def live(platform: Platform) -> None:
    """Jobs that complete, fail, are tried again and are cancelled; some get a vote."""
    done = [
        *platform.submit_many(3),
        platform.submit(queue="high", format="json", model="simulator/json"),
        platform.submit(model="simulator/fail-2"),
        platform.submit(model="simulator/400"),
        platform.submit(model="simulator/500"),
    ]
    slow = platform.submit(model="simulator/latency-30", queue="low")
    platform.wait_call(slow)
    jobs.cancel(platform.runtime, platform.caller, slow.job_id)
    platform.wait_ended(*done, slow)
    for job, verdict in zip(done, ["thumbs_up", "thumbs_down", "thumbs_up"], strict=False):
        with platform.runtime.database.write() as session:
            feedback.give(session, platform.caller, job.output_id, feedback_type=verdict)
    platform.wait_all_ended()


def rows_of(platform: Platform) -> tuple[list[Any], list[Any]]:
    with platform.runtime.database.read() as session:
        outputs = list(session.scalars(select(LLMOutput)))
        calls = select(Attempt, LLMOutput.model_name).join(
            LLMOutput, LLMOutput.id == Attempt.output_id
        )
        return outputs, list(session.execute(calls.where(Attempt.finished_at.is_not(None))))


def seconds(earlier: datetime | None, later: datetime | None) -> float:
    assert earlier
    assert later
    return (later - earlier).total_seconds()


def of(samples: Samples, name: str) -> dict[tuple[str, ...], float]:
    return {labels: value for (of_name, labels), value in samples.items() if of_name == name}


def test_each_number_is_what_the_rows_say(any_platform: Platform) -> None:
    prometheus = Prometheus(any_platform)
    before = of(prometheus.scrape(), "llm_feedback_total")
    live(any_platform)
    samples = prometheus.settled()
    outputs, calls = rows_of(any_platform)

    assert of(samples, "llm_jobs_submitted_total") == Counter(
        (row.format, row.model_name, row.queue) for row in outputs
    )
    assert of(samples, "llm_jobs_finished_total") == Counter(
        (row.error_code or "", row.model_name, row.status) for row in outputs
    )
    assert of(samples, "llm_job_attempts_total") == Counter(
        (model, call.outcome) for call, model in calls
    )
    tokens: Counter[tuple[str, ...]] = Counter()
    cost: Counter[tuple[str, ...]] = Counter()
    for row in outputs:
        tokens["input", row.model_name] += row.input_tokens or 0
        tokens["output", row.model_name] += row.output_tokens or 0
        cost[(row.model_name,)] += float(row.cost or 0)  # type: ignore[assignment]
    assert +Counter(of(samples, "llm_tokens_total")) == +tokens
    # A model nobody has called stands among the rows with 0, and not among the sums.
    assert +Counter(of(samples, "llm_cost_usd_total")) == pytest.approx(dict(+cost))
    given = Counter(of(samples, "llm_feedback_total"))
    given.subtract(before)
    assert +given == {
        ("simulator/echo", "raw", "thumbs_up"): 2,
        ("simulator/echo", "raw", "thumbs_down"): 1,
    }


def test_histograms_hold_every_duration_in_its_bucket(any_platform: Platform) -> None:
    prometheus = Prometheus(any_platform)
    live(any_platform)
    samples = prometheus.settled()
    outputs, calls = rows_of(any_platform)
    told = {
        "llm_job_duration_seconds": [seconds(r.created_at, r.finished_at) for r in outputs],
        "llm_job_queue_wait_seconds": [
            seconds(r.created_at, r.started_at) for r in outputs if r.started_at
        ],
        "llm_provider_request_duration_seconds": [
            call.duration_seconds for call, _ in calls if call.duration_seconds is not None
        ],
    }
    for name, durations in told.items():
        assert samples[f"{name}_count", ()] == len(durations) > 0
        assert samples[f"{name}_sum", ()] == pytest.approx(sum(durations), abs=0.01)
        buckets = of(samples, f"{name}_bucket")
        assert len(buckets) == len(BOUNDS) + 1
        for (bound,), count in buckets.items():
            assert count == sum(taken <= float(bound) for taken in durations), (name, bound)


def test_gauges_show_what_waits_and_who_works(any_platform: Platform) -> None:
    prometheus = Prometheus(any_platform)
    running = any_platform.submit(model="simulator/latency-30")
    later = any_platform.insert(queue="low", run_at=datetime.fromisoformat("2999-01-01T00:00Z"))
    try:
        any_platform.wait_call(running)
        samples = prometheus.scrape()
        assert samples["llm_queue_depth", ("default", "processing")] == 1
        assert samples["llm_queue_depth", ("low", "scheduled")] == 1
        assert samples["llm_queue_depth", ("low", "ready")] == 0
        assert samples["llm_queue_oldest_age_seconds", ("low",)] == 0
        assert samples["llm_queue_paused", ("low",)] == 0
        assert samples["llm_workers", ("alive",)] == 1
        with any_platform.runtime.database.read() as session:
            (worker,) = session.scalars(select(WorkerHeartbeat))
        beat = samples["llm_worker_last_heartbeat_timestamp_seconds", (worker.name,)]
        assert beat <= worker.seen_at.timestamp() + 0.001
        assert samples["llm_worker_concurrency", (worker.name,)] == worker.concurrency
    finally:
        for job_id in (running.job_id, any_platform.row(later).job_id):
            jobs.cancel(any_platform.runtime, any_platform.caller, job_id)
        any_platform.wait_all_ended()
