"""The frame around all pages: who gets in, what a form must prove, what every answer carries.

Each page has a line in `LINES` that says what four people meet there: nobody, alice who owns the
row, bob who is a stranger, ada who administrates. A page without a line fails here.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
from redis import Redis
from sqlalchemy import select
from werkzeug.test import TestResponse

from api.errors import PROBLEM
from api.web.pages import Page
from api.web.render import POLICY
from api.web.sign_in import COOKIE
from api.web.site import all_pages
from app import accounts
from app.dev.redis import EmbeddedRedis
from app.errors import Unavailable
from models import Base, SavedView, User
from tests.api.house import House, Person, open_house
from tests.api.visiting import PASSWORD, Visitor, sign_in, signed_in, visitor, with_password
from tests.support.databases import SQLiteDatabases

HTML = "text/html; charset=utf-8"
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}

SEES, SIGN_IN, FORBIDDEN, UNSEEN = "sees it", "must sign in", "may not", "does not find it"


@dataclass(frozen=True)
class Line:
    """What four people meet."""

    nobody: str
    owner: str
    stranger: str
    administrator: str


OPEN = Line(SEES, SEES, SEES, SEES)
OWN = Line(SIGN_IN, SEES, SEES, SEES)
ROW = Line(SIGN_IN, SEES, UNSEEN, SEES)
ONLY_OWNER = Line(SIGN_IN, SEES, UNSEEN, UNSEEN)
ADMINISTRATORS = Line(SIGN_IN, FORBIDDEN, FORBIDDEN, SEES)

LINES = {
    "home": OPEN,
    "sign_in_form": OPEN,
    "sign_in_now": OPEN,
    "sign_out_now": OPEN,
    **dict.fromkeys(
        (
            "account",
            "change_password",
            "own_keys",
            "create_own_key",
            "outputs",
            "outputs_summary",
            "outputs_rows",
            "output_news",
            "outputs_many",
            "do_to_many",
            "export_outputs",
            "save_view",
            "submit",
            "submit_now",
            "preview_now",
            "platform_health",
            "quality_page",
            "quality_csv",
            "compare_quality",
            "choose_other",  # a redirect to where a stranger finds nothing; it tells nothing
        ),
        OWN,
    ),
    **dict.fromkeys(
        (
            "output",
            "task",
            "give_feedback",
            "re_run",
            "cancel",
            "advance",
            "erase_form",
            "erase",
            "render_answer",
            "download",
            "events",
            "compare",
            "regenerate_form",
            "regenerate",
            "regenerate_preview",
            "side_by_side",
            "one_answer",
        ),
        ROW,
    ),
    **dict.fromkeys(
        ("renew_own_key", "ask_revoke_own_key", "revoke_own_key", "delete_view"), ONLY_OWNER
    ),
    **dict.fromkeys(
        (
            "admin_keys",
            "create_any_key",
            "renew_any_key",
            "ask_revoke_any_key",
            "revoke_any_key",
            "queues",
            "ask_pause",
            "pause",
            "resume",
            "ask_retry",
            "retry_all",
            "admin",
            "agents",
            "limits",
            "effective_settings",
            "health_checks",
            "audit_trail",
            "users",
            "create_user",
            "user",
            "change_user",
            "set_user_password",
            "providers",
            "try_provider",
            "prices",
            "set_price",
        ),
        ADMINISTRATORS,
    ),
}
"""Page → what people meet."""

#: What stands in every form that is sent; the rest of it is empty.
FILLED = {"kind": "queue", "name": "low"}

#: Answers that are no pages of ours but what a model wrote, files and streams: their own headers.
OWN_HEADERS = {
    "render_answer",
    "download",
    "events",
    "output_news",
    "export_outputs",
    "quality_csv",
}

PAGES = {page.name.removeprefix("page_"): page for page in all_pages()}
FORMS = [name for name, page in PAGES.items() if page.method == "POST"]


@pytest.fixture
def fresh(shared: House) -> House:
    """The shared house, whose people may come in again however often they did."""
    with Redis.from_url(shared.runtime.settings.redis_url) as client:
        client.flushall()
    return shared


def address(house: House, page: Page) -> str:
    """A page's address with things of alice's in it, made for this request."""
    path = page.path
    if "key_id" in path:
        with house.database.write() as session:
            made = accounts.create_key(session, house.alice.user_id)
            path = path.replace("<row:key_id>", str(made.key.id))
    if "view_id" in path:
        with house.database.write() as session:
            view = SavedView(
                user_id=house.alice.user_id, name=f"{secrets.token_hex(8)}", query="q=x"
            )
            session.add(view)
            session.flush()
            path = path.replace("<row:view_id>", str(view.id))
    if "comparison_id" in path:
        metadata = {"compare": "c1"}
        row = house.submit(metadata=metadata)["output_id"]
        path = path.replace("<comparison_id>", "c1").replace("<row:output_id>", str(row))
        return f"{path}?ids={row}"
    if "output_id" in path or "job_id" in path:
        job = house.ended(format="markdown")
        path = path.replace("<row:output_id>", str(job["output_id"]))
        path = path.replace("<job:job_id>", job["job_id"])
        path = path.replace("<row:other>", str(house.ended()["output_id"]))
    path = path.replace("<row:user_id>", str(house.bob.user_id))
    path = path.replace("<what>", "raw").replace("<code>", "timeout")
    path = re.sub(r"<any\((\w+),[^>]*>", r"\1", path)
    if path.endswith("/pause"):
        path += "?kind=queue&name=low"
    assert "<" not in path, f"{page.name}: say what stands for the argument in {page.path}"
    return path


def met(house: House, who: Visitor, page: Page) -> str:
    """What somebody meets at a page."""
    path = address(house, page)
    with who.get(path) if page.method == "GET" else who.post(path, data=FILLED) as answer:
        wrong_password = "present password is not right" in answer.text
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


def dump(house: House) -> dict[str, list[Any]]:
    """Every row of every table."""
    with house.database.read() as session:
        return {
            table.name: sorted(map(repr, session.execute(select(table)).all()))
            for table in Base.metadata.sorted_tables
        }


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


# --- signing in -----------------------------------------------------------------------------------


def test_nobody_can_be_signed_in_by_a_stranger(fresh: House) -> None:
    with_password(fresh, fresh.alice)
    data = {"email": "alice@example.org", "password": PASSWORD}
    victim, attacker = visitor(fresh), visitor(fresh)
    for token in ("", attacker.token()):
        answer = victim.post("/sign-in", token=token, data=data)
        assert answer.status_code == 403
        assert COOKIE not in str(answer.headers)
    assert victim.post("/sign-in", data=data).status_code == 303


def cookie_of(answer: TestResponse) -> str:
    """The attributes of the sign-in's cookie."""
    found = [c for c in answer.headers.getlist("Set-Cookie") if c.startswith(f"{COOKIE}=")]
    assert len(found) == 1
    return found[0]


