"""Two outputs side by side."""

from __future__ import annotations

from flask import Response

from api.web import api_calls, render
from api.web.comparison import compared
from api.web.pages import Pages
from api.web.views.output import read
from api.web.visit import Visit

pages = Pages()


@pages.get("/llm_outputs/<row:output_id>/compare")
def choose_other(visit: Visit, output_id: int) -> Response:
    """Where the form on the lineage tab goes: on to the comparison with `?other=`."""
    other = visit.query.get("other", "")
    other = other if other.isascii() and other.isdigit() and len(other) < 20 else "0"
    return visit.go(render.address("compare", output_id=output_id, other=other))


@pages.get("/llm_outputs/<row:output_id>/compare/<row:other>")
def compare(visit: Visit, output_id: int, other: int) -> Response:
    """What was asked differently, and what came of it. Raises NotFound when either is a
    stranger's."""
    before, after = read(visit, output_id).row, read(visit, other).row
    return visit.page(
        "output/compare.html",
        before=before,
        after=after,
        sections=compared(before, after),
        calls=api_calls.of_each(visit.base_url, [before["id"], after["id"]]),
    )
