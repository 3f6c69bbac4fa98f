"""POST /api/v1/llm_jobs: the seed's contract, word for word, and what we add to it."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from re import fullmatch
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select

from app import accounts
from models import LLMOutput
from tests.api.house import JOBS, SEED, House

FORMATS = "Invalid format. Must be one of: text, json, markdown, html"


def rows(house: House) -> int:
    with house.database.read() as session:
        return session.scalar(select(func.count()).select_from(LLMOutput)) or 0


def row(house: House, output_id: int) -> LLMOutput:
    with house.database.read() as session:
        return session.get_one(LLMOutput, output_id)


def test_the_seeds_own_curl_gets_201_and_its_four_keys_first_and_in_order(house: House) -> None:
    body = (
        '{\n    "template": "Explain {{concept}} to a beginner",\n    "model": "gpt-4",\n'
        '    "context": { "concept": "machine learning" },\n    "format": "text"\n  }'
    )
    before = datetime.now(UTC)
    response = house.post(JOBS, as_=house.alice, data=body, content_type="application/json")
    answer = json.loads(response.text)
    assert response.status_code == 201
    assert list(answer)[:4] == ["job_id", "output_id", "status", "estimated_completion"]
    assert answer["status"] == "queued"
    assert str(UUID(answer["job_id"])) == answer["job_id"]
    assert fullmatch(r"[0-9-]{10}T[0-9:]{8}Z", answer["estimated_completion"])
    assert datetime.fromisoformat(answer["estimated_completion"]) > before
    assert response.headers["Location"] == f"/api/v1/llm_outputs/{answer['output_id']}"
    stored = row(house, answer["output_id"])
    assert (stored.status, stored.job_id, stored.user_id) == (
        "pending",
        answer["job_id"],
        house.alice.user_id,
    )


def test_a_job_of_a_configured_model_is_answered_with_the_four_keys_only(house: House) -> None:
    answer = house.submit(model="simulator/echo")
    assert list(answer) == ["job_id", "output_id", "status", "estimated_completion"]


def test_a_vendor_without_a_key_is_simulated_and_the_answer_says_so(house: House) -> None:
    assert "OPENAI_API_KEY" in house.submit()["warnings"][0]


@pytest.mark.parametrize(
    ("changes", "sentence", "title"),
    [
        ({"template": ...}, "Missing required parameter: template", "Missing required parameter"),
        ({"template": ""}, "Missing required parameter: template", "Missing required parameter"),
        ({"template": " \n"}, "Missing required parameter: template", "Missing required parameter"),
        ({"template": None}, "Missing required parameter: template", "Missing required parameter"),
        ({"model": ...}, "Missing required parameter: model", "Missing required parameter"),
        ({"model": "  "}, "Missing required parameter: model", "Missing required parameter"),
        ({"format": "pdf"}, FORMATS, "Invalid format"),
        ({"format": None}, FORMATS, "Invalid format"),
        ({"format": ["text"]}, FORMATS, "Invalid format"),
        ({"context": "x"}, "Context must be a hash/object", "Invalid context"),
        ({"context": None}, "Context must be a hash/object", "Invalid context"),
        ({"context": [1]}, "Context must be a hash/object", "Invalid context"),
    ],
)  # fmt: skip
def test_the_four_checks_refuse_in_the_seeds_words(
    shared: House, changes: dict[str, Any], sentence: str, title: str
) -> None:
    fields = {k: v for k, v in {**SEED, **changes}.items() if v is not ...}
    flat = shared.post(JOBS, as_=shared.alice, json=fields)
    assert (flat.status_code, flat.get_json()["error"]) == (400, sentence)
    wrapped = {"data": {"type": "llm-job", "attributes": fields}}
    told = shared.post(JOBS, as_=shared.alice, json=wrapped).get_json()
    pointer = f"/data/attributes/{next(iter(changes))}"
    fault = told["errors"][0]
    assert (fault["status"], fault["title"], fault["detail"]) == ("400", title, sentence)
    assert fault["source"] == {"pointer": pointer}
    assert told["error"] == sentence


def test_the_checks_come_in_the_order_template_model_format_context(shared: House) -> None:
    wrong: dict[str, Any] = {"format": "pdf", "context": 1, "unknown": 1, "queue": 5}
    seen = []
    for mend in ({}, {"template": "x"}, {"model": "gpt-4"}, {"format": "text"}, {"context": {}}):
        wrong |= mend
        seen.append(shared.post(JOBS, as_=shared.alice, json=wrong).get_json()["error"])
    assert seen[:4] == [
        "Missing required parameter: template",
        "Missing required parameter: model",
        "Invalid format. Must be one of: text, json, markdown, html",
        "Context must be a hash/object",
    ]
    assert "queue" in seen[4]


def test_an_empty_body_misses_its_template(shared: House) -> None:
    answer = shared.post(JOBS, as_=shared.alice, data=b"")
    assert answer.get_json()["error"] == "Missing required parameter: template"


def test_unknown_fields_are_named_all_of_them(shared: House) -> None:
    sent = json.dumps({**SEED, "foo": 1, "bar/~": 2})
    response = shared.post(JOBS, as_=shared.alice, data=sent, content_type="application/json")
    answer = response.get_json()
    assert answer["error"] == "Unknown parameter: foo"
    assert [fault["pointer"] for fault in answer["errors"]] == ["/foo", "/bar~1~0"]


@pytest.mark.parametrize(
    "changes",
    [
        {"template": 5},
        {"template": ["x"]},
        {"model": {"name": "gpt-4"}},
        {"queue": "urgent"},
        {"queue": 1},
        {"queue": False},
        {"priority": 0},
        {"agent_id": "1"},
        {"agent_id": 0},
        {"agent_id": True},
        {"agent_id": 2**63},
        {"agent_id": 1.5},
        {"options": []},
        {"options": "x"},
        {"system": 1},
        {"messages": "hi"},
        {"messages": [{"role": "user"}]},
        {"messages": [{"role": "tool", "content": "x"}]},
        {"messages": [{"role": "user", "content": "x", "name": "y"}]},
        {"response_schema": True},
        {"response_schema": {"type": "object"}},
        {"metadata": "x"},
        {"strict": "yes"},
        {"strict": 1},
        {"fetchers": "user_profile"},
        {"fetchers": [1]},
        {"fetchers": ["no_such_fetcher"]},
        {"run_at": "tomorrow"},
        {"run_at": "2030-01-31"},
        {"run_at": "2030-01-31T09:05:00"},
        {"run_at": "2030-13-31T09:05:00Z"},
        {"run_at": True},
        {"run_at": 1e300},
        {"deadline": -5},
        {"deadline": "2020-01-31T09:05:00Z"},
        {"queue": "high", "priority": "low"},
        {"model": "x" * 256},
    ],
)  # fmt: skip
def test_wrong_types_and_values_are_400_and_leave_no_row(
    shared: House, changes: dict[str, Any]
) -> None:
    before = rows(shared)
    answer = shared.post(JOBS, as_=shared.alice, json={**SEED, **changes})
    assert answer.status_code == 400, answer.text
    assert answer.get_json()["errors"]
    assert rows(shared) == before


def test_priority_is_another_name_for_queue(house: House) -> None:
    assert row(house, house.submit(priority="high")["output_id"]).queue == "high"
    assert row(house, house.submit(queue="low")["output_id"]).queue == "low"
    assert row(house, house.submit()["output_id"]).queue == "default"


def test_everything_that_may_be_said_is_stored(house: House) -> None:
    said: dict[str, Any] = {
        "options": {"temperature": 0.5},
        "system": "Be brief",
        "metadata": {"project": "atlas"},
        "run_at": "2999-01-31T09:05:00+02:00",
        "deadline": "2999-02-01T09:05:00Z",
        "format": "json",
        "response_schema": {"type": "object"},
    }
    stored = row(house, house.submit(**said)["output_id"])
    assert stored.options == {"temperature": 0.5}
    assert (stored.system, stored.metadata_) == ("Be brief", {"project": "atlas"})
    assert stored.run_at == datetime(2999, 1, 31, 7, 5, tzinfo=UTC)
    assert stored.deadline == datetime(2999, 2, 1, 9, 5, tzinfo=UTC)
    assert stored.response_schema == {"type": "object"}


def test_run_at_may_be_seconds_from_now_and_the_past_means_now(house: House) -> None:
    later = row(house, house.submit(run_at=3600)["output_id"])
    assert 3500 < (later.run_at - later.created_at).total_seconds() <= 3601
    past = row(house, house.submit(run_at="2020-01-31T09:05:00Z")["output_id"])
    assert abs((past.run_at - past.created_at).total_seconds()) < 60


def test_messages_may_stand_for_the_template(house: House) -> None:
    messages = [{"role": "user", "content": "Explain {{concept}}"}]
    answer = house.post(
        JOBS, as_=house.alice, json={"messages": messages, "model": "simulator/echo"}
    )
    assert answer.status_code == 201
    assert row(house, answer.get_json()["output_id"]).messages == messages


def test_an_unclosed_tag_is_422(shared: House) -> None:
    answer = shared.post(JOBS, as_=shared.alice, json={**SEED, "template": "Hi {{name"})
    assert (answer.status_code, answer.get_json()["code"]) == (422, "template_syntax")


def test_a_strict_job_names_every_missing_variable_at_once(shared: House) -> None:
    fields = {**SEED, "template": "{{a}} {{b}} {{concept}}", "strict": True}
    answer = shared.post(JOBS, as_=shared.alice, json=fields)
    assert answer.status_code == 422
    assert answer.get_json()["error"] == "Missing required variables: a, b"


def test_a_loose_job_with_unknown_names_is_accepted_with_a_warning(house: House) -> None:
    answer = house.submit(template="Hi {{name}}", context={}, model="simulator/echo")
    assert "name" in answer["warnings"][0]


def test_a_model_nobody_serves_is_400(shared: House) -> None:
    answer = shared.post(JOBS, as_=shared.alice, json={**SEED, "model": "mystery-1"})
    assert (answer.status_code, answer.get_json()["error"]) == (400, "Unsupported model: mystery-1")


def test_another_users_name_is_403_unless_an_administrator_uses_it(house: House) -> None:
    fields = {**SEED, "user_id": house.bob.user_id}
    assert house.post(JOBS, as_=house.alice, json=fields).status_code == 403
    answer = house.post(JOBS, as_=house.ada, json=fields)
    assert row(house, answer.get_json()["output_id"]).user_id == house.bob.user_id


def test_a_spent_allowance_is_402(house: House) -> None:
    with house.database.write() as session:
        ada = accounts.caller_of(accounts.find_user(session, "ada@example.org"))  # type: ignore[arg-type]
        accounts.update_user(session, ada, house.alice.user_id, token_allowance=0)
    answer = house.post(JOBS, as_=house.alice, json=SEED)
    assert (answer.status_code, answer.get_json()["error"]) == (402, "Token allowance used up")
    assert rows(house) == 0


def test_a_json_api_body_gets_a_json_api_answer(house: House) -> None:
    body = {"data": {"type": "llm-job", "attributes": SEED}}
    for content_type in ("application/json", "application/vnd.api+json"):
        answer = house.post(JOBS, as_=house.alice, data=json.dumps(body), content_type=content_type)
        assert answer.status_code == 201
        assert answer.content_type == "application/vnd.api+json"
        data = json.loads(answer.text)["data"]
        assert data["type"] == "llm-output"
        assert data["attributes"]["template_name"] == SEED["template"]
        assert data["attributes"]["model_name"] == "gpt-4"
        assert data["attributes"]["status"] == "pending"
        assert answer.headers["Location"] == data["links"]["self"]
        assert row(house, int(data["id"])).job_id == data["attributes"]["job_id"]


@pytest.mark.parametrize(
    "body",
    [
        {"data": {}},
        {"data": {"type": "llm-job"}},
        {"data": {"type": "cat", "attributes": SEED}},
        {"data": {"type": "llm-job", "attributes": []}},
        {"data": {"type": "llm-job", "attributes": SEED, "id": "1"}},
        {"data": {"type": "llm-job", "attributes": SEED}, "meta": {}},
        {"data": []},
        {"data": None},
        {"data": {"type": "llm-job", "attributes": {**SEED, "foo": 1}}},
    ],
)
def test_a_malformed_json_api_body_is_refused_in_its_own_form(
    shared: House, body: dict[str, Any]
) -> None:
    answer = shared.post(JOBS, as_=shared.alice, json=body)
    fault = answer.get_json()["errors"][0]
    assert answer.status_code == 400
    assert fault["source"]["pointer"].startswith(("/data", "/meta"))


@pytest.fixture
def idempotent(house: House) -> Callable[..., Any]:
    def post(key: str, as_: Any = None, **changes: Any) -> Any:
        return house.post(
            JOBS,
            as_=as_ or house.alice,
            json={**SEED, **changes},
            headers={"Idempotency-Key": key},
        )

    return post


def test_the_same_key_and_body_give_the_first_answer_again(
    house: House, idempotent: Callable[..., Any]
) -> None:
    first, second = idempotent("k1"), idempotent("k1")
    assert (second.status_code, second.data) == (first.status_code, first.data)
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"
    assert second.headers["Location"] == first.headers["Location"]
    assert rows(house) == 1


def test_the_order_of_keys_in_a_body_is_of_no_matter(
    house: House, idempotent: Callable[..., Any]
) -> None:
    idempotent("k1")
    turned = json.dumps(dict(reversed(SEED.items())))
    again = house.post(
        JOBS,
        as_=house.alice,
        data=turned,
        content_type="application/json",
        headers={"Idempotency-Key": "k1"},
    )
    assert again.headers["Idempotent-Replayed"] == "true"


def test_the_same_key_with_another_body_is_422(
    house: House, idempotent: Callable[..., Any]
) -> None:
    idempotent("k1")
    assert idempotent("k1", model="gpt-4o").status_code == 422
    assert rows(house) == 1


def test_a_relative_run_at_does_not_make_it_another_request(
    house: House, idempotent: Callable[..., Any]
) -> None:
    assert idempotent("k1", run_at=60).data == idempotent("k1", run_at=60).data


def test_keys_of_two_callers_never_meet(house: House, idempotent: Callable[..., Any]) -> None:
    assert idempotent("k1").data != idempotent("k1", as_=house.bob).data
    assert rows(house) == 2


@pytest.mark.parametrize("key", ["", "x" * 256, "schlüssel"])
def test_an_odd_key_is_400(shared: House, key: str) -> None:
    answer = shared.post(JOBS, as_=shared.alice, json=SEED, headers={"Idempotency-Key": key})
    assert answer.status_code == 400


def test_fifty_parallel_requests_with_one_key_make_one_row(
    house: House, idempotent: Callable[..., Any]
) -> None:
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: idempotent("k1"), range(50)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.data for answer in answers}) == 1
    assert sum("Idempotent-Replayed" not in answer.headers for answer in answers) == 1
    assert rows(house) == 1


def test_a_refused_request_does_not_use_up_its_key(
    house: House, idempotent: Callable[..., Any]
) -> None:
    assert idempotent("k1", model="mystery-1").status_code == 400
    assert idempotent("k1").status_code == 201


def test_the_trace_context_is_kept_when_it_is_well_formed(house: House) -> None:
    good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    for sent, kept in ((good, good), ("garbage", None)):
        answer = house.post(JOBS, as_=house.alice, json=SEED, headers={"traceparent": sent})
        assert row(house, answer.get_json()["output_id"]).traceparent == kept


def test_an_agents_defaults_are_inherited(house: House) -> None:
    agent = house.post(
        "/api/v1/agents",
        as_=house.alice,
        json={"name": "brief", "model": "simulator/echo", "format": "markdown", "system": "Short!"},
    ).get_json()
    answer = house.post(
        JOBS, as_=house.alice, json={"template": "Hi", "agent_id": agent["id"]}
    ).get_json()
    stored = row(house, answer["output_id"])
    assert (stored.model_name, stored.format, stored.system) == (
        "simulator/echo",
        "markdown",
        "Short!",
    )
    strangers = house.post(JOBS, as_=house.bob, json={**SEED, "agent_id": agent["id"]})
    assert strangers.status_code == 404
