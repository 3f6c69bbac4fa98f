"""Answers of several models to the same request, side by side, each with its thumb.

Which rows belong together stands in their metadata and in the address (`app.jobs.compare`); the
page asks for each answer again until it has ended.
"""

from __future__ import annotations

from typing import Any

from flask import Response

from api.web import api_calls, render
from api.web.pages import Pages
from api.web.visit import Visit
from app import jobs
from app.errors import NotFound
from app.jobs import sentences
from app.jobs.compare import MOST_COMPARED, compared
from models import ENDED

pages = Pages()

_LONGEST_IDS = 200


@pages.get("/compare/<comparison_id>")
def side_by_side(visit: Visit, comparison_id: str) -> Response:
    """All answers of a comparison; `?ids=1,2,3` says which rows."""
    ids = _ids(visit.query.get("ids", ""))
    rows = _rows(visit, comparison_id, ids)
    return visit.page(
        "submit/side_by_side.html",
        answers=[_answer(row) for row in rows],
        left=sum(row["status"] not in ENDED for row in rows),
        comparison_id=comparison_id,
        ids=",".join(map(str, ids)),
        calls=api_calls.of_each(visit.base_url, ids),
    )


@pages.get("/compare/<comparison_id>/answers/<row:output_id>")
def one_answer(visit: Visit, comparison_id: str, output_id: int) -> Response:
    """One of them as it is now, and how many have not ended."""
    ids = _ids(visit.query.get("ids", ""))
    if output_id not in ids:
        raise NotFound("Unknown comparison")
    rows = _rows(visit, comparison_id, ids)
    return visit.fragment(
        "submit/one_answer.html",
        answer=next(_answer(row) for row in rows if row["id"] == output_id),
        left=sum(row["status"] not in ENDED for row in rows),
        total=len(rows),
        comparison_id=comparison_id,
        ids=",".join(map(str, ids)),
    )


def _rows(visit: Visit, comparison_id: str, ids: list[int]) -> list[dict[str, Any]]:
    with visit.runtime.database.read() as session:
        return jobs.describe_many(session, compared(session, visit.caller, comparison_id, ids))


def _answer(row: dict[str, Any]) -> dict[str, Any]:
    """What a card shows. Markdown and HTML are shown in a frame that can do nothing."""
    in_frame = row["success"] and row["format"] in ("markdown", "html")
    return {
        "row": row,
        "ended": row["status"] in ENDED,
        "seconds": sum(attempt["duration_seconds"] or 0 for attempt in row["attempts"]) or None,
        "frame": in_frame and _frame(row["id"]),
        "explanation": sentences.explain(row),
    }


def _frame(output_id: int) -> str:
    """Where the answer is shown by itself."""
    return render.address("render_answer", output_id=output_id)


def _ids(text: str) -> list[int]:
    parts = text[:_LONGEST_IDS].split(",")
    found = [int(part) for part in parts if part.isascii() and part.isdigit() and len(part) <= 18]
    if len(found) != len(parts) or not 1 <= len(set(found)) == len(found) <= MOST_COMPARED:
        raise NotFound("Unknown comparison")
    return found
