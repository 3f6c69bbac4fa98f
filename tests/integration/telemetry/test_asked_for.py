"""Telemetry is there when it is asked for, and only then; without its packages all else works."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.telemetry.collector import running_collector
from tests.integration.telemetry.conftest import AT_ONCE, Traced, otel_environment
from tests.support.platform import running_platform

SENT = f"00-{'ab' * 16}-{'cd' * 8}-01"

LOADED = """
import sys
import api.wsgi, workers.celery
from app import telemetry
telemetry.start("llm-jobs-worker")
ours = {"app.telemetry.recording", "app.telemetry.exporting", "opentelemetry.exporter"}
print("loaded:", sorted(ours & sys.modules.keys()))
telemetry.stop(timeout_seconds=1)
"""


@pytest.mark.parametrize(
    ("variables", "loaded"),
    [
        ({}, 0),
        ({"OTEL_SERVICE_NAME": "named", "OTEL_TRACES_SAMPLER": "always_on"}, 0),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "true"},
            0,
        ),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}, 3),
    ],
)
def test_nothing_is_loaded_before_it_is_asked_for(
    variables: dict[str, str], loaded: int, sqlite_url: str
) -> None:
    """Of ours: redis-py loads the SDK's metrics of itself wherever they are installed."""
    with otel_environment({"DATABASE_URL": sqlite_url, **variables}):
        done = subprocess.run(
            [sys.executable, "-c", LOADED], capture_output=True, text=True, timeout=60
        )
    found = re.search(r"^loaded: (\[.*\])$", done.stdout, re.MULTILINE)
    assert found, done.stderr
    assert (len(json.loads(found[1].replace("'", '"'))), done.returncode) == (loaded, 0)


def test_without_its_packages_everything_else_runs(tmp_path: Path, sqlite_url: str) -> None:
    """The programs start with an import hook that hides OpenTelemetry, as if not installed."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text("import sys\nsys.modules['opentelemetry'] = None\n")
    with (
        running_collector() as collector,
        otel_environment({"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, **AT_ONCE}),
        running_platform(tmp_path, database_url=sqlite_url, web=True) as platform,
    ):
        traced = Traced(platform, collector)
        job = traced.job(model="simulator/fail-1", traceparent=SENT)
        traced.post(f"/api/v1/llm_outputs/{job}/feedback", {"feedback_type": "thumbs_up"})
        row = platform.row(job)
        assert (row.status, row.traceparent) == ("completed", SENT)
        assert platform.web
        for program in (platform.web, platform.workers[0]):
            told = [
                line
                for text in program.output.splitlines()
                if text.startswith("{") and (line := json.loads(text))
                if line["message"] == "telemetry not installed"
            ]
            assert [(line["level"], line["install"]) for line in told] == [
                ("warning", "llm-jobs[otel]")
            ]
        assert collector.raw == b""


def test_the_standard_variables_are_obeyed(tmp_path: Path, sqlite_url: str) -> None:
    variables = {
        "OTEL_SERVICE_NAME": "ours",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=blue",
        "OTEL_TRACES_SAMPLER": "parentbased_always_off",
    }
    with (
        running_collector() as collector,
        otel_environment({"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, **AT_ONCE, **variables}),
        running_platform(tmp_path, database_url=sqlite_url, web=True) as platform,
    ):
        traced = Traced(platform, collector)
        unsampled = traced.job(model="simulator/echo")
        sampled = traced.job(model="simulator/echo", traceparent=SENT)
        of = {"llm_jobs_output_id": sampled}
        collector.wait(lambda: collector.spans("run job", **of) and collector.spans("create", **of))
        assert {span.service for span in collector.spans()} == {"ours"}
        assert {headers["x-tenant"] for headers in collector.headers} == {"blue"}
        assert collector.points("gen_ai.client.operation.duration") == []
        assert collector.spans("run job", llm_jobs_output_id=unsampled) == []
        assert (platform.row(unsampled).traceparent or "")[-2:] in ("00", "02")
