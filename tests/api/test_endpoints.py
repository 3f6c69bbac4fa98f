"""`/api/v1/endpoints`: what administrators see and change, and jobs that name one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from app.dev.redis import EmbeddedRedis
from tests.api.conftest import GENEROUS
from tests.api.house import House, open_house
from tests.support.databases import SQLiteDatabases

ENDPOINTS = "/api/v1/endpoints"
ACME: dict[str, Any] = {
    "name": "acme",
    "base_url": "https://models.example.com/v1",
    "model": "qwen",
    "options": {"top_k": 20},
    "timeout_seconds": 30,
    "api_key_variable": "LLM_ENDPOINT_ACME_KEY",
}
OWN = {
    "LLM_JOBS_ENDPOINTS": {"local": {"base_url": "http://127.0.0.1:9/v1", "api_key": "canary"}},
    "LLM_SERVICE_ENDPOINT": "http://service:8000/",
    "LLM_SERVICE_API_KEY": "canary",
    "LLM_JOBS_SIMULATE_MISSING": False,
}


@pytest.fixture(scope="module")
def furnished(
    sqlite_databases: SQLiteDatabases,
    tmp_path_factory: pytest.TempPathFactory,
    redis_server: EmbeddedRedis,
) -> Iterator[House]:
    """An application whose settings name endpoints of their own."""
    url = sqlite_databases.migrated(tmp_path_factory.mktemp("furnished") / "llm_jobs.db")
    with open_house(url, redis_server.url, **GENEROUS, **OWN) as house:
        yield house


def create(house: House, **facts: Any) -> Any:
    return house.post(ENDPOINTS, as_=house.ada, json=ACME | facts)


def listed(house: House) -> dict[str, dict[str, Any]]:
    answer = house.get(ENDPOINTS, as_=house.ada)
    assert answer.status_code == 200
    return {one["name"]: one for one in answer.get_json()["data"]}


def test_an_endpoint_is_registered_shown_changed_and_removed(house: House) -> None:
    made = create(house)
    assert made.status_code == 201
    shown = made.get_json()
    assert {name: shown[name] for name in ACME} == ACME
    assert (shown["source"], shown["authentication"]) == ("stored", "bearer")
    assert shown["variables"] == {"LLM_ENDPOINT_ACME_KEY": False}
    assert listed(house) == {"acme": shown}

    path = f"{ENDPOINTS}/acme"
    changed = house.call("PATCH", path, as_=house.ada, json={"model": None, "options": None})
    assert changed.status_code == 200
    assert (changed.get_json()["model"], changed.get_json()["options"]) == (None, {})
    assert changed.get_json()["base_url"] == ACME["base_url"]

    assert house.call("DELETE", path, as_=house.ada).status_code == 204
    assert listed(house) == {}
    assert house.call("DELETE", path, as_=house.ada).status_code == 404
    events = house.get("/api/v1/audit_events", as_=house.ada).get_json()["data"]
    acts = ["endpoint.removed", "endpoint.changed", "endpoint.created"]
    assert [event["action"] for event in events if event["subject"] == "endpoint:acme"] == acts


def test_a_taken_name_is_a_conflict(house: House) -> None:
    create(house)
    answer = create(house)
    assert answer.status_code == 409
    assert answer.get_json()["error"] == "The name acme is taken"


@pytest.mark.parametrize(
    ("facts", "pointer"),
    [
        ({"name": "Acme!"}, "/name"),
        ({"name": "openai"}, "/name"),
        ({"base_url": "http://models.example.com/v1"}, "/base_url"),
        ({"base_url": "https://169.254.169.254/v1"}, "/base_url"),
        ({"base_url": "https://ann:pw@models.example.com/v1"}, "/base_url"),
        ({"api_key_variable": "DATABASE_URL"}, "/api_key_variable"),
        ({"password_variable": "LLM_ENDPOINT_P"}, "/user_variable"),
        ({"options": [1]}, "/options"),
        ({"timeout_seconds": 0}, "/timeout_seconds"),
        ({"api_key": "sk-1"}, "/api_key"),
        ({"unset": []}, "/unset"),
    ],
)
def test_what_cannot_be_is_refused_where_it_stands(
    shared: House, facts: dict[str, Any], pointer: str
) -> None:
    answer = create(shared, **facts)
    assert answer.status_code == 400
    assert answer.get_json()["errors"][0]["pointer"] == pointer
    assert listed(shared) == {}


def test_the_settings_endpoints_are_shown_and_changed_where_they_are_set(
    furnished: House,
) -> None:
    found = listed(furnished)
    assert {name: one["source"] for name, one in found.items()} == {
        "local": "settings",
        "llm-service": "service",
    }
    assert found["llm-service"]["base_url"] == "http://service:8000/v1"
    assert found["llm-service"]["variables"] == {"LLM_SERVICE_API_KEY": True}
    assert found["llm-service"]["timeout_seconds"] == 120
    assert "canary" not in furnished.get(ENDPOINTS, as_=furnished.ada).text
    for method in ("PATCH", "DELETE"):
        body = {"json": {"model": "m"}} if method == "PATCH" else {}
        answer = furnished.call(method, f"{ENDPOINTS}/local", as_=furnished.ada, **body)
        assert answer.status_code == 409
        assert "is set in LLM_JOBS_ENDPOINTS" in answer.get_json()["error"]
    assert create(furnished, name="local").status_code == 409


def test_a_job_may_ask_for_a_registered_endpoint_at_once(furnished: House) -> None:
    ask = {"template": "Hello", "model": "fresh/qwen", "context": {}}
    refused = furnished.post("/api/v1/llm_jobs", as_=furnished.alice, json=ask)
    assert refused.get_json()["error"] == "Unsupported model: fresh/qwen"
    assert create(furnished, name="fresh", api_key_variable=None).status_code == 201
    accepted = furnished.post("/api/v1/llm_jobs", as_=furnished.alice, json=ask)
    assert accepted.status_code == 201
    models = furnished.get("/api/v1/models", as_=furnished.alice).get_json()["data"]
    assert {"fresh/qwen", "fresh/*"} <= {model["name"] for model in models}


def test_a_job_for_an_endpoint_without_its_key_is_told_what_to_set(furnished: House) -> None:
    create(furnished, name="keyless", api_key_variable="LLM_ENDPOINT_KEYLESS")
    ask = {"template": "Hello", "model": "keyless/qwen", "context": {}}
    refused = furnished.post("/api/v1/llm_jobs", as_=furnished.alice, json=ask)
    assert refused.status_code == 400
    assert refused.get_json()["error"] == (
        "Unsupported model: keyless/qwen (set LLM_ENDPOINT_KEYLESS)"
    )
