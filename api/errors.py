"""Every refusal as one body: RFC 9457 problem details that also carry the seed's flat `error`.

Our own tree, the framework's HTTP errors and anything unforeseen all leave through `install`; a
view never builds an error body. Clients that speak JSON:API find its form in `errors`. Which errors
exist, their codes and statuses, stands in `app.errors`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import structlog
from flask import Flask, Response, g, request
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException, InternalServerError

from api.body import JSON_API
from app.errors import LLMJobsError, RequestError, TooManyRequests, Unauthenticated, Unavailable

log = structlog.get_logger(__name__)

PROBLEM = "application/problem+json"
TYPE_PREFIX = "urn:llm-jobs:error:"
UNAVAILABLE_RETRY_SECONDS = 5
SHOWN_CHARACTERS = 500
"""How much of a sentence, which may quote the request, is sent back."""

_FRAMEWORK_CODES = {
    400: ("invalid_request", "Invalid request"),
    401: ("unauthenticated", "Missing or invalid API key"),
    403: ("forbidden", "Forbidden"),
    404: ("not_found", "Not found"),
    405: ("method_not_allowed", "Method not allowed"),
    408: ("request_timeout", "Request timeout"),
    409: ("conflict", "Conflict"),
    413: ("payload_too_large", "Request body too large"),
    415: ("unsupported_media_type", "Unsupported media type"),
    431: ("headers_too_large", "Request headers too large"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing wrong with a request. `pointer` is the JSON pointer of the culprit, if it has one;
    a query parameter or header is named by `parameter` instead."""

    code: str
    detail: str
    title: str
    pointer: str | None = None
    parameter: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A refusal, before it is put into words for one client."""

    status: int
    code: str
    title: str
    detail: str
    error: str
    faults: tuple[Fault, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


def install(
    app: Flask, *, for_people: Callable[[], bool], page: Callable[[Problem], Response]
) -> None:
    """Send every error of this application through `render`, or through `page` where the current
    request is a person's (`for_people`).
    """

    def answer(error: Exception) -> Response:
        problem = problem_of(error)
        return page(problem) if for_people() else render(problem)

    app.register_error_handler(Exception, answer)


def problem_of(error: Exception) -> Problem:
    """What to tell the client about an error; what it must not know is logged instead."""
    if isinstance(error, PoolTimeout):
        error = Unavailable("The database is not available")
    if isinstance(error, LLMJobsError):
        return _of_ours(error)
    if isinstance(error, HTTPException) and not isinstance(error, InternalServerError):
        return _of_framework(error)
    return _internal(error)


def render(problem: Problem) -> Response:
    """The problem as a response to the current request."""
    # ASCII only: a sentence may quote what cannot be encoded.
    text = json.dumps(body_of(problem), allow_nan=False, default=str)
    response = Response(text + "\n", problem.status, content_type=PROBLEM)
    response.headers.update(problem.headers)
    return response


def body_of(problem: Problem) -> dict[str, Any]:
    """The problem as JSON, for the current request."""
    body = {
        "error": _shown(problem.error),
        "type": TYPE_PREFIX + problem.code,
        "title": problem.title,
        "status": problem.status,
        "detail": _shown(problem.detail),
        "instance": _shown(request.path),
        "request_id": g.get("request_id", ""),
        "code": problem.code,
        "errors": [_fault(fault, problem.status) for fault in problem.faults],
    }
    return {**{k: v for k, v in problem.facts.items() if k not in body}, **body}


def speaks_json_api() -> bool:
    """Does the current client want JSON:API? By what it sent, or by naming it in `Accept`."""
    accepted = (value for value, _ in request.accept_mimetypes)  # `*/*` asks for nothing
    return bool(g.get("json_api")) or request.mimetype == JSON_API or JSON_API in accepted


def _of_ours(error: LLMJobsError) -> Problem:
    if error.status >= 500 and not isinstance(error, Unavailable):
        return _internal(error)
    facts = dict(error.details)
    return Problem(
        status=error.status,
        code=error.code,
        title=error.title,
        detail=error.message,
        error=_flat_sentence(error),
        faults=_faults(error, facts.pop("faults", None), facts.pop("errors", None)),
        facts=facts,
        headers=_headers_of(error),
    )


def _of_framework(error: HTTPException) -> Problem:
    status = error.code or 500
    code, title = _FRAMEWORK_CODES.get(status, (f"http_{status}", error.name))
    headers = {name: value for name, value in error.get_headers() if name != "Content-Type"}
    detail = _FRAMEWORK_SENTENCES.get(status, f"{title}.")
    return Problem(
        status=status, code=code, title=title, detail=detail, error=title, headers=headers
    )


_FRAMEWORK_SENTENCES = {
    404: "There is nothing at this address.",
    405: "This address does not take this method; the Allow header names those it takes.",
}


def _internal(error: Exception) -> Problem:
    log.error("request failed", exc_info=error, request_id=g.get("request_id"))
    return Problem(
        status=500,
        code="internal",
        title="Internal error",
        detail="Something failed on our side; the request id finds it in our logs.",
        error="Internal error",
    )


def _flat_sentence(error: LLMJobsError) -> str:
    """The seed's `error` string; an operation may have its own for a database that is away."""
    if isinstance(error, Unavailable) and g.get("unavailable_sentence"):
        return str(g.unavailable_sentence)
    return error.message


