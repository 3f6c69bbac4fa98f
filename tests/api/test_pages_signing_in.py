"""Signing in, staying in, being out again: for people and for who would like to be them."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest
from redis import Redis
from werkzeug.test import TestResponse

from api.web.sign_in import COOKIE
from app import accounts
from app.dev.redis import EmbeddedRedis
from models import User
from tests.api.house import House, Person, open_house
from tests.api.visiting import PASSWORD, Visitor, sign_in, signed_in, visitor, with_password
from tests.support.databases import SQLiteDatabases

HTML = "text/html; charset=utf-8"


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
    alice, answer = sign_in(strict_house, strict_house.alice)
    last = alice.post("/sign-out", data={})
    said = [one for one in last.headers.getlist("Set-Cookie") if one.startswith("llm_jobs_news=")]
    for cookie in (*first.headers.getlist("Set-Cookie"), cookie_of(answer), *said):
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


def test_guessing_the_present_password_is_slowed_down(strict_house: House) -> None:
    _flush(strict_house)
    thief = signed_in(strict_house, strict_house.charlie)
    guess = {"current": "a wrong password", "new": "another good password"}
    said = [thief.post("/account/password", data=guess).status_code for _ in range(30)]
    assert said[0] == 403
    assert said[-1] == 429


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


def test_signing_in_again_ends_the_browsers_earlier_sign_in(fresh: House) -> None:
    with_password(fresh, fresh.alice)
    browser, elsewhere = signed_in(fresh, fresh.bob), signed_in(fresh, fresh.bob)
    thief = visitor(fresh)
    earlier = browser.client.get_cookie(COOKIE)
    assert earlier
    thief.client.set_cookie(COOKIE, earlier.value)
    data = {"email": "alice@example.org", "password": PASSWORD}
    assert browser.post("/sign-in", data=data).status_code == 303
    assert is_in(browser)
    assert not is_in(thief)
    assert is_in(elsewhere)


@pytest.mark.parametrize("origin", ["null", "http://[", "https://evil.example", "//", ""])
def test_a_form_of_an_odd_origin_is_refused(fresh: House, origin: str) -> None:
    alice = signed_in(fresh, fresh.alice)
    refused = alice.post("/sign-out", data={}, headers={"Origin": origin})
    assert refused.status_code == 403
    assert is_in(alice)


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
