"""The cookie of a sign-in, and who stands behind it. What a sign-in is, is `app.accounts`'."""

from __future__ import annotations

import time
from collections.abc import Callable

from flask import Response, g, request

from app.accounts import Caller, note_seen, signed_in
from app.accounts.sessions import LONGEST_SECONDS
from app.errors import Unauthenticated, Unavailable
from app.runtime import Runtime

COOKIE = "llm_jobs_session"

LOOK_SECONDS = 15.0
"""How long an open stream may outlive its sign-in."""


def visitor(runtime: Runtime) -> Caller | None:
    """Who is signed in, if somebody is. Raises Unavailable when the database is away."""
    token = request.cookies.get(COOKIE, "")
    if not token:
        return None
    try:
        with runtime.database.read() as session:
            found = signed_in(session, token)
    except Unauthenticated:
        return None
    note_seen(runtime.database, found)
    g.caller, g.session_token = found.caller, token
    return found.caller


def over(runtime: Runtime) -> Callable[[], bool]:
    """Whether the current request's sign-in has ended since; for what stays open long.

    It is looked up now and then only. A database that is away ends nothing.
    """
    token, looked, ended = str(g.session_token), time.monotonic(), False

    def is_over() -> bool:
        nonlocal looked, ended
        if not ended and time.monotonic() - looked >= LOOK_SECONDS:
            looked = time.monotonic()
            ended = _ended(runtime, token)
        return ended

    return is_over


def _ended(runtime: Runtime, token: str) -> bool:
    try:
        with runtime.database.read() as session:
            signed_in(session, token)
    except Unauthenticated:
        return True
    except Unavailable:
        return False
    return False


def keep(response: Response, token: str, *, secure: bool) -> None:
    """Send the cookie of a new sign-in."""
    response.set_cookie(
        COOKIE,
        token,
        max_age=int(LONGEST_SECONDS),
        httponly=True,
        secure=secure,
        samesite="Lax",
        path="/",
    )


def forget(response: Response) -> None:
    """Take the cookie back."""
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="Lax")


def over_tls(runtime: Runtime) -> bool:
    """Whether cookies may be kept to encrypted connections."""
    public = runtime.settings.public_url
    return request.is_secure or (public is not None and public.scheme == "https")
