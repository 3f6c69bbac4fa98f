"""The list of outputs."""

from __future__ import annotations

from flask import Response

from api.web import render
from api.web.pages import Pages
from api.web.visit import Visit
from app import jobs

pages = Pages()


@pages.get("/llm_outputs")
def outputs(visit: Visit) -> Response:
    """One's own rows, newest first."""
    after = visit.query.get("after")
    with visit.runtime.database.read() as session:
        page = jobs.list_outputs(session, visit.caller, after=after)
        rows = jobs.describe_many(session, page.rows)
    return visit.page(
        "outputs/list.html",
        rows=rows,
        next_address=page.next and render.address("outputs", after=page.next),
        first_address=after and render.address("outputs"),
    )
