"""The form of an output's items: corrected and confirmed by people, with words to suggest.

It stands on the output's page (`output.py`), which shows the items and what became of them.
"""

from __future__ import annotations

from flask import Response

from api.web import item_fields
from api.web.item_fields import Typed
from api.web.pages import Pages
from api.web.views.output import address_of, read, whole_page
from api.web.visit import Visit
from app import diffs, jobs
from app.errors import InvalidParameter, RequestError

pages = Pages()


@pages.post("/llm_outputs/<row:output_id>/items")
def correct_items(visit: Visit, output_id: int) -> Response:
    """Keep the items as they were typed; with the button that confirms, as right. Raises NotFound,
    and Conflict where there is nothing to correct.
    """
    row = read(visit, output_id).row
    typed = item_fields.typed(visit.form, row)
    confirmed = visit.form.get("act") == "confirm"
    if not typed.is_readable:
        return _again(visit, output_id, typed, status=400)
    if not confirmed and not diffs.of_values(item_fields.current(row), typed.items).differs:
        return visit.go(address_of(output_id, tab="items"), said="Nothing was changed.")
    try:
        with visit.runtime.database.write() as session:
            jobs.review_items(
                session, visit.caller, output_id, items=typed.items, confirmed=confirmed
            )
    except InvalidParameter as refusal:
        return _again(visit, output_id, typed, status=refusal.status, refusal=refusal)
    said = "The items are confirmed." if confirmed else "Your corrections are kept."
    return visit.go(address_of(output_id, tab="items"), said=said)


@pages.get("/llm_outputs/<row:output_id>/suggestions")
def suggested_words(visit: Visit, output_id: int) -> Response:
    """Words of the job's files that go on from `q`, as buttons."""
    with visit.runtime.database.read() as session:
        found = jobs.suggest(session, visit.caller, output_id, visit.query.get("q", "")[:64])
    return visit.fragment("output/suggestions.html", hits=found.hits)


def _again(
    visit: Visit,
    output_id: int,
    typed: Typed,
    *,
    status: int,
    refusal: RequestError | None = None,
) -> Response:
    """The page with what was typed, and what is wrong with it."""
    return whole_page(
        visit,
        output_id,
        tab="items",
        status=status,
        fields=typed.fields,
        new=typed.new,
        refusal=refusal,
    )
