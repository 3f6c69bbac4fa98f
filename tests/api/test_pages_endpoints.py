"""The page of endpoints: registering, changing, removing and trying one, without a script."""

from __future__ import annotations

from collections.abc import Iterator
from html import unescape
from typing import Any

import pytest
from sqlalchemy import select

from app.dev.redis import EmbeddedRedis
from models import AuditEvent, LLMOutput
from tests.api.conftest import GENEROUS
from tests.api.house import House, open_house
from tests.api.visiting import Visitor, field, signed_in
from tests.support.databases import SQLiteDatabases

PAGE = "/admin/endpoints"
ACME = {
    "name": "acme",
    "base_url": "https://models.example.com/v1",
    "model": "qwen",
    "options": '{"top_k": 20}',
    "timeout_seconds": "30",
    "api_key_variable": "LLM_ENDPOINT_ACME_KEY",
}
OWN = {
    "LLM_JOBS_ENDPOINTS": {
        "local": {
            "base_url": "http://127.0.0.1:9/v1",
            "api_key": "canary-key",
            "options": {"extra": "canary-option"},
        }
    }
}


@pytest.fixture(scope="module")
def furnished(
    sqlite_databases: SQLiteDatabases,
    tmp_path_factory: pytest.TempPathFactory,
    redis_server: EmbeddedRedis,
) -> Iterator[House]:
    """An application whose settings name an endpoint."""
    url = sqlite_databases.migrated(tmp_path_factory.mktemp("pages") / "llm_jobs.db")
    with open_house(url, redis_server.url, **GENEROUS, **OWN) as house:
        yield house


@pytest.fixture(scope="module")
def ada(furnished: House) -> Visitor:
    return signed_in(furnished, furnished.ada)


def register(ada: Visitor, **changes: str) -> Any:
    return ada.post(PAGE, data=ACME | changes)


def actions(house: House, subject: str) -> list[str]:
    with house.database.read() as session:
        found = select(AuditEvent.action).where(AuditEvent.subject == subject)
        return list(session.scalars(found.order_by(AuditEvent.id)))


def row_of(page: str, name: str) -> str:
    """What the list says of one endpoint."""
    return page.partition(f'<tr id="endpoint-{name}">')[2].partition("</tr>")[0]


def test_an_endpoint_of_the_settings_is_shown_and_offers_no_change(ada: Visitor) -> None:
    page = ada.get(PAGE).text
    row = row_of(page, "local")
    assert "LLM_JOBS_ENDPOINTS" in row
    assert "Change" not in row
    assert "Remove" not in row
    assert "canary" not in page
    moved = ada.get(f"{PAGE}?remove=local")
    assert moved.status_code == 303
    assert "is set in LLM_JOBS_ENDPOINTS" in ada.get(PAGE).text


def test_an_endpoint_is_registered_changed_and_removed_by_forms(
    furnished: House, ada: Visitor
) -> None:
    assert register(ada, name="forms").status_code == 303
    page = ada.get(PAGE).text
    assert "The endpoint forms is registered." in page
    row = row_of(page, "forms")
    assert "LLM_ENDPOINT_ACME_KEY" in row
    assert "not set" in row
    assert "Try" not in row

    form = ada.get(f"{PAGE}?edit=forms")
    assert field(form, "base_url") == ACME["base_url"]
    assert field(form, "timeout_seconds") == "30"
    assert '"top_k": 20' in field(form, "options")
    changed = {**ACME, "name": "forms", "model": "llama", "timeout_seconds": "", "options": ""}
    assert ada.post(f"{PAGE}/change", data=changed).status_code == 303
    assert "llama" in row_of(ada.get(PAGE).text, "forms")

    asked = ada.get(f"{PAGE}?remove=forms")
    assert "Remove forms?" in asked.text
    assert ada.post(f"{PAGE}/remove", data={"name": "forms"}).status_code == 303
    assert row_of(ada.get(PAGE).text, "forms") == ""
    assert actions(furnished, "endpoint:forms") == [
        "endpoint.created",
        "endpoint.changed",
        "endpoint.removed",
    ]


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"base_url": "http://models.example.com/v1"}, "it must begin with https://"),
        ({"base_url": "https://10.0.0.1/v1"}, "is an internal address"),
        ({"base_url": ""}, "Missing required parameter: base_url"),
        ({"name": "openai"}, "taken: anthropic, ollama, openai, simulator"),
        ({"name": "local"}, "The name local is taken"),
        ({"options": "{top_k: 20}"}, "Write the options as JSON"),
        ({"options": "[1]"}, "Options must be an object"),
        ({"timeout_seconds": "soon"}, "Write a number of seconds, or nothing"),
        ({"timeout_seconds": "nan"}, "Invalid timeout_seconds: nan"),
        ({"api_key_variable": "DATABASE_URL"}, "Must be the name of an environment variable"),
        ({"password_variable": "LLM_ENDPOINT_P"}, "a password needs a user"),
    ],
)
def test_a_form_that_cannot_be_is_shown_again_with_what_was_typed(
    furnished: House, ada: Visitor, changed: dict[str, str], sentence: str
) -> None:
    answer = register(ada, **{"name": "kept", **changed})
    assert answer.status_code in (400, 409)
    assert sentence in unescape(answer.text)
    assert field(answer, "model") == "qwen"
    for name, value in changed.items():
        assert field(answer, name) == value
    assert actions(furnished, "endpoint:kept") == []


def test_a_change_that_cannot_be_is_shown_again_in_its_form(ada: Visitor) -> None:
    register(ada, name="kept")
    answer = ada.post(f"{PAGE}/change", data={**ACME, "name": "kept", "options": "{"})
    assert answer.status_code == 400
    assert "Change kept" in answer.text
    assert field(answer, "options") == "{"


def test_an_endpoint_somebody_else_removed_is_said_to_be_gone(ada: Visitor) -> None:
    name = '<b>"gone"\x00</b>'
    for answer in (
        ada.get(f"{PAGE}?edit=gone"),
        ada.get(f"{PAGE}?remove=gone"),
        ada.post(f"{PAGE}/change", data={**ACME, "name": name}),
        ada.post(f"{PAGE}/remove", data={"name": name}),
    ):
        assert answer.status_code == 303
    page = ada.get(PAGE).text
    assert "There is no endpoint" in page
    assert "<b>" not in page


def test_an_endpoint_is_tried_by_a_job_for_its_own_model(furnished: House, ada: Visitor) -> None:
    register(ada, name="tried", api_key_variable="")
    row = row_of(ada.get(PAGE).text, "tried")
    assert 'name="model" value="tried/qwen"' in row
    answer = ada.post("/admin/providers/try", data={"model": "tried/qwen"})
    assert answer.status_code == 303
    with furnished.database.read() as session:
        models = session.scalars(select(LLMOutput.model_name)).all()
    assert list(models) == ["tried/qwen"]
    assert "Trial of tried/qwen" in ada.get(answer.headers["Location"]).text


def test_endpoints_stand_in_the_navigation_of_administrators(ada: Visitor) -> None:
    assert f'href="{PAGE}" aria-current="page"' in ada.get(PAGE).text
    assert f'href="{PAGE}"' in ada.get("/admin").text
