"""What one does with an output: vote, run again, cancel, hurry, erase. Each is a form's target.

After it one goes on to the form's `next`, a page of ours, or sees the refreshed part of the page
where htmx asked for one. Regenerating has a form of its own (`regenerate.py`).
"""

from __future__ import annotations

from typing import Any

from flask import Response

from api.web import addresses, reasons
from api.web.pages import Pages
from api.web.views.output import address_of, opinion_of, whole_page
from api.web.visit import Visit
from app import feedback, jobs
from app.errors import Conflict

pages = Pages()

_THANKS = {
    "thumbs_up": "Thank you: noted as good.",
    "thumbs_down": "Thank you: noted as bad.",
    "none": "Your verdict is taken back.",
}


@pages.post("/llm_outputs/<row:output_id>/feedback")
def give_feedback(visit: Visit, output_id: int) -> Response:
    """Set the thumb; `none` takes it back, and sending the same twice changes nothing.

    A form without the field `comment` leaves what was written, and drops ticked reasons when the
    verdict is another: they were reasons for that one.
    """
    row = _voted(visit, output_id)
    if visit.wants_fragment:
        return visit.fragment(
            "output/feedback.html", row=row, saved="comment" in visit.form, **opinion_of(row)
        )
    return visit.go(_next(visit, output_id), said=_THANKS[row["feedback"]])


@pages.post("/llm_outputs/<row:output_id>/re_run")
def re_run(visit: Visit, output_id: int) -> Response:
    """The same job once more; on to the new output."""
    made = jobs.re_run(visit.runtime, visit.caller, output_id)
    child = int(made.answer["output_id"])
    if visit.wants_fragment:
        response = visit.fragment("output/queued.html", child=child)
        response.headers["HX-Retarget"] = "#notices"
        response.headers["HX-Reswap"] = "beforeend"
        return response
    return visit.go(_next(visit, child), said=f"Queued again, as output {child}.")


@pages.post("/llm_outputs/<row:output_id>/cancel")
def cancel(visit: Visit, output_id: int) -> Response:
    """Ask the job to stop. Where it has ended meanwhile, that is said."""
    try:
        output = jobs.cancel(visit.runtime, visit.caller, _job_id(visit, output_id))
        said = "Cancelled." if output.status == "cancelled" else "Asked to stop."
    except Conflict as late:
        said = f"{late.message}."
    return _moved(visit, output_id, said)


@pages.post("/llm_outputs/<row:output_id>/advance")
def advance(visit: Visit, output_id: int) -> Response:
    """Retry now instead of later. Where nothing waits any more, that is said."""
    try:
        jobs.advance(visit.runtime, visit.caller, _job_id(visit, output_id))
        said = "It runs as soon as a worker is free."
    except Conflict as late:
        said = f"{late.message}."
    return _moved(visit, output_id, said)


@pages.get("/llm_outputs/<row:output_id>/erase")
def erase_form(visit: Visit, output_id: int) -> Response:
    """The question before what cannot be undone."""
    with visit.runtime.database.read() as session:
        row = jobs.describe(session, jobs.get(session, visit.caller, output_id=output_id))
    return visit.page("output/erase.html", row=row)


@pages.post("/llm_outputs/<row:output_id>/erase")
def erase(visit: Visit, output_id: int) -> Response:
    """Remove the texts for good; the ledger of calls stays."""
    with visit.runtime.database.write() as session:
        jobs.erase(session, visit.caller, output_id)
    return visit.go(_next(visit, output_id), said=f"The texts of output {output_id} are erased.")


def _voted(visit: Visit, output_id: int) -> dict[str, Any]:
    verdict = visit.form.get("feedback_type", "")
    with visit.runtime.database.write() as session:
        output = jobs.get(session, visit.caller, output_id=output_id)
        comment = _comment(visit, output.feedback_comment, same=verdict == output.feedback_word)
        output = feedback.give(
            session, visit.caller, output_id, feedback_type=verdict, comment=comment
        )
        return {
            "id": output.id,
            "feedback": output.feedback_word,
            "feedback_comment": output.feedback_comment,
        }


def _comment(visit: Visit, stored: str | None, *, same: bool) -> str:
    if "comment" in visit.form:
        return reasons.joined(visit.form.getlist("reason"), visit.form["comment"])
    return stored or "" if same else reasons.taken_apart(stored).text


def _job_id(visit: Visit, output_id: int) -> str:
    with visit.runtime.database.read() as session:
        return jobs.get(session, visit.caller, output_id=output_id).job_id


def _moved(visit: Visit, output_id: int, said: str) -> Response:
    if visit.wants_fragment:
        return whole_page(visit, output_id, said=said)
    return visit.go(_next(visit, output_id), said=said)


def _next(visit: Visit, output_id: int) -> str:
    return addresses.own(visit.form.get("next", ""), address_of(output_id))
