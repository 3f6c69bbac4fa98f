"""What belongs to every request: its id, its one canonical log line, and the headers all have.

The line says who asked for what and how it went; never a body, a query value or a key.
"""

from __future__ import annotations

import re
import time
import uuid

import structlog
from flask import Flask, Response, g, request

from api import limits
from app import log as app_log

log = structlog.get_logger(__name__)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}", re.ASCII)
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)

JSON_POLICY = "default-src 'none'; frame-ancestors 'none'"


def install(app: Flask, *, rate: str) -> None:
    """Begin each request with an id, end it with headers and a line. `rate` is a key's."""
    app.before_request(_begin)
    app.after_request(lambda response: _finish(response, rate))


def traceparent() -> str | None:
    """The W3C trace context of the current request, if it sent a well-formed one."""
    sent = request.headers.get("traceparent", "")
    return sent if _TRACEPARENT.fullmatch(sent) else None


def _begin() -> None:
    g.started = time.perf_counter()
    sent = request.headers.get("X-Request-Id", "")
    g.request_id = sent if _REQUEST_ID.fullmatch(sent) else uuid.uuid4().hex
    app_log.clear()
    app_log.bind(request_id=g.request_id)


def _finish(response: Response, rate: str) -> Response:
    response.headers["X-Request-Id"] = g.request_id
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Content-Security-Policy", JSON_POLICY)
    response.headers.setdefault("Referrer-Policy", "no-referrer")
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers.setdefault("Vary", "Authorization, Accept, Cookie, HX-Request")
    _log_when_closed(limits.add_headers(response, rate))
    return response


def _log_when_closed(response: Response) -> None:
    """The line is written when the last byte is out: a stream's duration is its whole life."""
    caller = g.get("caller")
    started = g.started
    for_an_asset = request.endpoint in ("asset", "static")
    facts = {
        "method": request.method,
        "route": request.url_rule.rule if request.url_rule else None,
        "status": response.status_code,
        "request_id": g.request_id,
        "user_id": caller.user_id if caller else None,
        "key": g.get("key_prefix"),
    }

    def write() -> None:
        milliseconds = round((time.perf_counter() - started) * 1000, 1)
        if for_an_asset:
            log.debug("request", **facts, duration_ms=milliseconds)
        else:
            log.info("request", **facts, duration_ms=milliseconds)

    response.call_on_close(write)
