"""Models, prices, queues, health and rates over HTTP."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import pytest
from sqlalchemy import insert

from models import WorkerHeartbeat
from models.types import now, now_plus
from tests.api.house import JOBS, SEED, House, open_house
from tests.support.waiting import eventually

PRICES, QUEUES = "/api/v1/prices", "/api/v1/queues"
ECHO = {"model": "simulator/echo"}


def work(house: House, name: str, *, seen_seconds_ago: float = 0) -> None:
    """A worker's last report."""
    with house.database.write() as session:
        session.execute(
            insert(WorkerHeartbeat).values(
                name=name,
                host="h",
                pid=1,
                concurrency=10,
                started_at=now(),
                seen_at=now_plus(-seen_seconds_ago),
            )
        )


def messages(house: House, queue: str) -> int:
    """How many messages the broker is said to hold."""
    told = house.get(QUEUES, as_=house.ada).get_json()["queues"]
    return int(next(q["messages"] for q in told if q["name"] == queue))


def test_models_show_their_price_of_today(house: House) -> None:
    price = {
        "provider": "openai",
        "model": "gpt-4.1",
        "input_per_million": 2.5,
        "output_per_million": 10,
        "cached_input_per_million": 0.25,
    }
    made = house.post(PRICES, as_=house.ada, json=price)
    assert made.status_code == 201
    later = {**price, "input_per_million": 99, "valid_from": "2999-01-01"}
    assert house.post(PRICES, as_=house.ada, json=later).get_json()["valid_from"] == "2999-01-01"
    models = {m["name"]: m for m in house.get("/api/v1/models", as_=house.bob).get_json()["data"]}
    assert models["gpt-4.1"]["price"]["input_per_million"] == 2.5
    assert models["gpt-4.1"]["configured"] is False
    page = house.get(f"{PRICES}?model=gpt-4.1&limit=1", as_=house.ada).get_json()
    assert (page["data"][0]["input_per_million"], page["has_more"]) == (99, True)


@pytest.mark.parametrize("sent", [
    {"input_per_million": -1}, {"input_per_million": "1"}, {"input_per_million": True},
    {"output_per_million": 1e9}, {"valid_from": "soon"}, {"valid_from": 1}, {"model": ""},
    {"valid_from": "2030-13-01"}, {"provider": ...},
])  # fmt: skip
def test_odd_prices_are_400(shared: House, sent: dict[str, Any]) -> None:
    good = {"provider": "p", "model": "m", "input_per_million": 1, "output_per_million": 1}
    body = {k: v for k, v in {**good, **sent}.items() if v is not ...}
    assert shared.post(PRICES, as_=shared.ada, json=body).status_code == 400


def test_queues_are_counted_from_rows(house: House) -> None:
    house.submit(**ECHO)
    house.submit(run_at=3600, **ECHO)
    house.claim(house.submit(queue="high", **ECHO))
    work(house, "fresh")
    work(house, "gone", seen_seconds_ago=3600)
    told = house.get(QUEUES, as_=house.ada).get_json()
    counts = {q["name"]: (q["ready"], q["scheduled"], q["running"]) for q in told["queues"]}
    assert counts == {"high": (0, 0, 1), "default": (1, 1, 0), "low": (0, 0, 0)}
    default = told["queues"][1]
    assert default["oldest_wait_seconds"] >= 0
    eventually(lambda: messages(house, "default") == 1)  # a length is kept for a second
    assert {w["name"]: w["alive"] for w in told["workers"]} == {"fresh": True, "gone": False}


def test_a_queue_and_a_model_are_paused_and_resumed(house: House) -> None:
    paused = house.post(f"{QUEUES}/low/pause", as_=house.ada, json={"seconds": 60, "reason": "r"})
    assert paused.get_json() == {"kind": "queue", "name": "low", "paused": True}
    house.post("/api/v1/models/ollama/llama3:8b/pause", as_=house.ada, json={})
    told = house.get(QUEUES, as_=house.ada).get_json()
    low = told["queues"][2]
    assert (low["paused"], low["reason"], low["paused_until"] is not None) == (True, "r", True)
    assert (told["pauses"][0]["kind"], told["pauses"][0]["name"]) == ("model", "ollama/llama3:8b")
    house.post(f"{QUEUES}/low/resume", as_=house.ada)
    house.post("/api/v1/models/ollama/llama3:8b/resume", as_=house.ada)
    told = house.get(QUEUES, as_=house.ada).get_json()
    assert (told["queues"][2]["paused"], told["pauses"]) == (False, [])


