"""Who calls, and whether an endpoint lets him: a Bearer key, its scopes, its user's role.

Deny by default: an endpoint has no access rule until it names one. Cookies, query strings and
method overrides are never looked at. What keys are and how they are checked is `app.accounts`'.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hmac import compare_digest

from flask import g, request

from api import limits
from app.accounts import Caller, authenticate, note_use
from app.errors import Unauthenticated
from app.runtime import Runtime
from models import Scope

_BEARER = re.compile(r"Bearer +([\x21-\x7e]{1,500})", re.IGNORECASE)
_SHOWN_PREFIX = re.compile(r"ljk_(?:live|test)_([0-9A-Za-z]{10})_")


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Who may call an endpoint. `monitoring`: the metrics token, too, which is nobody's key."""

    public: bool = False
    scope: Scope | None = None
    administrator: bool = False
    monitoring: bool = False

    def check(self, caller: Caller) -> None:
        """Raises Forbidden naming what is missing."""
        if self.administrator:
            caller.require_administrator()
        if self.scope is not None:
            caller.require(self.scope)


PUBLIC = Access(public=True)
ANY_KEY = Access()
ADMINISTRATOR = Access(administrator=True)
MONITORING = Access(scope=Scope.OPS_READ, monitoring=True)


def scope(needed: Scope) -> Access:
    """Keys that have this scope, or are not limited and whose user may have it."""
    return Access(scope=needed)


def authenticated(runtime: Runtime) -> Caller:
    """The caller of the current request. Raises Unauthenticated; counts failures per address."""
    try:
        key = _presented_key()
        with runtime.database.read() as session:
            caller = authenticate(session, key)
    except Unauthenticated:
        limits.count_refusal(runtime, request.remote_addr or "")
        raise
    note_use(runtime.database, caller)
    g.caller = caller
    g.key_prefix = _shown_prefix(key)
    return caller


def presents_metrics_token(runtime: Runtime) -> bool:
    """Does the current request carry the token of the settings? Without one, nothing does."""
    token = runtime.settings.metrics_token
    match = _bearer()
    if token is None or match is None:
        return False
    return compare_digest(match[1].encode(), token.get_secret_value().encode())


def bearer() -> str | None:
    """What the current request carries in `Authorization: Bearer`; None for nothing."""
    match = _bearer()
    return match[1] if match else None


def _bearer() -> re.Match[str] | None:
    return _BEARER.fullmatch(request.headers.get("Authorization", "").strip())


def _presented_key() -> str:
    match = _bearer()
    if not match:
        raise Unauthenticated("Missing API key: send it as Authorization: Bearer <key>")
    return match[1]


def _shown_prefix(key: str) -> str:
    """The public part of a key that was accepted."""
    match = _SHOWN_PREFIX.match(key)
    return match[1] if match else ""
