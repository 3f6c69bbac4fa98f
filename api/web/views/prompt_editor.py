"""Writing a prompt: in fields or as YAML, tried with values before it is saved, saved as a draft or
published. Whatever is wrong, the form comes back as it was typed with a sentence beside the field.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from flask import Response, request
from sqlalchemy.orm import Session

from api.web import definition_form, prompt_calls, trial_values
from api.web.definition_form import DefinitionForm
from api.web.pages import Pages
from api.web.prompt_addresses import address_of, whose
from api.web.submission import offers
from api.web.submission.context import MOST_FIELDS
from api.web.trial_values import TrialValues
from api.web.visit import Visit
from app import endpoints, jobs
from app.errors import Forbidden, InvalidParameter, MissingParameter, NotFound, RequestError
from app.jobs import JobRequest
from app.prompts import library
from app.prompts.definition import Definition, from_json
from app.prompts.hooks import result_events
from app.prompts.library import Stored
from app.prompts.library.checking import Placeholders, placeholders

pages = Pages()

_REMOVE = re.compile(r"remove-(\d{1,4})", re.ASCII)
_NOTHING = Placeholders((), (), (), ())


@dataclass(frozen=True, slots=True)
class Look:
    """What the definition reads and what a job of it would send, or the faults in the way."""

    reads: Placeholders = _NOTHING
    facts: dict[str, Any] | None = None
    stand_in: str = ""
    faults: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Desk:
    """What is written on: a new prompt (without a name), or the next version of one."""

    name: str = ""
    user_id: int | None = None


@pages.get("/prompts/new")
def new_prompt(visit: Visit) -> Response:
    """The form for a new prompt: empty, or with what the version `?from=` says."""
    form = DefinitionForm()
    if origin := visit.query.get("from"):
        with visit.runtime.database.read() as session:
            found = library.get(session, visit.caller, origin, user_id=whose(visit))
            form = definition_form.of_definition(from_json(found.version.definition))
    return _page(visit, Desk(), form, TrialValues())


@pages.post("/prompts/new")
def create_prompt(visit: Visit) -> Response:
    """Do what the pressed button says: save, publish, preview, or change the form."""
    return _act(visit, Desk())


@pages.get("/prompts/<name>/edit")
def edit_prompt(visit: Visit, name: str) -> Response:
    """The form with the draft, else the newest version, or the one `?version=` names."""
    desk = Desk(name, whose(visit))
    with visit.runtime.database.read() as session:
        definition = _definition(session, visit, desk)
    return _page(visit, desk, definition_form.of_definition(definition), TrialValues())


@pages.post("/prompts/<name>/edit")
def change_prompt(visit: Visit, name: str) -> Response:
    """The same for the next version of a prompt."""
    desk = Desk(name, whose(visit))
    with visit.runtime.database.read() as session:
        _may_change(session, visit, desk)
    return _act(visit, desk)


@pages.post("/prompts/new/preview")
def preview_prompt(visit: Visit) -> Response:
    """What the form would send, as a part of the page. A fault is no failure: somebody types."""
    desk = Desk(visit.form.get("stays", ""))
    form, values = definition_form.sent(visit.form), trial_values.sent(visit.form)
    return visit.fragment("prompts/preview.html", look=_look(visit, desk, form, values))


def _act(visit: Visit, desk: Desk) -> Response:
    form, values = definition_form.sent(visit.form), trial_values.sent(visit.form)
    do = visit.form.get("do", "preview")
    if found := _REMOVE.fullmatch(do):
        return _page(visit, desk, form.without_message(int(found[1])), values)
    match do:
        case "add":
            return _page(visit, desk, form.with_message(), values)
        case "as-yaml" | "as-fields":
            return _other_way(visit, desk, form, values)
        case "draft" | "publish":
            return _save(visit, desk, form, values)
        case _:
            return _page(visit, desk, form, values)


def _save(visit: Visit, desk: Desk, form: DefinitionForm, values: TrialValues) -> Response:
    publish = visit.form.get("do") == "publish"
    definition, faults = definition_form.read(form, name=desk.name)
    if definition is None:
        return _page(visit, desk, form, values, faults=faults, status=422)
    try:
        with visit.runtime.database.write() as session:
            stored = _store(session, visit, desk, definition, publish=publish)
            said, address = _said(stored, publish=publish), _address(stored, desk)
    except (InvalidParameter, MissingParameter) as refusal:
        faults = definition_form.fault_of(refusal, form)
        return _page(visit, desk, form, values, faults=faults, status=refusal.status)
    return visit.go(address, said=said)


def _store(
    session: Session, visit: Visit, desk: Desk, definition: Definition, *, publish: bool
) -> Stored:
    if desk.name:
        return library.replace(
            session,
            visit.caller,
            desk.name,
            definition=definition,
            publish=publish,
            user_id=desk.user_id,
        )
    if definition.name and _has(session, visit, definition.name):
        raise InvalidParameter(
            f"You have a prompt named {definition.name}: edit that one, or choose another name",
            pointer="/name",
        )
    return library.store(session, visit.caller, [definition], publish=publish)[0]


def _has(session: Session, visit: Visit, name: str) -> bool:
    try:
        library.find(session, visit.caller, name, user_id=visit.caller.user_id)
    except NotFound:
        return False
    return True


def _said(stored: Stored, *, publish: bool) -> str:
    name, number = stored.prompt.name, stored.version.version
    if stored.unchanged:
        said = f"Version {number} of {name} says so already."
    elif publish:
        said = f"Version {number} of {name} is published."
    else:
        said = f"The draft of {name} is saved."
    return " ".join([said, *stored.warnings])


def _address(stored: Stored, desk: Desk) -> str:
    draft = stored.version.published_at is None
    return address_of(stored.prompt.name, user_id=desk.user_id, version="draft" if draft else None)


def _other_way(visit: Visit, desk: Desk, form: DefinitionForm, values: TrialValues) -> Response:
    """The same definition in the other notation, if it can be read and said there."""
    definition, faults = definition_form.read(form, name=desk.name)
    if definition is None:
        return _page(visit, desk, form, values, faults=faults, status=422)
    if not form.as_yaml:
        yaml = definition_form.yaml_of(definition)
        return _page(visit, desk, form.having(written_as="yaml", yaml=yaml), values)
    if not definition_form.fits_fields(definition):
        said = "The fields have no place for several steps, suggestions or a task: keep the YAML."
        return _page(visit, desk, form, values, faults={"yaml": said}, status=422)
    return _page(visit, desk, definition_form.of_definition(definition), values)


def _page(
    visit: Visit,
    desk: Desk,
    form: DefinitionForm,
    values: TrialValues,
    *,
    faults: Mapping[str, str] | None = None,
    status: int = 200,
) -> Response:
    look = _look(visit, desk, form, values)
    if faults is None:
        asked = request.method == "POST" and visit.form.get("do") == "preview"
        faults = look.faults if asked else {}
    return visit.page(
        "prompts/editor.html",
        place=address_of,
        status=status,
        desk=desk,
        form=form,
        values=values,
        faults=faults,
        look=look,
        endpoints=_endpoints(visit),
        result_events=result_events(),
        models=offers.offers_for(visit.runtime, visit.caller).usable,
        most_fields=MOST_FIELDS,
        calls=prompt_calls.of_writing(visit.base_url, desk.name),
    )


def _endpoints(visit: Visit) -> list[str]:
    """Their names, for those who may see the list."""
    if not visit.caller.is_admin:
        return []
    with visit.runtime.database.read() as session:
        found = endpoints.list_endpoints(session, visit.caller, settings=visit.runtime.settings)
    return [one.name for one in found]


def _look(visit: Visit, desk: Desk, form: DefinitionForm, values: TrialValues) -> Look:
    definition, faults = definition_form.read(form, name=desk.name)
    if definition is None:
        return Look(faults=faults, reads=_typed(values))
    reads = placeholders(definition)
    given = trial_values.given(values, reads.variables)
    if given.faults:
        return Look(reads, faults=given.faults)
    wanted = JobRequest(
        definition=definition, context=given.context, workitem=given.workitem, files=given.files
    )
    try:
        facts, stand_in = _preview(visit, wanted)
    except RequestError as refusal:
        return Look(reads, faults={"": refusal.message})
    return Look(reads, facts, stand_in)


def _preview(visit: Visit, wanted: JobRequest) -> tuple[dict[str, Any], str]:
    """What would be sent, and the model that stands in where the definition names none."""
    try:
        return jobs.preview(visit.runtime, visit.caller, wanted), ""
    except MissingParameter:
        model = offers.offers_for(visit.runtime, visit.caller).default_model
        if not model:
            raise
        return jobs.preview(visit.runtime, visit.caller, replace(wanted, model=model)), model


def _typed(values: TrialValues) -> Placeholders:
    """The variables that have fields already stay while the definition cannot be read."""
    return Placeholders(tuple(values.form.values), (), (), ())


def _may_change(session: Session, visit: Visit, desk: Desk) -> None:
    """Raises NotFound, or Forbidden for a shared prompt of somebody else."""
    prompt = library.find(session, visit.caller, desk.name, user_id=desk.user_id)
    if not library.may_change(visit.caller, prompt):
        raise Forbidden(f"Only its author and administrators may change the prompt {desk.name}")


def _definition(session: Session, visit: Visit, desk: Desk) -> Definition:
    """What the form begins with. Raises NotFound, Forbidden."""
    _may_change(session, visit, desk)
    version = visit.query.get("version", "")
    if not version:
        try:
            return _version(session, visit, desk, "draft")
        except NotFound:
            version = "latest"
    return _version(session, visit, desk, version)


def _version(session: Session, visit: Visit, desk: Desk, version: str) -> Definition:
    found = library.get(session, visit.caller, f"{desk.name}@{version}", user_id=desk.user_id)
    return from_json(found.version.definition)
