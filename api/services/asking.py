"""Whose request it is: the key is in the body, and goes no further than here."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from flask import g, request

from api import limits
from api.body import MEGABYTE, BodyLimits, read_object
from api.sockets import Socket
from app.accounts import Caller, authenticate, caller_of, find_user, note_use
from app.chats.access import check_may_chat
from app.errors import ConfigurationError, Unauthenticated
from app.runtime import Runtime
from app.services.problems import bad_request
from models import Scope

Payload = dict[str, Any]

KEY = "api_key"
START_SECONDS = 30.0
"""How soon a WebSocket has to say what it wants."""

LIMITS = BodyLimits(max_text_bytes=MEGABYTE, max_keys=10_000)
"""Logs and data come as one text each, and a conversation whole, with every request."""


def read(runtime: Runtime) -> tuple[Payload, Caller]:
    """The payload without its key, with a `session_id` of ours, and who sent it.

    Without a key it is LLM_JOBS_COMPAT_USER's, where that is set. Raises what reading a body does,
    and Unauthenticated.
    """
    payload = read_object(request, LIMITS)
    sent = payload.pop(KEY, None)
    caller = _by_key(runtime, sent) if sent not in (None, "") else _default(runtime)
    g.caller = caller
    payload["session_id"] = str(uuid4())
    return payload, caller


def who_opens(runtime: Runtime) -> Caller:
    """Whose WebSocket it is: of the key in `Authorization`, or with the address (`?api_key=`), as
    the original has it. Without one as `read`, but not for a page of somebody else's: a browser
    lets any page open a socket. Raises Unauthenticated.
    """
    scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
    sent = bearer.strip() if scheme.lower() == "bearer" else request.args.get(KEY, "")
    origin = request.headers.get("Origin")
    if not sent and origin is not None and urlsplit(origin).netloc != request.host:
        raise Unauthenticated("A page of another host needs an API key")
    caller = _by_key(runtime, sent) if sent else _default(runtime)
    g.caller = caller
    return caller


def started(socket: Socket) -> Payload:
    """The payload of the `start` that a WebSocket begins with. Raises ServiceError, InvalidRequest,
    and Gone.
    """
    message = socket.receive(START_SECONDS, LIMITS)
    if message is None or message.get("event") != "start":
        raise bad_request('Send {"event": "start", "data": {…}} first')
    payload = message.get("data")
    if not isinstance(payload, dict):
        raise bad_request("'data' must be an object")
    payload.pop(KEY, None)
    return payload


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
