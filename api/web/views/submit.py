"""The form that asks for jobs: written, looked at before it is sent, sent once.

Whatever is wrong, the form comes back as it was typed with a sentence beside the field. Comparing
the answers of several models is `side_by_side.py`'s.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from flask import Response, request

from api.body import MAX_UPLOAD_BYTES
from api.web import render
from api.web.api_calls import ApiCalls
from api.web.pages import Pages
from api.web.submission import calls, context, form, offers, reading
from api.web.submission.form import OTHER_MODEL, JobForm
from api.web.submission.offers import Offers
from api.web.visit import Visit
from app import jobs
from app.context.files import SentFile
from app.errors import NotFound, RequestError
from app.jobs import JobRequest
from app.jobs.compare import MOST_COMPARED, submit_compared
from app.prompts import library
from app.prompts.library.checking import placeholders
from models import LLMOutput

pages = Pages()


@dataclass(frozen=True, slots=True)
class Look:
    """What a form would send: `facts` as `jobs.preview` tells them, or the faults in the way."""

    facts: dict[str, Any] | None = None
    unused: list[str] = field(default_factory=list)
    strict: bool = False
    faults: dict[str, str] = field(default_factory=dict)
    calls: ApiCalls | None = None
    status: int = 200


@pages.get("/llm_outputs/new")
def submit(visit: Visit) -> Response:
    """The form: empty, filled in by the address, or from the output `?from=` names."""
    if "from" in visit.query:
        made = form.of_output(_output(visit, visit.query["from"]))
    else:
        made = form.read(visit.query)
    made = _with_prompt(visit, made)
    return _page(visit, made, look=bool(made["template"]) or made.picked)


@pages.post("/llm_outputs/new", most_bytes=MAX_UPLOAD_BYTES)
def submit_now(visit: Visit) -> Response:
    """Do what the pressed button says: submit, compare, preview, choose a saved prompt, or look
    for variables.
    """
    sent = _sent(visit)
    match visit.form.get("do", "submit"):
        case "detect":
            return _page(visit, sent)
        case "choose":
            return _page(visit, sent.having(model="", other_model=""), look=sent.picked)
        case "preview":
            return _page(visit, sent, look=True)
        case "compare":
            return _compare(visit, sent)
        case _:
            return _submit(visit, sent)


@pages.post("/llm_outputs/new/preview", most_bytes=MAX_UPLOAD_BYTES)
def preview_now(visit: Visit) -> Response:
    """What the form would send, as a part of the page. A fault is no failure: somebody types."""
    return visit.fragment("submit/preview.html", look=_look(visit, _sent(visit)))


def _submit(visit: Visit, sent: JobForm) -> Response:
    wanted, faults = reading.request_of(sent)
    if faults:
        return _page(visit, sent, faults=faults)
    try:
        made = jobs.submit(
            visit.runtime,
            visit.caller,
            wanted,
            idempotency=reading.idempotency_of(sent, wanted),
        )
    except RequestError as refusal:
        faults.note(refusal, sent)
        return _page(visit, sent, faults=faults)
    output_id = int(made.answer["output_id"])
    said = f"Queued as output {output_id}."
    if made.replayed:
        said = f"This form was sent already: here is its job, output {output_id}."
    return visit.go(f"/llm_outputs/{output_id}", said=said)


def _compare(visit: Visit, sent: JobForm) -> Response:
    wanted, faults = reading.request_of(sent)
    if faults:
        return _page(visit, sent, faults=faults)
    try:
        made = submit_compared(
            visit.runtime,
            visit.caller,
            wanted,
            sent.compared,
            idempotency=reading.idempotency_of(sent, wanted, "compare", *sent.compared),
        )
    except RequestError as refusal:
        faults.note(refusal, sent)
        return _page(visit, sent, faults=faults)
    ids = ",".join(map(str, made.output_ids))
    return visit.go(
        render.address("side_by_side", comparison_id=made.id, ids=ids),
        said=f"Queued for {len(made.output_ids)} models.",
    )


def _page(
    visit: Visit, sent: JobForm, *, faults: reading.Faults | None = None, look: bool = False
) -> Response:
    found = offers.offers_for(visit.runtime, visit.caller)
    shown, fields = context.shown(_with_a_model(sent, found))
    seen = _look(visit, shown) if look and not faults else None
    if faults is None and seen and request.method == "POST":
        faults = reading.Faults(seen.faults, seen.status)
    return visit.page(
        "submit/form.html",
        status=faults.status if faults else 200,
        form=shown,
        fields=fields,
        faults=faults.by_field if faults else {},
        look=seen,
        offers=found,
        prompts=offers.prompts_for(visit.runtime, visit.caller),
        example=offers.EXAMPLE,
        most_compared=MOST_COMPARED,
        most_fields=context.MOST_FIELDS,
        other_model=OTHER_MODEL,
    )


def _look(visit: Visit, sent: JobForm) -> Look:
    wanted, faults = reading.request_of(sent)
    if not faults:
        try:
            return _seen(visit, sent, wanted)
        except RequestError as refusal:
            faults.note(refusal, sent)
    return Look(faults=dict(faults.by_field), status=faults.status)


def _seen(visit: Visit, sent: JobForm, wanted: JobRequest) -> Look:
    facts = jobs.preview(visit.runtime, visit.caller, wanted)
    return Look(
        facts=facts,
        unused=context.unused(wanted.context, context.names_in(sent)),
        strict=wanted.strict,
        calls=calls.of_submission(visit.base_url, reading.body_of(wanted)),
    )


def _with_a_model(sent: JobForm, found: Offers) -> JobForm:
    """With the model chosen where the list has it, typed where it has not, or the last one used."""
    name = sent.model_name
    chooses = request.method == "GET" or request.form.get("do") == "choose"
    if not name and chooses and not sent["agent_id"] and not sent.picked:
        name = found.default_model
    if not name:
        return sent
    if found.offers(name) and sent["model"] != OTHER_MODEL:
        return sent.having(model=name)
    return sent.having(model=OTHER_MODEL, other_model=name)


def _sent(visit: Visit) -> JobForm:
    """The form that was sent, with its files and what its prompt reads."""
    files = [file for file in request.files.getlist("files") if file.filename]
    brought = tuple(SentFile(_base(file.filename), data=file.read()) for file in files)
    return replace(_with_prompt(visit, form.read(visit.form)), files=brought)


def _base(filename: str | None) -> str:
    """The name alone: some browsers send the way to a file, too."""
    return (filename or "").replace("\\", "/").rpartition("/")[2]


def _with_prompt(visit: Visit, sent: JobForm) -> JobForm:
    """The form with what the prompt reads that it names; an unknown one is told of later."""
    if not sent.picked:
        return sent
    try:
        with visit.runtime.database.read() as session:
            found = library.resolve(session, visit.caller, sent["prompt"].strip())
    except NotFound:
        return sent
    return replace(sent, reads=placeholders(found.definition))


def _output(visit: Visit, sent: str) -> LLMOutput:
    if not sent.isascii() or not sent.isdigit() or len(sent) > 18:
        raise NotFound("Unknown output")
    with visit.runtime.database.read() as session:
        output = jobs.get(session, visit.caller, output_id=int(sent))
        session.expunge(output)
        return output
