"""Turns what a view returns into a response: JSON bytes, status, headers, conditional GETs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeVar
from urllib.parse import urlencode

from flask import Response, g, request
from pydantic import BaseModel

from api.body import JSON, JSON_API
from app.moments import iso
from app.paging import Page

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a view answers. `json_api` is the same for a client that sent a JSON:API body.

    `cacheable` gives the answer an ETag, so that asking again for what has not changed costs 304.
    """

    body: BaseModel | Mapping[str, Any] | None = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    json_api: Mapping[str, Any] | None = None
    cacheable: bool = False


def to_response(reply: Reply | Response) -> Response:
    """The reply as Flask's response; one that is a response already passes."""
    if isinstance(reply, Response):
        return reply
    if reply.json_api is not None and g.get("json_api"):
        response = Response(as_json(reply.json_api), reply.status, content_type=JSON_API)
    elif reply.body is None:
        response = without_content(reply.status)
    else:
        response = Response(as_json(reply.body), reply.status, content_type=JSON)
    response.headers.update(reply.headers)
    if reply.cacheable:
        response.headers["Cache-Control"] = "private, no-cache"
        response.add_etag()
        response.make_conditional(request)
    return response


def without_content(status: int, headers: Mapping[str, str] | None = None) -> Response:
    """A response that has no body, and says nothing about one."""
    response = Response(status=status)
    del response.headers["Content-Type"]
    response.headers.update(headers or {})
    return response


def page_reply(page: Page[Row], shown: Callable[[Sequence[Row]], Sequence[Any]]) -> Reply:
    """A page of a list; `Link: rel=next` is this address with the next cursor."""
    rows = [row.model_dump() if isinstance(row, BaseModel) else row for row in shown(page.rows)]
    body = {"data": rows, "has_more": page.next is not None, "next": page.next}
    headers = {} if page.next is None else {"Link": f'<{_with_after(page.next)}>; rel="next"'}
    return Reply(body=body, headers=headers)


def as_json(body: BaseModel | Mapping[str, Any]) -> str:
    """Compact JSON; times in RFC 3339 with `Z`, money as a number."""
    plain = body.model_dump() if isinstance(body, BaseModel) else body
    return json.dumps(
        plain, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_plain
    )


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def _with_after(cursor: str) -> str:
    arguments = {**request.args.to_dict(), "after": cursor}
    return f"{request.path}?{urlencode(arguments)}"
