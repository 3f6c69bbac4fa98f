"""The form that makes a new output from an old one with something changed, and its live preview.

A dialog of the output's page with JavaScript, a page of its own without.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import Response

from api.web import drafts, render
from api.web.comparison import asked_differently
from api.web.drafts import Changes, Draft
from api.web.pages import Pages
from api.web.views.output import Read, address_of, read
from api.web.visit import Visit
from app import jobs
from app.errors import RequestError
from app.providers.registry import known_models
from app.settings import Settings

pages = Pages()


@dataclass(frozen=True, slots=True)
class Choice:
    """A model on offer; one that cannot be used is shown, and cannot be chosen."""

    name: str
    label: str
    usable: bool


@pages.get("/llm_outputs/<row:output_id>/regenerate")
def regenerate_form(visit: Visit, output_id: int) -> Response:
    """The form, filled with what the parent was asked."""
    found = read(visit, output_id)
    return _form(visit, found, drafts.of_row(found.row))


@pages.post("/llm_outputs/<row:output_id>/regenerate")
def regenerate(visit: Visit, output_id: int) -> Response:
    """Accept the new job, and go to its output; or show the form again with what is wrong."""
    parent = read(visit, output_id)
    draft = drafts.of_form(visit.form)
    found = drafts.changes(draft, parent.row)
    if "preview" in visit.form:
        preview = _preview(visit, parent.row, found)
        return _form(visit, parent, draft, errors=found.errors, preview=preview)
    if found.errors:
        return _form(visit, parent, draft, status=400, errors=found.errors)
    try:
        made = jobs.regenerate(visit.runtime, visit.caller, output_id, **found.wanted)
    except RequestError as refusal:
        errors = drafts.errors_of(refusal)
        return _form(visit, parent, draft, status=refusal.status, errors=errors)
    return _on(visit, int(made.answer["output_id"]))


@pages.post("/llm_outputs/<row:output_id>/regenerate/preview")
def regenerate_preview(visit: Visit, output_id: int) -> Response:
    """What differs from the parent so far, and the new prompt."""
    row = read(visit, output_id).row
    found = drafts.changes(drafts.of_form(visit.form), row)
    return visit.fragment("output/preview.html", preview=_preview(visit, row, found))


def _on(visit: Visit, child: int) -> Response:
    said = f"Regenerating, as output {child}."
    if not visit.wants_fragment:
        return visit.go(address_of(child), said=said)
    response = Response(status=204, headers={"HX-Redirect": address_of(child)})
    render.say(response, said)
    return response


def _form(visit: Visit, parent: Read, draft: Draft, *, status: int = 200, **facts: Any) -> Response:
    facts = {
        "row": parent.row,
        "prompt_page": parent.prompt_page,
        "draft": draft,
        "errors": {},
        "preview": None,
        "choices": _choices(visit.runtime.settings, parent.row["model_name"]),
        **facts,
    }
    if visit.wants_fragment:
        return visit.fragment("output/regenerate_form.html", status=status, **facts)
    return visit.page("output/regenerate.html", status=status, **facts)


def _choices(settings: Settings, current: str) -> list[Choice]:
    """The parent's model first, then whatever is known; endpoints serve names one types."""
    choices = {current: Choice(current, f"{current} (as before)", True)}
    for model in known_models(settings):
        usable = model.configured or settings.simulate_missing
        note = "" if model.configured else " (simulated)" if usable else " (not configured)"
        if not model.name.endswith("/*"):
            choices.setdefault(model.name, Choice(model.name, model.name + note, usable))
    return list(choices.values())


def _preview(visit: Visit, row: dict[str, Any], found: Changes) -> dict[str, Any]:
    """Sections that differ and the prompt to be sent; or what is wrong."""
    if found.errors:
        return {"errors": found.errors, "sections": [], "sent": None}
    sections = asked_differently(row, drafts.changed_row(row, found.wanted))
    try:
        request = jobs.changed_request(visit.runtime, visit.caller, row["id"], found.wanted)
        sent = jobs.preview(visit.runtime, visit.caller, request)
    except RequestError as refusal:
        return {"errors": drafts.errors_of(refusal), "sections": sections, "sent": None}
    return {"errors": {}, "sections": sections, "sent": sent}
