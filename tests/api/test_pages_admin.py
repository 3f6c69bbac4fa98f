"""Pages for administrators: whom they refuse, what they never show, and that each act leaves a
trace.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape

import pytest
from sqlalchemy import func, select

from api.web.pages import Audience, Page
from api.web.site import all_pages
from app import accounts, audit
from app.dev.redis import EmbeddedRedis
from models import AuditEvent
from tests.api.conftest import GENEROUS
from tests.api.house import House, open_house
from tests.api.visiting import Visitor, field, signed_in
from tests.support.databases import SQLiteDatabases

CANARIES = {
    "OPENAI_API_KEY": "canary-openai-51fe",
    "ANTHROPIC_API_KEY": "canary-anthropic-51fe",
    "LLM_JOBS_SECRET_KEY": "canary-forms-51fe",
    "FLOWER_BASIC_AUTH": "admin:canary-flower-51fe",
}
HOSTILE = "<script>alert(1)</script>'\"&{{7*7}}\x00\ud800"
PATHS = {"user_id": "1", "key_id": "1", "code": "timeout"}


@pytest.fixture(scope="module")
def secretive(
    sqlite_databases: SQLiteDatabases,
    tmp_path_factory: pytest.TempPathFactory,
    redis_server: EmbeddedRedis,
) -> Iterator[House]:
    """An application whose settings hold secrets that must not be seen."""
    url = sqlite_databases.migrated(tmp_path_factory.mktemp("secretive") / "llm_jobs.db")
    with open_house(url, redis_server.url, **GENEROUS, **CANARIES) as house:
        yield house


@pytest.fixture(scope="module")
def ada(secretive: House) -> Visitor:
    return signed_in(secretive, secretive.ada)


@pytest.fixture(scope="module")
def alice(secretive: House) -> Visitor:
    return signed_in(secretive, secretive.alice)


def for_administrators() -> list[Page]:
    return [page for page in all_pages() if page.audience is Audience.ADMINISTRATORS]


def path_of(page: Page) -> str:
    return re.sub(r"<(?:\w+:)?(\w+)>", lambda found: PATHS[found[1]], page.path)


def events(house: House, action: str) -> list[AuditEvent]:
    with house.database.read() as session:
        found = session.scalars(select(AuditEvent).where(AuditEvent.action == action)).all()
        session.expunge_all()
    return list(found)


@pytest.mark.parametrize("page", for_administrators(), ids=lambda page: page.name)
def test_a_member_is_refused_on_every_address(page: Page, alice: Visitor) -> None:
    if page.method == "GET":
        answer = alice.get(path_of(page))
    else:
        answer = alice.post(path_of(page), data={"name": "x", "kind": "queue", "newest": "0"})
    assert answer.status_code == 403
    assert "Only an administrator may do this" in answer.text


def test_the_addresses_are_those_of_queues_and_administration() -> None:
    found = {path_of(page) for page in for_administrators()}
    assert all(path.startswith(("/admin", "/queues")) for path in found)
    assert {"/admin", "/queues", "/admin/keys", "/admin/users", "/admin/audit"} <= found


@pytest.mark.parametrize(
    "page", [p for p in for_administrators() if p.method == "POST"], ids=lambda page: page.name
)
def test_a_form_without_its_token_does_nothing(page: Page, secretive: House, ada: Visitor) -> None:
    before = _trail_length(secretive)
    data = {"email": "eve@example.org", "name": "low", "kind": "queue", "model": "gpt-4"}
    for token in ("", "0" * 64):
        assert ada.post(path_of(page), token=token, data=data).status_code == 403
    foreign = {"Sec-Fetch-Site": "cross-site"}
    assert ada.post(path_of(page), data=data, headers=foreign).status_code == 403
    assert _trail_length(secretive) == before


@pytest.mark.parametrize(
    "page", [p for p in for_administrators() if p.method == "GET"], ids=lambda page: page.name
)
def test_no_page_shows_a_secret(page: Page, secretive: House, ada: Visitor) -> None:
    answer = ada.get(path_of(page))
    assert answer.status_code in (200, 404)
    text = unescape(answer.text)
    shown = [name for name, canary in CANARIES.items() if canary in text]
    keys = [person.name for person in secretive.people.values() if person.key in text]
    assert (shown, keys) == ([], [])
    assert not re.search(r"ljk_live_\w{10}_", text)
    assert not re.search(r"\b[0-9a-f]{64}\b", text.replace(field_token(text), ""))


def field_token(text: str) -> str:
    found = re.search(r'name="csrf-token" content="([0-9a-f]{64})"', text)
    return found[1] if found else "-"


@pytest.mark.parametrize(
    "query", ["after=%00", "after=%ff&action=%ff", "tried=9" * 30, "find=%00%ed%a0%80", "kind=%22"]
)
@pytest.mark.parametrize(
    "page", [p for p in for_administrators() if p.method == "GET"], ids=lambda page: page.name
)
def test_a_hostile_query_is_refused_or_ignored(page: Page, query: str, ada: Visitor) -> None:
    assert ada.get(f"{path_of(page)}?{query}").status_code in (200, 303, 400, 404)


@pytest.mark.parametrize(
    "page", [p for p in for_administrators() if p.method == "POST"], ids=lambda page: page.name
)
def test_hostile_fields_are_refused_or_stored_as_they_are(
    page: Page, secretive: House, ada: Visitor
) -> None:
    names = ("email", "name", "role", "plan", "token_allowance", "owner", "life", "scope", "kind")
    names += ("model", "provider", "reason", "seconds", "password", "valid_from", "newest")
    data = {name: HOSTILE.encode("utf-8", "surrogatepass") for name in names}
    answer = ada.post(path_of(page), data=data)
    assert answer.status_code in (200, 201, 303, 400, 404, 409, 422), answer.text
    assert "<script>alert(1)" not in answer.text
    for where in ("/admin/audit", "/queues", "/admin/users"):
        assert "<script>alert(1)" not in ada.get(where).text


def test_the_health_page_says_what_readyz_says(secretive: House, ada: Visitor) -> None:
    checks = secretive.get("/readyz", check=False).get_json()["checks"]
    text = ada.get("/admin/health").text
    assert all(name.capitalize() in text for name in checks)
    assert "0 alive" in text
    assert "not ok" in text


def test_the_trail_is_shown_in_pages_and_by_kind(secretive: House, ada: Visitor) -> None:
    with secretive.database.write() as session:
        caller = accounts.OPERATOR
        for number in range(60):
            audit.record(session, caller, audit.Action.RESUMED, subject=f"queue:test-{number}")
    first = ada.get("/admin/audit?action=operations.resumed").text
    assert "queue:test-59" in first
    assert "queue:test-0<" not in first
    assert "user.created</td>" not in first
    older = re.search(r'href="([^"]*after=[^"]*)" rel="next"', first)
    assert older
    second = ada.get(unescape(older[1])).text
    assert "queue:test-0<" in second
    assert "queue:test-59" not in second
    assert ada.get("/admin/audit?action=none").status_code == 400


def test_a_price_is_added_once_and_said_in_the_trail(secretive: House, ada: Visitor) -> None:
    data = {
        "provider": "openai",
        "model": "gpt-test",
        "input_per_million": "1.25",
        "output_per_million": "10",
        "valid_from": "2026-02-01",
    }
    assert ada.post("/admin/prices", data=data).status_code == 303
    shown = ada.get("/admin/prices?model=gpt-test").text
    assert "$1.25" in shown
    assert "2026-02-01" in shown
    [event] = events(secretive, "price.set")
    assert event.subject == "price:openai/gpt-test"


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"input_per_million": "-1"}, "Must be US dollars per million tokens"),
        ({"output_per_million": "NaN"}, "Must be US dollars per million tokens"),
        ({"valid_from": "tomorrow"}, "Write the day as 2026-01-31"),
        ({"model": " "}, "Missing required parameter: model"),
    ],
)
def test_a_price_that_cannot_be_is_shown_again(
    changed: dict[str, str], sentence: str, ada: Visitor
) -> None:
    data = {"provider": "kept", "model": "m", "input_per_million": "1", "output_per_million": "2"}
    answer = ada.post("/admin/prices", data={**data, **changed})
    assert answer.status_code == 400
    assert sentence in answer.text
    assert field(answer, "provider") == "kept"


def test_an_unknown_model_is_not_tried(secretive: House, ada: Visitor) -> None:
    answer = ada.post("/admin/providers/try", data={"model": "no-such-model"})
    assert answer.status_code == 400
    assert "Unsupported model: no-such-model" in answer.text
    assert not events(secretive, "provider.tried")


def test_a_strangers_trial_is_shown_to_administrators_only(
    secretive: House, ada: Visitor, alice: Visitor
) -> None:
    job = secretive.submit(secretive.key_for(secretive.alice, None), model="simulator/echo")
    path = f"/admin/providers?tried={job['output_id']}"
    assert "Trial of simulator/echo" in ada.get(path).text
    assert alice.get(path).status_code == 403
    assert "Trial of" not in ada.get("/admin/providers?tried=999999").text


def _trail_length(house: House) -> int:
    with house.database.read() as session:
        return session.scalar(select(func.count()).select_from(AuditEvent)) or 0
