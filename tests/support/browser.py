"""Chromium for tests of pages: found on the machine, driven by Playwright, silent to strangers.

A page that a test opens fails the test when it logs an error, breaks the Content-Security-Policy or
asks another host for anything.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Page, Request, sync_playwright

from api.web.sign_in import COOKIE
from app import accounts
from models import Role
from tests.support.platform import Platform
from tests.support.requirements import missing
from tests.support.sign_ins import forged_sign_in

PASSWORD = "correct horse battery"
_PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser")
"""The first does without the windows that nobody sees, at three quarters of the CPU."""
_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Debian's Chromium, headless. Skips the test (fails it in CI) when there is none."""
    program = next(filter(None, map(shutil.which, _PROGRAMS)), None)
    if program is None:
        missing("a browser", install=f"apt-get install {_PROGRAMS[0]}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=_ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Person:
    """Somebody with a browser of his own."""

    email: str
    caller: accounts.Caller
    context: BrowserContext
    platform: Platform
    faults: list[str] = field(default_factory=list)
    allowed: list[str] = field(default_factory=list)
    """Parts of console errors a test expects, such as `status of 404`."""

    @property
    def user_id(self) -> int:
        assert self.caller.user_id
        return self.caller.user_id

    def open(self, path: str = "/") -> Page:
        """A new tab at an address of the platform."""
        page = self.context.new_page()
        page.on("console", lambda said: self._hear(said.type, said.text))
        page.on("pageerror", lambda error: self.faults.append(f"script: {error}"))
        page.goto(path)
        return page

    def enter(self) -> None:
        """Be signed in, without a visit of the form."""
        token = forged_sign_in(self.platform.runtime.database, self.user_id)
        self.context.add_cookies([{"name": COOKIE, "value": token, "url": self.platform.web_url}])

    def give_password(self) -> None:
        """Let the form know this person by `PASSWORD`."""
        with self.platform.runtime.database.write() as session:
            accounts.set_password(session, accounts.OPERATOR, self.user_id, PASSWORD)

    def check(self) -> None:
        """Fail when a page complained, or asked a stranger for something."""
        assert not self.faults, self.faults

    def _hear(self, kind: str, text: str) -> None:
        if kind == "error" and not any(part in text for part in self.allowed):
            self.faults.append(text)


def person(
    browser: Browser, platform: Platform, name: str, *, admin: bool = False, **options: object
) -> Person:
    """A user without a password, with a new browser. `options` are Playwright's."""
    email = f"{name}-{uuid.uuid4().hex[:8]}@example.org"
    with platform.runtime.database.write() as session:
        role = Role.ADMIN if admin else Role.MEMBER
        user = accounts.create_user(session, email=email, name=name, role=role)
        caller = accounts.caller_of(user)
    context = browser.new_context(base_url=platform.web_url, **options)  # type: ignore[arg-type]
    context.set_default_timeout(15_000)
    made = Person(email, caller, context, platform)
    host = urlsplit(platform.web_url).netloc

    def watch(request: Request) -> None:
        asked = urlsplit(request.url)
        if asked.scheme not in ("data", "blob", "about") and asked.netloc != host:
            made.faults.append(f"asked {request.url}")

    context.on("request", watch)
    return made