def test_what_no_queue_or_model_can_be_named_is_404(shared: House) -> None:
    for name in ("queues/urgent", "queues/%00", f"models/{'m' * 300}", "models/a%00b"):
        for verb in ("pause", "resume"):
            answer = shared.post(f"/api/v1/{name}/{verb}", as_=shared.ada)
            assert answer.status_code == 404, name


@pytest.mark.parametrize("sent", [{"seconds": 0}, {"seconds": -1}, {"seconds": "1"}, {"for": 1}])
def test_odd_pauses_are_400(shared: House, sent: dict[str, Any]) -> None:
    assert shared.post(f"{QUEUES}/low/pause", as_=shared.ada, json=sent).status_code == 400


@pytest.mark.parametrize(
    ("path", "told"),
    [("/healthz", {"status": "ok"}), ("/livez", {"status": "ok", "version": version("llm-jobs")})],
)
def test_healthz_looks_at_nothing_but_the_process(
    house: House, path: str, told: dict[str, str]
) -> None:
    house.database.dispose()
    answer = house.get(f"{path}?probe=1")
    assert (answer.status_code, answer.get_json()) == (200, told)


def test_readyz_says_what_is_away(house: House) -> None:
    answer = house.get("/readyz")
    checks = answer.get_json()["checks"]
    assert answer.status_code == 503
    assert {name: check["ok"] for name, check in checks.items()} == {
        "database": True,
        "migrations": True,
        "broker": True,
        "workers": False,
    }
    work(house, "w1")
    answer = house.get("/readyz?cachebuster=1")
    assert (answer.status_code, answer.get_json()["ready"]) == (200, True)


def test_readyz_tells_an_unmigrated_database(empty_database_url: str, redis_url: str) -> None:
    from api.app import create_app
    from app.runtime import Runtime
    from app.settings import Settings

    runtime = Runtime.from_settings(Settings(DATABASE_URL=empty_database_url, REDIS_URL=redis_url))
    answer = create_app(runtime).test_client().get("/readyz")
    runtime.close()
    checks = answer.get_json()["checks"]
    assert answer.status_code == 503
    assert "llm-jobs migrate" in checks["migrations"]["detail"]
    assert checks["workers"] == {**checks["workers"], "ok": False}


def test_without_a_broker_posting_is_still_201_and_readyz_says_so(sqlite_url: str) -> None:
    with open_house(sqlite_url, "redis://127.0.0.1:1/0") as house:
        assert house.post(JOBS, as_=house.alice, json=SEED).status_code == 201
        checks = house.get("/readyz").get_json()["checks"]
        assert (checks["broker"]["ok"], checks["database"]["ok"]) == (False, True)


def test_a_key_over_its_rate_is_429_and_told_when_to_return(
    database_url: str, redis_url: str
) -> None:
    with open_house(database_url, redis_url, LLM_JOBS_RATE_LIMIT="3/hour") as house:
        answers = [house.get("/api/v1/me", as_=house.alice) for _ in range(4)]
        assert [a.status_code for a in answers] == [200, 200, 200, 429]
        assert [a.headers["X-RateLimit-Remaining"] for a in answers] == ["2", "1", "0", "0"]
        assert answers[0].headers["RateLimit-Policy"] == '"key";q=3;w=3600'
        assert answers[0].headers["RateLimit"].startswith('"key";r=2;t=')
        assert answers[0].headers["X-RateLimit-Limit"] == "3"
        assert 0 < int(answers[3].headers["Retry-After"]) <= 3600
        assert house.get("/api/v1/me", as_=house.bob).status_code == 200
        assert house.get("/api/v1/me", as_=house.key_for(house.alice, None)).status_code == 200


def test_guessing_keys_is_slowed_down_and_right_keys_are_not(
    sqlite_url: str, redis_url: str
) -> None:
    with open_house(sqlite_url, redis_url, LLM_JOBS_RATE_LIMIT="3/hour") as house:
        statuses = [house.get("/api/v1/me").status_code for _ in range(5)]
        assert statuses == [401, 401, 401, 429, 429]
        assert house.get("/api/v1/me", as_=house.alice).status_code == 200