def test_the_cookie_is_kept_from_scripts_and_other_sites(fresh: House) -> None:
    with_password(fresh, fresh.alice)
    cookies = {cookie_of(sign_in(fresh, fresh.alice)[1]) for _ in range(2)}
    assert len(cookies) == 2
    for cookie in cookies:
        assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
        assert "Secure" not in cookie
        assert "Domain" not in cookie


@pytest.fixture(scope="module")
def strict_house(
    sqlite_databases: SQLiteDatabases,
    tmp_path_factory: pytest.TempPathFactory,
    redis_server: EmbeddedRedis,
) -> Iterator[House]:
    """A house behind TLS, with the rate limit it comes with."""
    path: Path = tmp_path_factory.mktemp("strict") / "llm_jobs.db"
    settings = {"LLM_JOBS_PUBLIC_URL": "https://jobs.example.org/"}
    with open_house(sqlite_databases.migrated(path), redis_server.url, **settings) as house:
        for person in house.people.values():
            with_password(house, person)
        yield house


def _flush(house: House) -> None:
    with Redis.from_url(house.runtime.settings.redis_url) as client:
        client.flushall()


def test_behind_tls_every_cookie_is_kept_to_it(strict_house: House) -> None:
    _flush(strict_house)
    first = visitor(strict_house).get("/sign-in")
    _, answer = sign_in(strict_house, strict_house.alice)
    for cookie in (*first.headers.getlist("Set-Cookie"), cookie_of(answer)):
        assert {"Secure", "HttpOnly", "SameSite=Lax"} <= set(cookie.split("; "))


def _try(house: House, email: str, password: str, *, place: str) -> TestResponse:
    one = visitor(house)
    data = {"email": email, "password": password}
    return one.post("/sign-in", data=data, environ_overrides={"REMOTE_ADDR": place})


def _tries(house: House, tries: Iterator[tuple[str, str]]) -> TestResponse:
    """Wrong passwords until one try is too many: ten at once, and one more each six seconds."""
    started = time.monotonic()
    for number, (email, place) in enumerate(tries):
        answer = _try(house, email, "wrong password", place=place)
        if answer.status_code == 429:
            assert 10 <= number <= 10 + (time.monotonic() - started) / 6 + 1
            return answer
        assert answer.status_code == 401
    raise AssertionError("nothing was too many")


def test_guessing_from_one_address_is_slowed_down(strict_house: House) -> None:
    _flush(strict_house)
    refused = _tries(strict_house, ((f"x{n}@example.org", "10.0.0.1") for n in range(60)))
    assert int(refused.headers["Retry-After"]) > 0
    assert refused.content_type == HTML
    assert _try(strict_house, "bob@example.org", PASSWORD, place="10.0.0.2").status_code == 303


def test_guessing_one_persons_password_is_slowed_down(strict_house: House) -> None:
    _flush(strict_house)
    _tries(strict_house, (("Alice@example.org ", f"10.0.1.{n}") for n in range(60)))
    assert _try(strict_house, "bob@example.org", PASSWORD, place="10.0.1.1").status_code == 303


