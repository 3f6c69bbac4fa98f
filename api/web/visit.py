"""`Visit`: one request for a page whose sign-in, role and form token were checked."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flask import Response, redirect, request
from werkzeug.datastructures import MultiDict

from api.web import render, sign_in
from app.accounts import Caller, Pass
from app.runtime import Runtime
from app.text import clean_text


@dataclass(frozen=True, slots=True)
class Visit:
    """Who asks for what. `signed_in` is None on pages for anybody."""

    runtime: Runtime
    signed_in: Caller | None
    held: Pass | None = None
    """The pass that somebody in a frame comes with, instead of a sign-in."""

    @property
    def place(self) -> Hashable:
        """Who takes a place for what is held open: one caller may stand for many in frames."""
        return f"chat-{self.held.chat_id}" if self.held else self.caller.user_id

    def over(self) -> Callable[[], bool]:
        """Whether what lets the visitor in has ended since; for what stays open long."""
        if self.held is None:
            return sign_in.over(self.runtime)
        ends = self.held.expires_at
        return lambda: datetime.now(UTC) >= ends

    @property
    def caller(self) -> Caller:
        """Who is signed in. Only a page for anybody has nobody."""
        if self.signed_in is None:
            raise RuntimeError("nobody is signed in on a page for anybody")
        return self.signed_in

    @property
    def query(self) -> MultiDict[str, str]:
        """What stands behind the `?` of the address."""
        return _storable(request.args)

    @property
    def form(self) -> MultiDict[str, str]:
        """The fields of the form that was sent."""
        return request.form

    @property
    def base_url(self) -> str:
        """Where people reach this site, without a slash at the end."""
        return str(self.runtime.settings.public_url or request.host_url).rstrip("/")

    @property
    def wants_fragment(self) -> bool:
        """Whether htmx asks for a part of a page; without JavaScript nobody does."""
        return request.headers.get("HX-Request") == "true"

    def page(self, template: str, *, status: int = 200, **facts: Any) -> Response:
        """A whole page."""
        return render.page(template, status=status, caller=self.signed_in, **facts)

    def fragment(self, template: str, *, status: int = 200, **facts: Any) -> Response:
        """A part of a page, for htmx to put into its place."""
        return render.fragment(template, status=status, caller=self.signed_in, **facts)

    def go(self, address: str, *, said: str = "") -> Response:
        """On to another page (303), which shows `said` once."""
        response: Response = redirect(address, code=303, Response=Response)  # type: ignore[assignment]
        if said:
            render.say(response, said)
        return response


def _storable(sent: MultiDict[str, str]) -> MultiDict[str, str]:
    """The same without NUL, which no keyboard makes and PostgreSQL refuses even in a question."""
    if not any("\x00" in name or "\x00" in value for name, value in sent.items(multi=True)):
        return sent
    pairs = sent.items(multi=True)
    return MultiDict([(clean_text(name), clean_text(value)) for name, value in pairs])
