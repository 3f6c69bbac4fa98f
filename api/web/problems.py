"""Refusals as people read them: a page, or a notice where htmx asked for a part of one."""

from __future__ import annotations

from flask import Response, g, request

from api.errors import Problem
from api.web import render


def for_people() -> bool:
    """Whether the current request's refusal should be a page: pages, and lost browsers."""
    if g.get("page") is not None:
        return True
    by_browser = request.accept_mimetypes.best_match(["application/json", "text/html"])
    lost = request.url_rule is None and not request.path.startswith("/api/")
    return lost and by_browser == "text/html" and "text/html" in str(request.accept_mimetypes)


def answer(problem: Problem) -> Response:
    """The problem, its request id, and what to do now."""
    caller = g.get("caller")
    if request.headers.get("HX-Request") == "true":
        response = render.fragment(
            "errors/notice.html", status=problem.status, caller=caller, problem=problem
        )
        response.headers["HX-Retarget"] = "#notices"
        response.headers["HX-Reswap"] = "beforeend"
    else:
        response = render.page(
            "errors/page.html", status=problem.status, caller=caller, problem=problem
        )
    kept = ("Retry-After", "Allow")
    response.headers.update({n: v for n, v in problem.headers.items() if n in kept})
    return response