def _faults(
    error: LLMJobsError, faults: Sequence[Fault] | None, items: Sequence[Mapping[str, Any]] | None
) -> tuple[Fault, ...]:
    """What is wrong, one by one: found by a schema, in the items of a list, or a single thing."""
    if faults is not None:
        return tuple(faults)
    if items is None:
        return _single_fault(error)
    return tuple(
        Fault(code=i["code"], detail=i["detail"], title=error.title, pointer=i.get("pointer"))
        for i in items
    )


def _single_fault(error: LLMJobsError) -> tuple[Fault, ...]:
    pointer = error.pointer if isinstance(error, RequestError) else None
    if pointer is None and not speaks_json_api():
        return ()
    fault = Fault(code=error.code, detail=error.message, title=error.title, pointer=pointer)
    if request.method in ("GET", "HEAD") and pointer is not None:  # what it names is in the query
        fault = replace(fault, pointer=None, parameter=pointer.removeprefix("/"))
    return (fault,)


def _headers_of(error: LLMJobsError) -> dict[str, str]:
    if isinstance(error, Unauthenticated):
        return {"WWW-Authenticate": "Bearer"}
    if isinstance(error, TooManyRequests):
        return {"Retry-After": str(max(1, math.ceil(error.retry_after_seconds)))}
    if isinstance(error, Unavailable):
        return {"Retry-After": str(UNAVAILABLE_RETRY_SECONDS)}
    return {}


def _fault(fault: Fault, status: int) -> dict[str, Any]:
    if speaks_json_api():
        return _json_api_fault(fault, status)
    place = {"pointer": fault.pointer, "parameter": fault.parameter}
    told = {name: _shown(value) for name, value in place.items() if value is not None}
    return {**told, "code": fault.code, "detail": _shown(fault.detail)}


def _json_api_fault(fault: Fault, status: int) -> dict[str, Any]:
    source: dict[str, str] = {}
    if fault.pointer is not None:
        inside = g.get("json_api") and not fault.pointer.startswith("/data")
        source["pointer"] = _shown(("/data/attributes" if inside else "") + fault.pointer)
    if fault.parameter is not None:
        source["parameter"] = _shown(fault.parameter)
    told = {"status": str(status), "code": fault.code, "title": fault.title}
    return {**told, "detail": _shown(fault.detail), **({"source": source} if source else {})}


def _shown(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"
