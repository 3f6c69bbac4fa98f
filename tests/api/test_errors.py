"""Every refusal is a problem document, whoever made it; nothing of our inside leaks."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.exc import TimeoutError as PoolTimeout

from api.errors import PROBLEM
from app.errors import Unavailable
from tests.api.house import JOBS, OUTPUTS, SEED, House

MEMBERS = {"error", "type", "title", "status", "detail", "instance", "request_id", "code", "errors"}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/nope", 404),
        ("POST", "/api/v1/nope", 404),
        ("GET", "//api/v1/llm_jobs", 404),
        ("GET", "/api/v1", 404),
        ("GET", "/api/v1/../../etc/passwd", 404),
        ("GET", "/static/../app.py", 404),
        ("GET", "/static/nope.js", 404),
        ("PUT", JOBS, 405),
        ("DELETE", JOBS, 405),
        ("PATCH", OUTPUTS, 405),
        ("TRACE", JOBS, 405),
        ("BREW", JOBS, 405),
        ("POST", "/healthz", 405),
        ("GET", JOBS + "/bulk/", 401),
        ("POST", JOBS, 401),
    ],
)
def test_the_frameworks_own_errors_are_problems_too(
    shared: House, method: str, path: str, status: int
) -> None:
    answer = shared.call(method, path)
    told = answer.get_json(force=True)
    assert (answer.status_code, answer.content_type) == (status, PROBLEM)
    assert told.keys() >= MEMBERS
    assert isinstance(told["error"], str)
    assert told["status"] == status
    assert told["request_id"] == answer.headers["X-Request-Id"]
    if status == 405:
        assert answer.headers["Allow"]


def test_a_bug_is_500_without_a_word_of_its_inside(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("secret at /srv/inside.py")

    monkeypatch.setattr("app.jobs.submit", broken)
    answer = house.post(JOBS, as_=house.alice, json=SEED, check=False)
    told = answer.get_json(force=True)
    assert (answer.status_code, answer.content_type) == (500, PROBLEM)
    assert told["code"] == "internal"
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text


def test_without_a_database_posting_is_503_in_the_seeds_words(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise Unavailable("The database is not available")

    monkeypatch.setattr("app.jobs.submit", away)
    answer = house.post(JOBS, as_=house.alice, json=SEED)
    assert (answer.status_code, answer.get_json()["error"]) == (503, "Failed to queue job")
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.get_json()["title"] == "Service unavailable"


def test_a_full_pool_is_503_not_500(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise PoolTimeout("QueuePool limit of size 5 overflow 10 reached")

    monkeypatch.setattr("api.auth.authenticate", full)
    answer = house.get("/api/v1/me", as_=house.alice)
    assert (answer.status_code, answer.get_json()["code"]) == (503, "unavailable")
    assert "QueuePool" not in answer.text


def test_a_request_id_is_taken_over_when_it_is_a_decent_one(shared: House) -> None:
    answer = shared.get("/healthz", headers={"X-Request-Id": "abc-1.2_3"})
    assert answer.headers["X-Request-Id"] == "abc-1.2_3"
    for odd in ("a b", "x" * 129, "ä", "a\tb", ""):
        answer = shared.get("/healthz", headers={"X-Request-Id": odd})
        assert UUID(answer.headers["X-Request-Id"])


def test_a_client_that_accepts_json_api_gets_its_errors(shared: House) -> None:
    headers = {"Accept": "application/vnd.api+json"}
    told = shared.post(JOBS, as_=shared.alice, json={"model": "x"}, headers=headers).get_json()
    assert told["errors"][0]["source"] == {"pointer": "/template"}
    told = shared.get("/api/v1/me", headers=headers).get_json(force=True)
    assert told["errors"][0]["status"] == "401"
    assert isinstance(told["error"], str)


def test_every_answer_forbids_sniffing_framing_and_storing(shared: House) -> None:
    for path in ("/healthz", "/api/v1/me", "/nope"):
        headers = shared.get(path, as_=shared.alice).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["Cache-Control"] == "no-store"


def test_a_fault_in_the_query_is_named_by_its_parameter(shared: House) -> None:
    told = shared.get(f"{OUTPUTS}?limit=0", as_=shared.alice).get_json(force=True)
    assert told["errors"][0]["parameter"] == "limit"
    told = shared.get(f"{OUTPUTS}?after=garbage", as_=shared.alice).get_json(force=True)
    assert told["errors"][0]["parameter"] == "after"


def test_what_a_refusal_quotes_cannot_break_its_encoding(shared: House) -> None:
    answer = shared.get(f"{OUTPUTS}?%ff%fe=%ff", as_=shared.alice)
    assert answer.status_code == 400
    assert answer.get_json(force=True)["code"] == "unknown_parameter"
