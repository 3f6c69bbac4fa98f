"""A collector that is away or mute costs log lines: never a job its time, never a stop its end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.dev.ports import LOOPBACK, free_port
from tests.integration.telemetry.collector import mute_collector, running_collector
from tests.integration.telemetry.conftest import AT_ONCE, Traced, otel_environment
from tests.support.databases import SQLiteDatabases
from tests.support.platform import Part, Platform, running_platform

JOBS = 100
STOP_SECONDS = 12
"""What a stop may take on a busy machine; OpenTelemetry by itself would wait for 30."""


@pytest.fixture(params=["mute", "absent"])
def endpoint(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a collector nobody gets an answer from."""
    if request.param == "absent":
        yield f"http://{LOOPBACK}:{free_port()}"
        return
    with mute_collector() as url:
        yield url


def _stop(part: Part) -> float:
    started = time.monotonic()
    part.stop()
    return time.monotonic() - started


def _lines(platform: Platform) -> str:
    assert platform.web
    return platform.web.output + "".join(worker.output for worker in platform.workers)


def test_jobs_run_and_processes_stop_as_if_nothing_was_asked(
    endpoint: str, tmp_path: Path, sqlite_url: str
) -> None:
    queue = {"OTEL_BSP_MAX_QUEUE_SIZE": "40", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "20"}
    with (
        otel_environment({"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, **AT_ONCE, **queue}),
        running_platform(tmp_path, database_url=sqlite_url, web=True) as platform,
    ):
        assert platform.web
        begun = time.monotonic()
        job = Traced(platform, None).job(model="simulator/echo")  # type: ignore[arg-type]
        assert time.monotonic() - begun < 5
        platform.submit_many(JOBS)
        platform.wait_all_ended()
        assert platform.row(job).status == "completed"
        assert platform.count("completed") == JOBS + 2
        assert _stop(platform.workers[0]) < STOP_SECONDS
        assert _stop(platform.web) < STOP_SECONDS
        assert '"message": "services_hang"' not in _lines(platform)
        assert '"message": "telemetry not sent"' in _lines(platform) or "absent" in endpoint


def test_a_stop_sends_what_is_left(tmp_path: Path, sqlite_databases: SQLiteDatabases) -> None:
    """Nothing is sent by itself within an hour: all that arrives came with the stop."""
    url = sqlite_databases.migrated(tmp_path / "llm_jobs.db")
    late = dict.fromkeys(AT_ONCE, "3600000")
    with (
        running_collector() as collector,
        otel_environment({"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, **late}),
        running_platform(tmp_path, database_url=url, web=True) as platform,
    ):
        assert platform.web
        traced = Traced(platform, collector)
        job = traced.job(model="simulator/echo")
        traced.post(f"/api/v1/llm_outputs/{job}/feedback", {"feedback_type": "thumbs_up"})
        assert collector.raw == b""
        platform.workers[0].stop()
        platform.web.stop()
        about = {"llm_jobs_output_id": job}
        assert [span.name for span in collector.spans("run job", **about)] == ["run job"]
        assert collector.points("gen_ai.client.operation.duration")
        assert collector.spans("create job", **about)
        assert collector.events("gen_ai.evaluation.result", **about)
