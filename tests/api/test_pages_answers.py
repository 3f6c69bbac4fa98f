"""What every answer of the pages carries, and how a refusal reads to people and to programs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from api.errors import PROBLEM
from api.web.render import POLICY
from app.errors import Unavailable
from tests.api.house import House
from tests.api.page_lines import OWN_HEADERS, PAGES, address
from tests.api.visiting import signed_in, visitor

HTML = "text/html; charset=utf-8"
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.mark.parametrize("name", [n for n, page in PAGES.items() if page.method == "GET"])
def test_a_page_carries_the_headers_that_protect_it(fresh: House, name: str) -> None:
    for who in (visitor(fresh), signed_in(fresh, fresh.ada)):
        with who.get(address(fresh, PAGES[name])) as answer:
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Referrer-Policy"] in ("no-referrer", "same-origin")
            assert answer.headers["Cache-Control"].startswith("no-") or name in OWN_HEADERS
            assert "Content-Security-Policy" in answer.headers
            assert "Cookie" in answer.headers["Vary"]
            if name not in OWN_HEADERS and answer.status_code == 200:
                assert answer.headers["Content-Security-Policy"] == POLICY
                assert answer.headers["Cache-Control"] == "no-store"
                assert answer.content_type == HTML


def test_the_policy_allows_nothing_inline_and_no_other_host() -> None:
    rules = dict(rule.strip().split(" ", 1) for rule in POLICY.split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["frame-ancestors"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == rules["form-action"] == "'self'"
    assert "unsafe" not in POLICY
    assert "http" not in POLICY


def test_templates_keep_to_the_policy() -> None:
    folder = Path(__file__).parents[2] / "api" / "web" / "templates"
    inline = re.compile(r"<style|\sstyle=|\son[a-z]+=\"|hx-on|hx-vals=.js:|javascript:", re.I)
    for path in folder.rglob("*.html"):
        text = re.sub(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", "", path.read_text(), flags=re.S)
        assert not inline.search(text), path
        for script in re.findall(r"<script\b[^>]*>([^<]*)", text):
            assert not script.strip(), path


def test_a_page_asks_for_assets_that_exist_and_may_be_kept(fresh: House) -> None:
    ada = signed_in(fresh, fresh.ada)
    page = ada.get("/llm_outputs").text
    assets = set(re.findall(r'(?:src|href)="(/assets/[^"]+)"', page))
    assert len(assets) >= 4
    for path in assets:
        with visitor(fresh).get(path) as answer:
            assert answer.status_code == 200
            assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    "name",
    [
        "../../app.py",
        "..%2f..%2fapp.py",
        "%2e%2e/%2e%2e/app.py",
        "..%5c..%5capp.py",
        "....//app.py",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "vendor/../../../app.py",
        "app.css%00.js",
        ".",
        "",
        "vendor/",
        "nothing.js",
    ],
)
def test_assets_lead_nowhere_else(fresh: House, name: str) -> None:
    with visitor(fresh).get(f"/assets/0/{name}") as answer:
        assert answer.status_code == 404
        assert "create_app" not in answer.text
        assert "root:" not in answer.text


# --- refusals -------------------------------------------------------------------------------------


def told(answer: TestResponse, status: int, *, kind: str) -> str:
    """The text of a refusal of this status and kind."""
    assert (answer.status_code, answer.content_type) == (status, kind)
    assert answer.headers["X-Request-Id"] in answer.text
    if kind == HTML:
        assert answer.headers["Content-Security-Policy"] == POLICY
        assert "<h1>" in answer.text
    return answer.text


def test_what_is_not_there_is_said_to_people_and_programs(fresh: House) -> None:
    for one in (visitor(fresh), signed_in(fresh, fresh.alice)):
        assert "nothing at this address" in told(
            one.get("/nothing<b>", headers=BROWSER), 404, kind=HTML
        )
    told(signed_in(fresh, fresh.alice).get("/llm_outputs/999999"), 404, kind=HTML)
    told(visitor(fresh).get("/nothing", headers={"Accept": "application/json"}), 404, kind=PROBLEM)
    told(visitor(fresh).get("/api/v1/nothing", headers=BROWSER), 404, kind=PROBLEM)


def test_what_is_not_allowed_is_said_to_people(fresh: House) -> None:
    alice = signed_in(fresh, fresh.alice)
    assert "administrator" in told(alice.get("/admin", headers=BROWSER), 403, kind=HTML)
    notice = alice.get("/admin", headers={"HX-Request": "true"})
    assert notice.status_code == 403
    assert notice.headers["HX-Retarget"] == "#notices"
    assert "<html" not in notice.text


def test_a_method_a_page_does_not_take_is_said(fresh: House) -> None:
    for method in ("PUT", "DELETE", "PATCH"):
        answer = visitor(fresh).client.open("/account", method=method, headers=BROWSER)
        told(answer, 405, kind=HTML)
        assert "GET" in answer.headers["Allow"]
    answer = visitor(fresh).client.delete("/account", headers={"Accept": "application/json"})
    told(answer, 405, kind=PROBLEM)


def test_a_bug_is_told_without_a_word_of_the_inside(
    fresh: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("secret at /srv/inside.py")

    monkeypatch.setattr("api.web.submission.offers.offers_for", broken)
    alice = signed_in(fresh, fresh.alice)
    text = told(alice.get("/llm_outputs/new", headers=BROWSER), 500, kind=HTML)
    assert "secret" not in text
    assert "inside" not in text
    assert "Try again" in text
    notice = alice.get("/llm_outputs/new", headers={"HX-Request": "true"})
    assert notice.status_code == 500
    assert "secret" not in notice.text


def test_a_database_that_is_away_is_told_to_people_and_programs(
    fresh: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = signed_in(fresh, fresh.alice)
    token = alice.token()

    def away(*_: Any, **__: Any) -> None:
        raise Unavailable("The database is not available")

    for name in ("read", "write"):
        monkeypatch.setattr(type(fresh.database), name, away)
    for path in ("/llm_outputs", "/llm_outputs/new", "/account", "/llm_outputs/1"):
        answer = alice.get(path, headers=BROWSER)
        told(answer, 503, kind=HTML)
        assert int(answer.headers["Retry-After"]) > 0
    told(alice.post("/llm_outputs/new", token=token, data={}), 503, kind=HTML)
    told(fresh.get("/api/v1/me", as_=fresh.alice, headers=BROWSER), 503, kind=PROBLEM)
    assert visitor(fresh).get("/sign-in").status_code == 200


@pytest.mark.parametrize(
    "query",
    ["%00", "%ff%fe", "a=%ed%a0%80", "=&=&&;", "next=" + "x" * 5000, "a[]=1&a[b]=2", "%"],
)
@pytest.mark.parametrize(
    "name",
    [n for n, page in PAGES.items() if page.method == "GET" and "<" not in page.path],
)
def test_odd_addresses_break_no_page(fresh: House, name: str, query: str) -> None:
    with signed_in(fresh, fresh.ada).get(f"{PAGES[name].path}?{query}") as answer:
        assert answer.status_code < 500
