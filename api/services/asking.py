"""Whose request it is: the key is in the body, and goes no further than here."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from flask import g, request

from api import limits
from api.body import read_object
from app.accounts import Caller, authenticate, caller_of, find_user, note_use
from app.chats.access import check_may_chat
from app.errors import ConfigurationError, Unauthenticated
from app.runtime import Runtime
from models import Scope

Payload = dict[str, Any]

KEY = "api_key"


def read(runtime: Runtime) -> tuple[Payload, Caller]:
    """The payload without its key, with a `session_id` of ours, and who sent it.

    Without a key it is LLM_JOBS_COMPAT_USER's, where that is set. Raises what reading a body does,
    and Unauthenticated.
    """
    payload = read_object(request)
    sent = payload.pop(KEY, None)
    caller = _by_key(runtime, sent) if sent not in (None, "") else _default(runtime)
    g.caller = caller
    payload["session_id"] = str(uuid4())
    return payload, caller


def admit(runtime: Runtime, caller: Caller) -> None:
    """Count the request and ask whether the caller may. Raises TooManyRequests, Forbidden."""
    limits.count_request(runtime, caller)
    caller.require(Scope.CHAT_WRITE)
    check_may_chat(runtime.settings, caller)


def _by_key(runtime: Runtime, key: Any) -> Caller:
    try:
        if not isinstance(key, str):
            raise Unauthenticated
        with runtime.database.read() as session:
            caller = authenticate(session, key)
    except Unauthenticated:
        limits.count_refusal(runtime, request.remote_addr or "")
        raise
    note_use(runtime.database, caller)
    return caller


def _default(runtime: Runtime) -> Caller:
    address = runtime.settings.compat_user
    if not address:
        raise Unauthenticated("Missing API key: send it as api_key in the body")
    with runtime.database.read() as session:
        user = find_user(session, address)
        if user is None or not user.active:
            raise ConfigurationError(f"LLM_JOBS_COMPAT_USER: no active user {address}")
        return caller_of(user)
