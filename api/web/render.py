"""Turns facts into HTML: templates, their filters, and the headers every page carries."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote, unquote

from flask import Response, current_app, g, render_template, request, url_for

from api.web import assets, csrf, sign_in, words
from api.web.navigation import entries
from api.web.notices import banners
from app.accounts import Caller

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " font-src 'self'; connect-src 'self'; frame-src 'self'; form-action 'self';"
    " base-uri 'none'; frame-ancestors 'none'"
)
EMBEDDED = "page_embedded_"
"""What the names of pages in somebody's frame begin with."""

NEWS_COOKIE = "llm_jobs_news"
_LONGEST_NEWS = 300


def page(template: str, *, status: int = 200, caller: Caller | None, **facts: Any) -> Response:
    """A whole page, with the frame around it."""
    news = unquote(request.cookies.get(NEWS_COOKIE, ""))[:_LONGEST_NEWS]
    response = _response(template, status, caller=caller, news=news, **facts)
    if news:
        response.delete_cookie(NEWS_COOKIE)
    return response


def fragment(template: str, *, status: int = 200, caller: Caller | None, **facts: Any) -> Response:
    """A part of a page."""
    return _response(template, status, caller=caller, **facts)


def say(response: Response, sentence: str) -> None:
    """Let the next page show a sentence, once."""
    response.set_cookie(
        NEWS_COOKIE,
        quote(sentence[:_LONGEST_NEWS]),
        max_age=30,
        httponly=True,
        secure=sign_in.over_tls(current_app.extensions["llm_jobs"]),
        samesite="Lax",
    )


def frame(caller: Caller | None) -> dict[str, Any]:
    """What the frame of every page needs to know."""
    runtime, embedded = current_app.extensions["llm_jobs"], bool(g.get("embedded"))
    return {
        "caller": None if embedded else caller,
        "embedded": embedded,
        "navigation": [] if embedded else entries(caller),
        "asset": assets.address,
        "csrf_token": (lambda: "") if embedded else csrf.token,
        "here": request.full_path.rstrip("?"),
        "request_id": g.get("request_id", ""),
        "address": address,
        "settings": runtime.settings,
        "banners": lambda: banners(runtime, caller),
    }


def address(page: str, **arguments: Any) -> str:
    """Where a page is: `address("outputs", status="failed")`. Empty arguments are left out. In
    somebody's frame it is the page of that name there.
    """
    given = {name: value for name, value in arguments.items() if value not in (None, "")}
    return url_for(f"{EMBEDDED if g.get('embedded') else 'page_'}{page}", **given)


def to_json(value: Any) -> str:
    """A value as people read it: two spaces, no escapes but those that are needed."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def install_filters(environment: Any) -> None:
    """Give templates our filters (`words.py`) and nothing that could run what a model wrote."""
    environment.filters.update(words.FILTERS)
    environment.filters["pretty"] = to_json
    environment.trim_blocks = True
    environment.lstrip_blocks = True


def _response(template: str, status: int, **facts: Any) -> Response:
    html = render_template(template, **{**frame(facts.pop("caller")), **facts})
    response = Response(html, status, content_type="text/html; charset=utf-8")
    response.headers["Content-Security-Policy"] = POLICY
    return response
