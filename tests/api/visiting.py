"""Visits to pages without a browser: somebody signed in by the form, the form's token at hand."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import unescape
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from api.web.sign_in import COOKIE
from app import accounts
from tests.api.house import House, Person
from tests.support.sign_ins import forged_sign_in

PASSWORD = "correct horse battery"
_TOKEN = re.compile(r'<meta name="csrf-token" content="([0-9a-f]+)">')


@dataclass
class Visitor:
    """A browser that knows no scripts. Its cookies are its own."""

    client: FlaskClient

    def get(self, path: str, **kw: Any) -> TestResponse:
        return self.client.get(path, **kw)

    def post(self, path: str, *, token: str | None = None, **kw: Any) -> TestResponse:
        """Send a form (`data`) with the page's token; `token=""` sends none."""
        headers = dict(kw.pop("headers", {}))
        sent = self.token() if token is None else token
        if sent:
            headers["X-CSRF-Token"] = sent
        return self.client.post(path, headers=headers, **kw)

    def token(self) -> str:
        """The token that forms of this visitor carry now."""
        found = _TOKEN.search(self.client.get("/account", follow_redirects=True).text)
        assert found
        return found[1]


def visitor(house: House) -> Visitor:
    """Somebody who is not signed in."""
    return Visitor(house.app.test_client())


def signed_in(house: House, person: Person) -> Visitor:
    """Somebody who has signed in, without the form."""
    token = forged_sign_in(house.database, person.user_id)
    one = visitor(house)
    one.client.set_cookie(COOKIE, token)
    return one


def with_password(house: House, person: Person) -> None:
    """Give somebody the password `PASSWORD`."""
    with house.database.write() as session:
        accounts.set_password(session, accounts.OPERATOR, person.user_id, PASSWORD)


def sign_in(house: House, person: Person, *, follow: str = "") -> tuple[Visitor, TestResponse]:
    """Somebody with a password comes in by the form; the visitor, and what the form answered."""
    one = visitor(house)
    email = f"{person.name}@example.org"
    data = {"email": email, "password": PASSWORD, "next": follow}
    return one, one.post("/sign-in", data=data)


def field(answer: TestResponse, name: str) -> str:
    """The value of a field (input or textarea) of the page, as a browser would send it."""
    text = re.search(
        rf'<textarea [^>]*\bname="{re.escape(name)}"[^>]*>\n?(.*?)</textarea>', answer.text, re.S
    )
    if text:
        return unescape(text[1])
    tag = re.search(rf'<input [^>]*\bname="{re.escape(name)}"[^>]*>', answer.text)
    assert tag, f"no field {name}"
    value = re.search(r'\bvalue="([^"]*)"', tag[0])
    return unescape(value[1]) if value else ""
