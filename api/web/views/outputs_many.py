"""What is done to many rows of the list: asked once more with the true number, then done; exports.

Which rows: those that were ticked (`id`), or all that the list's filters name (`which=matching`).
What is confirmed is what is done: the page that asks holds the ids, and rows that come later are
not among them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from flask import Response

from api import holding
from api.web import addresses, render
from api.web.listing import Listing
from api.web.pages import Pages
from api.web.views.outputs_live import row_ids_of
from api.web.visit import Visit
from app.errors import InvalidParameter
from app.jobs import Counted, Filters, count_matching
from app.jobs.bulk import MOST, Cancellations, ReRuns, cancel_many, re_run_many
from app.jobs.export import MOST_EXPORTED, as_csv, as_jsonl, export_rows
from app.jobs.lines import Purpose, ids_for, lines_of

pages = Pages()

MOST_TICKED = 100


TITLES = {
    Purpose.RE_RUN: "Re-run",
    Purpose.CANCEL: "Cancel",
    Purpose.RETRY_FAILED: "Retry failed",
}
SENTENCES = {
    Purpose.RE_RUN: "Each of them is queued once more, as a new output. Outputs that have not ended"
    " are left out.",
    Purpose.CANCEL: "Waiting jobs never run; running ones stop and keep what was written. Outputs"
    " that have ended are left out.",
    Purpose.RETRY_FAILED: "Each of them is queued once more, as a new output. Only failed outputs"
    " are taken, and of those none that was run again since.",
}


@pages.get("/llm_outputs/many")
def outputs_many(visit: Visit) -> Response:
    """Ask once more: what is done, to how many."""
    listing, ticked = Listing.of(visit.query), _ticked(visit)
    if visit.query.get("act") == "export":
        return _ask_export(visit, listing, ticked)
    purpose = _purpose(visit.query.get("act", ""))
    filters = listing.filters() if ticked is None else None
    with visit.runtime.database.read() as session:
        found = ids_for(session, visit.caller, purpose, ids=ticked, filters=filters, limit=MOST + 1)
    return visit.page(
        "outputs/confirm.html",
        purpose=purpose,
        title=TITLES[purpose],
        sentence=SENTENCES[purpose],
        ids=found[:MOST],
        more=len(found) > MOST,
        most=MOST,
        ticked=ticked,
        back=listing.address(),
        searched=listing.text,
    )


@pages.post("/llm_outputs/many")
def do_to_many(visit: Visit) -> Response:
    """Do it to the rows that were confirmed; back to the list, which says what came of it."""
    ids = row_ids_of(visit.form.get("ids", ""), most=MOST)
    purpose = _purpose(visit.form.get("act", ""))
    if purpose == Purpose.CANCEL:
        said = _cancelled(cancel_many(visit.runtime, visit.caller, ids=ids))
    else:
        once = purpose == Purpose.RETRY_FAILED
        said = _queued(re_run_many(visit.runtime, visit.caller, ids=ids, once=once))
    back = addresses.own(visit.form.get("next", ""), render.address("outputs"))
    return visit.go(back, said=said)


@pages.get("/llm_outputs/export")
def export_outputs(visit: Visit) -> Response:
    """A file of the rows, sent while it is read.

    Raises TooManyRequests when the person is reading as many files as one may.
    """
    listing, ticked = Listing.of(visit.query), _ticked(visit)
    texts = visit.query.get("texts") == "1"
    kind = visit.query.get("kind", "csv")
    if kind not in ("csv", "jsonl"):
        raise InvalidParameter("Invalid kind. Must be one of: csv, jsonl", pointer="/kind")
    filters = listing.filters() if ticked is None else None
    _count(visit, filters, ticked)  # what is wrong with the filters is said before the file begins
    rows = export_rows(
        visit.runtime.database, visit.caller, ids=ticked, filters=filters, texts=texts
    )
    body = as_csv(rows, texts=texts) if kind == "csv" else as_jsonl(rows)
    media = "text/csv; charset=utf-8" if kind == "csv" else "application/jsonl"
    response = Response(body, content_type=media)
    response.call_on_close(holding.take_export(visit.caller.user_id))
    name = f"outputs-{datetime.now(UTC):%Y-%m-%d}.{kind}"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.headers["Cache-Control"] = "no-store"
    return response


def _ask_export(visit: Visit, listing: Listing, ticked: Sequence[int] | None) -> Response:
    filters = listing.filters() if ticked is None else None
    return visit.page(
        "outputs/export.html",
        counted=_count(visit, filters, ticked),
        most=MOST_EXPORTED,
        ticked=ticked,
        query=listing.query(),
        back=listing.address(),
        searched=listing.text,
    )


def _count(visit: Visit, filters: Filters | None, ticked: Sequence[int] | None) -> Counted:
    with visit.runtime.database.read() as session:
        if filters is not None:
            return count_matching(session, visit.caller, filters, cap=MOST_EXPORTED)
        return Counted(len(lines_of(session, visit.caller, ticked or ())))


def _purpose(act: str) -> Purpose:
    if act not in list(Purpose):
        raise InvalidParameter(
            f"Invalid act. Must be one of: {', '.join(Purpose)}, export", pointer="/act"
        )
    return Purpose(act)


def _ticked(visit: Visit) -> list[int] | None:
    """The ticked rows; None: all that match. Raises InvalidParameter."""
    if visit.query.get("which") == "matching":
        return None
    found = visit.query.getlist("id")
    if len(found) > MOST_TICKED or not all(
        re.fullmatch(r"[0-9]{1,18}", one, re.ASCII) for one in found
    ):
        raise InvalidParameter(f"Invalid id. Send up to {MOST_TICKED} numbers", pointer="/id")
    return [int(one) for one in found]


def _queued(done: ReRuns) -> str:
    return f"{_outputs(len(done.accepted))} queued again." + _left_out(len(done.skipped))


def _cancelled(done: Cancellations) -> str:
    asked = f" {len(done.asked)} running asked to stop." if done.asked else ""
    return f"{_outputs(len(done.cancelled))} cancelled.{asked}" + _left_out(len(done.skipped))


def _left_out(number: int) -> str:
    return f" {number} left out." if number else ""


def _outputs(number: int) -> str:
    return f"{number:,} output{'' if number == 1 else 's'}"
