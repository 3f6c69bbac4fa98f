"""Puts the pages into the application: rules, checks before each, filters, assets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from flask import Flask, Response, g, redirect, request

from api import limits
from api.body import MULTIPART
from api.documents import MAX_FORM_BYTES
from api.routing import UNSAFE, runtime
from api.web import assets, csrf, embedding, render, sign_in
from api.web.pages import Audience, Page
from api.web.views import ROOMS
from api.web.visit import Visit


def all_pages() -> list[Page]:
    """Every page, fragment and form target."""
    return [page for room in ROOMS for page in room]


def install(app: Flask) -> None:
    """Serve the pages and their assets."""
    render.install_filters(app.jinja_env)
    assets.install(app)
    for page in all_pages():
        app.add_url_rule(
            page.path,
            endpoint=page.name,
            view_func=_view(page),
            methods=[page.method],
            strict_slashes=False,
        )
    embedding.install(app)


def _view(page: Page) -> Callable[..., Response]:
    def view(**arguments: Any) -> Response:
        g.page = page
        here = runtime()
        caller = sign_in.visitor(here)
        if caller is None and page.audience is not Audience.ANYBODY:
            return _to_sign_in()
        if caller is not None and page.audience is Audience.ADMINISTRATORS:
            caller.require_administrator()
        if page.method in UNSAFE:
            _allow(page.most_bytes)
            csrf.check()
            if caller is not None:
                limits.count_form(here, caller)
        response = page.view(Visit(here, caller), **arguments)
        csrf.keep_seed(response, secure=sign_in.over_tls(here))
        return response

    return view


def _allow(most_bytes: int | None) -> None:
    """Let a form that brings files be larger than others; said before anything reads it."""
    if most_bytes is not None and request.mimetype == MULTIPART:
        request.max_content_length = most_bytes
        request.max_form_memory_size = min(most_bytes, MAX_FORM_BYTES)  # files do not count


def _to_sign_in() -> Response:
    """First sign in, then come back to the page that was asked for."""
    back = request.full_path.rstrip("?") if request.method == "GET" else ""
    address = render.address("sign_in_form") + (
        f"?next={quote(back)}" if back not in ("", "/") else ""
    )
    if request.headers.get("HX-Request") == "true":
        return Response(status=204, headers={"HX-Redirect": address})
    response: Response = redirect(address, code=303, Response=Response)  # type: ignore[assignment]
    return response
