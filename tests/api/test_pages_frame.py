"""The frame around all pages: who gets in where, and what a form must prove to do anything."""

from __future__ import annotations

import pytest

from api.web.pages import Page
from app.limits import Allowance
from tests.api.house import House
from tests.api.page_lines import (
    FILLED,
    FORBIDDEN,
    FORMS,
    LINES,
    OPEN,
    PAGES,
    SEES,
    SIGN_IN,
    UNSEEN,
    Line,
    address,
    dump,
)
from tests.api.visiting import Visitor, signed_in, visitor


def met(house: House, who: Visitor, page: Page) -> str:
    """What somebody meets at a page."""
    path = address(house, page)
    with who.get(path) if page.method == "GET" else who.post(path, data=FILLED) as answer:
        stream = answer.mimetype == "text/event-stream"  # which has no end
        wrong_password = not stream and "present password is not right" in answer.text
    status, location = answer.status_code, answer.headers.get("Location", "")
    assert status < 500, f"{page.name}: {status}"
    if status == 303 and location.startswith("/sign-in"):
        return SEES if page.name in ("page_home", "page_sign_out_now") else SIGN_IN
    return SEES if wrong_password else {403: FORBIDDEN, 404: UNSEEN}.get(status, SEES)


def test_every_page_has_a_line() -> None:
    assert LINES.keys() == PAGES.keys()


@pytest.mark.parametrize("name", sorted(PAGES))
def test_people_meet_what_the_pages_line_says(fresh: House, name: str) -> None:
    page, line = PAGES[name], LINES[name]
    people = {
        "nobody": visitor(fresh),
        "owner": signed_in(fresh, fresh.alice),
        "stranger": signed_in(fresh, fresh.bob),
        "administrator": signed_in(fresh, fresh.ada),
    }
    found = {who: met(fresh, one, page) for who, one in people.items()}
    assert Line(**found) == line


@pytest.mark.parametrize("name", FORMS)
def test_a_form_without_its_token_changes_nothing(fresh: House, name: str) -> None:
    path = address(fresh, PAGES[name])
    for who in (signed_in(fresh, fresh.alice), signed_in(fresh, fresh.ada), visitor(fresh)):
        before = dump(fresh)
        for token in ("", "0" * 64, "ü"):
            headers = {"X-CSRF-Token": token} if token else {}
            answer = who.client.post(path, data={"_csrf": token}, headers=headers)
            to_sign_in = answer.status_code == 303 and answer.location.startswith("/sign-in")
            assert answer.status_code == 403 or to_sign_in
        assert dump(fresh) == before


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost.evil.example"},
    ],
)
def test_a_form_of_another_site_changes_nothing(
    fresh: House, name: str, headers: dict[str, str]
) -> None:
    path = address(fresh, PAGES[name])
    ada = signed_in(fresh, fresh.ada)
    token, before = ada.token(), dump(fresh)
    assert ada.post(path, token=token, data={}, headers=headers).status_code == 403
    assert dump(fresh) == before


def test_a_token_is_good_for_one_sign_in_only(fresh: House) -> None:
    other = signed_in(fresh, fresh.bob).token()
    alice = signed_in(fresh, fresh.alice)
    assert alice.post("/llm_outputs/new", token=other, data={"do": "detect"}).status_code == 403
    assert alice.post("/llm_outputs/new", data={"do": "detect"}).status_code == 200


def test_pages_know_no_keys_and_the_api_no_cookies(fresh: House) -> None:
    alice = signed_in(fresh, fresh.alice)
    for path in ("/api/v1/me", "/api/v1/llm_outputs"):
        assert alice.get(path).status_code == 401
    token = alice.token()
    assert alice.post("/api/v1/llm_jobs", token=token, json={"template": "x"}).status_code == 401
    closed = [page for name, page in PAGES.items() if LINES[name] is not OPEN]
    addresses = [(page.method, address(fresh, page)) for page in closed]
    before = dump(fresh)
    for method, path in addresses:
        answer = visitor(fresh).client.open(path, method=method, headers=fresh.ada.headers)
        assert answer.status_code == 303, path
        assert answer.location.startswith("/sign-in")
    assert dump(fresh) == before


def test_forms_have_the_rate_of_a_key(fresh: House, monkeypatch: pytest.MonkeyPatch) -> None:
    alice = signed_in(fresh, fresh.alice)
    asked: list[str] = []

    def spent(_limiter: object, key: str, cost: int = 1) -> Allowance:
        asked.append(key)
        return Allowance(False, 1, 0, 60, 60)

    token, before = alice.token(), dump(fresh)
    monkeypatch.setattr("app.limits.RateLimiter.check", spent)
    answer = alice.post("/llm_outputs/new", token=token, data={"template": "x", "do": "submit"})
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "60")
    assert asked == [f"person:{fresh.alice.user_id}"]
    assert alice.get("/llm_outputs").status_code == 200
    assert dump(fresh) == before