def is_in(one: Visitor) -> bool:
    """Whether the browser is signed in still."""
    return one.get("/account").status_code == 200


def test_signing_out_ends_the_sign_in_for_a_stolen_cookie_too(fresh: House) -> None:
    with_password(fresh, fresh.alice)
    alice, answer = sign_in(fresh, fresh.alice)
    thief = visitor(fresh)
    thief.client.set_cookie(COOKIE, cookie_of(answer).split(";")[0].partition("=")[2])
    assert is_in(alice)
    assert is_in(thief)
    assert alice.post("/sign-out", data={}).status_code == 303
    assert not is_in(alice)
    assert not is_in(thief)


def test_a_new_password_ends_every_sign_in(fresh: House) -> None:
    with_password(fresh, fresh.alice)
    here, there = sign_in(fresh, fresh.alice)[0], signed_in(fresh, fresh.alice)
    bob = signed_in(fresh, fresh.bob)
    new = {"current": PASSWORD, "new": "another good password"}
    assert here.post("/account/password", data=new).status_code == 303
    assert not is_in(here)
    assert not is_in(there)
    assert is_in(bob)
    assert sign_in(fresh, fresh.alice)[1].status_code == 401


def test_who_is_deactivated_is_out_at_once(fresh: House) -> None:
    with fresh.database.write() as session:
        user = accounts.create_user(session, email="eve@example.org", name="eve")
        eve = Person("eve", user.id, accounts.create_key(session, user.id).text)
    one = signed_in(fresh, eve)
    assert is_in(one)
    with fresh.database.write() as session:
        accounts.update_user(session, accounts.OPERATOR, eve.user_id, active=False)
    assert not is_in(one)


def test_who_administrates_no_more_is_refused_at_once(fresh: House) -> None:
    with fresh.database.write() as session:
        user = accounts.create_user(session, email="otto@example.org", name="otto", role="admin")
        otto = Person("otto", user.id, accounts.create_key(session, user.id).text)
    one = signed_in(fresh, otto)
    assert one.get("/admin").status_code == 200
    with fresh.database.write() as session:
        session.execute(
            User.__table__.update().where(User.id == otto.user_id).values(role="member")  # type: ignore[attr-defined]
        )
    assert one.get("/admin").status_code == 403


@pytest.mark.parametrize("cookie", ["", "x", "a" * 43, "a" * 5000, "\"';--", "%00", "..", "é" * 43])
def test_a_cookie_that_is_none_signs_nobody_in(fresh: House, cookie: str) -> None:
    answer = fresh.app.test_client().get(
        "/account", headers={"Cookie": f"{COOKIE}={cookie}".encode().decode("latin-1")}
    )
    assert answer.status_code == 303
    assert answer.location.startswith("/sign-in")


HOSTILE_NEXT = [
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "\t//evil.example",
    " //evil.example",
    "https://evil.example",
    "https:evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "//localhost@evil.example",
    "/..//evil.example",
    "/.//evil.example",
    "/%2f/evil.example",
    "%2f%2fevil.example",
    "/%5cevil.example",
    "/llm_outputs\r\nLocation: https://evil.example",
    "\x00//evil.example",
    "evil.example",
    "",
]


def lands_on(location: str) -> str:
    """The host a browser goes to: it drops tabs and line ends and takes `\\` for `/`."""
    seen = re.sub(r"[\t\r\n]", "", location).strip("".join(map(chr, range(33)))).replace("\\", "/")
    return urlsplit(urljoin("http://localhost/sign-in", seen)).netloc


@pytest.mark.parametrize("follow", HOSTILE_NEXT)
def test_signing_in_leads_to_no_other_site(fresh: House, follow: str) -> None:
    alice = signed_in(fresh, fresh.alice)
    answer = alice.get("/sign-in", query_string={"next": follow})
    assert answer.status_code == 303
    assert lands_on(answer.location) == "localhost"
    assert "\n" not in answer.location


def test_signing_in_by_the_form_leads_where_one_wanted_to_go(fresh: House) -> None:
    with_password(fresh, fresh.bob)
    wanted = visitor(fresh).get("/llm_outputs?status=failed&q=a%26b").location
    assert urlsplit(wanted).path == "/sign-in"
    for follow, location in (
        ("/llm_outputs?status=failed&q=a%26b", "/llm_outputs?status=failed&q=a%26b"),
        ("//evil.example", "/llm_outputs"),
    ):
        assert sign_in(fresh, fresh.bob, follow=follow)[1].location == location


def test_a_part_of_a_page_sends_the_whole_page_to_the_sign_in(fresh: House) -> None:
    answer = visitor(fresh).get("/account", headers={"HX-Request": "true"})
    assert answer.status_code == 204
    assert answer.headers["HX-Redirect"] == "/sign-in?next=/account"


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


# --- what every answer carries --------------------------------------------------------------------


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
