"""A platform that is traced, and the collector its telemetry goes to."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from tests.integration.telemetry.collector import Collector, running_collector
from tests.support.databases import SQLiteDatabases
from tests.support.platform import Platform, running_platform

AT_ONCE = {
    "OTEL_BSP_SCHEDULE_DELAY": "30",
    "OTEL_BLRP_SCHEDULE_DELAY": "30",
    "OTEL_METRIC_EXPORT_INTERVAL": "200",
}
"""Milliseconds between two sendings."""


@dataclass
class Traced:
    """A platform and what its collector has."""

    platform: Platform
    collector: Collector

    def post(self, path: str, body: Any, **headers: str) -> Any:
        """What the web server answers to a caller who sends these headers."""
        answer = httpx2.post(
            f"{self.platform.web_url}{path}",
            json=body,
            headers={"Authorization": f"Bearer {self.platform.key}", **headers},
            timeout=30,
        )
        assert answer.is_success, answer.text
        return answer.json()

    def job(self, *, traceparent: str = "", **wanted: Any) -> int:
        """The output id of a job that has ended."""
        headers = {"traceparent": traceparent} if traceparent else {}
        output_id = int(self.post("/api/v1/llm_jobs", _body(wanted), **headers)["output_id"])
        self.platform.wait_ended(output_id)
        return output_id

    def begun(self, **wanted: Any) -> int:
        """The output id of a job whose first call is under way."""
        accepted = self.post("/api/v1/llm_jobs", _body(wanted))
        job_id = accepted["job_id"]
        self.platform.simulator.wait_for(lambda seen: bool(seen.calls(job_id)), 15)
        return int(accepted["output_id"])


def _body(wanted: Mapping[str, Any]) -> dict[str, Any]:
    return {"template": "Say {{word}}", "context": {"word": "yes"}, **wanted}


@contextmanager
def otel_environment(variables: Mapping[str, str]) -> Iterator[None]:
    """These variables, and no others of telemetry, in the environment of whatever is started in the
    block.
    """
    with pytest.MonkeyPatch.context() as machine:
        for name in [n for n in os.environ if n.startswith("OTEL_")]:
            machine.delenv(name)
        for name, value in variables.items():
            machine.setenv(name, value)
        yield


@pytest.fixture(scope="module")  # its variables are there for tests of other files, too
def traced(
    tmp_path_factory: pytest.TempPathFactory, sqlite_databases: SQLiteDatabases
) -> Iterator[Traced]:
    """Web server and worker, both traced. Shared: each test looks at its own jobs only."""
    directory = tmp_path_factory.mktemp("traced")
    url = sqlite_databases.migrated(directory / "llm_jobs.db")
    with (
        running_collector() as collector,
        otel_environment({"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, **AT_ONCE}),
        running_platform(directory, database_url=url, web=True, vendors=True) as platform,
    ):
        yield Traced(platform, collector)
