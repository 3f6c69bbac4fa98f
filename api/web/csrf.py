"""That an unsafe request comes from a page of ours, and not from a stranger's.

Two walls: the browser's own word (`Sec-Fetch-Site`, or else `Origin`) and a token in each form. The
token is an HMAC, under LLM_JOBS_SECRET_KEY, of a secret cookie, so nothing has to be stored: the
sign-in's cookie, or before signing in one made for the purpose (which also stops a stranger from
signing somebody in as himself). Source: OWASP, Cross-Site Request Forgery Prevention Cheat Sheet.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from urllib.parse import urlsplit

from flask import Response, g, request

from api.routing import runtime
from app.errors import Forbidden

FIELD = "_csrf"
HEADER = "X-CSRF-Token"
COOKIE = "llm_jobs_visitor"

_SAFE_SITES = ("same-origin", "none")


def token() -> str:
    """The token for forms of the current response."""
    return _token_of(_seed())


def check() -> None:
    """Raises Forbidden unless the current request was sent by a page of ours."""
    _check_origin()
    sent = request.headers.get(HEADER) or request.form.get(FIELD, "")
    if not hmac.compare_digest(sent.encode(), token().encode()):
        raise Forbidden("This form is no longer valid: go back, reload the page and try again")


def keep_seed(response: Response, *, secure: bool) -> None:
    """Send the cookie a visitor's forms are tied to, if one was made for this response."""
    made: str | None = g.get("csrf_seed")
    if made is not None:
        response.set_cookie(COOKIE, made, httponly=True, secure=secure, samesite="Lax", path="/")


def _check_origin() -> None:
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        if site not in _SAFE_SITES:
            raise Forbidden("Forms of other sites are not accepted")
        return
    origin = request.headers.get("Origin")
    if origin is not None and _host_of(origin) != request.host:
        raise Forbidden("Forms of other sites are not accepted")


def _host_of(origin: str) -> str:
    try:
        return urlsplit(origin).netloc
    except ValueError:  # such as `http://[`
        return ""


def _seed() -> str:
    """What the token is made of: the sign-in's secret, or the visitor's."""
    signed_in: str | None = g.get("session_token")
    if signed_in:
        return signed_in
    found = request.cookies.get(COOKIE, "")
    if len(found) == 43:
        return found
    if g.get("csrf_seed") is None:
        g.csrf_seed = secrets.token_urlsafe(32)
    return str(g.csrf_seed)


def _token_of(seed: str) -> str:
    secret = runtime().settings.secret_key
    key = secret.get_secret_value() if secret else "llm-jobs"
    return hmac.new(key.encode(), f"form:{seed}".encode(), hashlib.sha256).hexdigest()
