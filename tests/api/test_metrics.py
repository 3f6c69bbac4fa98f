"""The metrics over HTTP: who may read them, and that every name keeps what it promises."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from api.metrics import METRICS, NAMES
from app.dev.redis import EmbeddedRedis
from models.statistics import BOUNDS
from tests.api.house import House, open_house
from tests.support.databases import SQLiteDatabases

TOKEN = "a-token-for-prometheus-e"
PATH = "/metrics"
PROMISED = {
    "llm_jobs_submitted_total": ("queue", "model", "format"),
    "llm_jobs_finished_total": ("status", "model", "error_class"),
    "llm_job_attempts_total": ("model", "outcome"),
    "llm_job_duration_seconds": (),
    "llm_job_queue_wait_seconds": (),
    "llm_provider_request_duration_seconds": (),
    "llm_queue_depth": ("queue", "state"),
    "llm_queue_oldest_age_seconds": ("queue",),
    "llm_tokens_total": ("model", "direction"),
    "llm_cost_usd_total": ("model",),
    "llm_feedback_total": ("value", "template", "model"),
    "llm_dispatcher_recovered_total": ("reason",),
    "llm_worker_last_heartbeat_timestamp_seconds": ("worker",),
}


@pytest.fixture(scope="module")
def guarded(
    sqlite_databases: SQLiteDatabases,
    tmp_path_factory: pytest.TempPathFactory,
    redis_server: EmbeddedRedis,
) -> Iterator[House]:
    url = sqlite_databases.migrated(tmp_path_factory.mktemp("metrics") / "llm_jobs.db")
    with open_house(url, redis_server.url, LLM_JOBS_METRICS_TOKEN=TOKEN) as house:
        yield house


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_nobody_reads_them_without_a_key(guarded: House, shared: House) -> None:
    for house in (guarded, shared):
        assert house.get(PATH).status_code == 401
        assert house.get(PATH, headers=bearer("a-token-for-prometheus")).status_code == 401
        assert house.get(PATH, headers=bearer("")).status_code == 401


def test_the_token_of_the_settings_reads_them_and_opens_nothing_else(guarded: House) -> None:
    mine = bearer(TOKEN)
    assert guarded.get(PATH, headers=mine).status_code == 200
    assert guarded.get("/api/v1/queues", headers=mine).status_code == 401
    assert guarded.get(f"{PATH}?token={TOKEN}").status_code == 401


def test_a_key_needs_the_scope_for_operations(shared: House) -> None:
    assert shared.get(PATH, as_=shared.ada).status_code == 200
    assert shared.get(PATH, as_=shared.key_for(shared.ada, ["ops:read"])).status_code == 200
    assert shared.get(PATH, as_=shared.key_for(shared.ada, ["jobs:read"])).status_code == 403
    assert shared.get(PATH, as_=shared.alice).status_code == 403


def test_every_name_is_there_with_its_type_and_help_also_before_the_first_job(house: House) -> None:
    answer = house.get(PATH, as_=house.ada)
    assert answer.content_type == "text/plain; version=0.0.4; charset=utf-8"
    families = list(text_string_to_metric_families(answer.text))
    assert [name_of(f.name, f.type) for f in families] == list(NAMES)
    for family in families:
        told = METRICS[name_of(family.name, family.type)]
        assert (family.type, family.documentation) == (told.type, told.help)


def name_of(name: str, kind: str) -> str:
    return f"{name}_total" if kind == "counter" else name


def test_the_promised_names_have_the_promised_labels() -> None:
    assert {name: METRICS[name].labels for name in PROMISED} == PROMISED


def test_names_keep_prometheus_rules() -> None:
    """What `promtool check metrics` asks for: base units, `_total` for counters and only for them,
    a help text, no type in the name, no label that names a person or an output."""
    for name, told in METRICS.items():
        assert re.fullmatch(r"llm_[a-z]+(_[a-z]+)*", name)
        assert name.endswith("_total") == (told.type == "counter")
        assert not re.search(r"_(ms|milliseconds|minutes|hours|percent|counter|gauge)(_|$)", name)
        assert not re.search(r"_(count|sum|bucket|info)$", name)
        assert len(told.help) > 10
        assert not {"le", "user", "user_id", "output_id", "job_id", "id"} & set(told.labels)
        assert told.type != "histogram" or name.endswith("_seconds")


def test_buckets_reach_five_minutes() -> None:
    assert list(BOUNDS) == sorted(set(BOUNDS))
    assert BOUNDS[-1] == 300
