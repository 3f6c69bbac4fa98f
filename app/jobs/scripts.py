"""Jobs of a prompt definition: finding it, and finding out before anything is stored that it runs.

`find` asks the database (which definition, whose names). `prepare` asks nobody: it chooses models
and says what a row of it holds. `rehearse` renders every step of the job that is made of it. What
is wrong with a definition or with what it reads is known here, at submit; an attempt only repeats
what went well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.orm import Session

from app.accounts import Caller, caller_of, display_names
from app.endpoints import route_of_endpoint
from app.errors import (
    InvalidParameter,
    MissingParameter,
    PromptParameterInvalid,
    PromptTemplateInvalid,
)
from app.jobs.request import JobRequest
from app.lifecycle import NewJob
from app.prompts import documents, library
from app.prompts.definition import Definition, Step
from app.prompts.hooks import known_result_event, result_events
from app.prompts.material import Material, WorkItem, read_work_item
from app.prompts.script import Script, steps_for
from app.prompts.text_adapters import few_patterns, parse
from app.settings import Settings
from models import Format, User

SERVICE_PROPERTY = "llm.service.endpoint"
"""The property Imixs-AI keeps the address of its server in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What a script makes of a request: the script with its models, and the row's own columns.

    `warnings` are sentences.
    """

    script: Script
    model: str
    format: str
    response_schema: dict[str, Any] | None
    warnings: tuple[str, ...]


def find(session: Session, caller: Caller, request: JobRequest) -> JobRequest:
    """The request with the definition it names, or brings along, as its script.

    Raises NotFound for an unknown prompt, InvalidParameter for a request that asks in two ways,
    PromptRefused for a definition that cannot be read.
    """
    _check_one_way(request)
    if request.script is not None:
        return request  # a derived job brings its parent's
    if not (request.prompt or request.prompt_xml or request.definition):
        return request
    author = caller
    if request.definition is not None:
        definition = request.definition
    elif request.prompt is not None:
        found = library.resolve(session, caller, request.prompt)
        definition, author = found.definition, _author(session, caller, found.owner_id)
        request = replace(request, prompt_name=found.name, prompt_version=found.version)
    else:
        read = _read_xml(str(request.prompt_xml))
        definition = read.definitions[0]
        request = replace(request, script_warnings=read.warnings)
    definition = _with_task(session, author, definition)
    request = replace(
        request, script=Script(definition=definition), debug=request.debug or definition.debug
    )
    return with_names(session, caller, request)


def with_names(session: Session, caller: Caller, request: JobRequest) -> JobRequest:
    """A request whose work item is another than its script was made for, with the names in it."""
    if request.script is None:
        return request
    ids = _user_ids(request.script.definition, read_work_item(request.workitem))
    names = display_names(session, caller, ids)
    return replace(request, script=replace(request.script, names=names))


def prepare(settings: Settings, request: JobRequest) -> Prepared:
    """What a request's script needs and gives. `request` has been through `find`.

    Raises MissingParameter for a model that nobody names, EndpointUnknown, and
    PromptParameterInvalid for a result event nobody reads.
    """
    assert request.script is not None  # noqa: S101 - asked for such requests only
    script = request.script
    if not script.models:  # a derived job keeps what its parent was accepted with
        script = replace(script, properties=_properties(settings, script))
    _check_result_events(script.definition)
    models, warnings = _models(settings, request, script)
    script = replace(script, models=models)
    last = script.definition.steps[-1] if script.definition.steps else Step()
    return Prepared(
        script=script,
        model=models[0] if models else _no_model(request),
        format=request.format or last.format or Format.TEXT,
        response_schema=request.response_schema or _plain(last.response_schema),
        warnings=(*request.script_warnings, *warnings),
    )


def rehearse(job: NewJob) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Render each step as an attempt will, with the items known beforehand.

    Returns the variables without a value and the warnings. With fetchers, whose values are not
    known yet, only a name below one of the caller's own values is surely missing. Raises
    PromptRefused.
    """
    steps = steps_for(job, hook_seconds=1)
    renderings = [step.render(job.context, {}) for step in steps]
    names = _each(rendering.missing for rendering in renderings)
    if job.fetchers:
        names = (name for name in names if name.partition(".")[0] in job.context)
    return tuple(dict.fromkeys(names)), tuple(
        dict.fromkeys(_each(rendering.warnings for rendering in renderings))
    )


def _check_one_way(request: JobRequest) -> None:
    ways = ("template", "messages", "prompt", "prompt_xml", "definition")
    named = [name for name in ways if getattr(request, name)]
    asked = request.prompt or request.prompt_xml or request.definition or request.script
    if asked and len(named) > 1:
        raise InvalidParameter(f"Send {' or '.join(named)}, not both", pointer=f"/{named[-1]}")
    if not asked and (request.workitem is not None or request.files):
        name = "workitem" if request.workitem is not None else "files"
        raise InvalidParameter(
            f"{name} is read by the placeholders of a prompt definition: send prompt or prompt_xml",
            pointer=f"/{name}",
        )


def _read_xml(text: str) -> documents.Read:
    read = documents.read(text, documents.Source.XML)
    if len(read.definitions) != 1:
        raise PromptTemplateInvalid(
            f"Expected one prompt definition, found {len(read.definitions)}", pointer="/prompt_xml"
        )
    return read


def _author(session: Session, caller: Caller, owner_id: int) -> Caller:
    """Who a stored definition's task is looked up for: whoever shares a prompt shares its task."""
    if owner_id == caller.user_id:
        return caller
    return caller_of(session.get_one(User, owner_id))


def _with_task(session: Session, caller: Caller, definition: Definition) -> Definition:
    """The definition with its task's messages in place of the task's name."""
    if definition.task is None:
        return definition
    try:
        task = library.resolve(session, caller, definition.task).definition
    except InvalidParameter as error:
        raise PromptParameterInvalid(f"Invalid task: {error.message}") from None
    return replace(definition, task=None, task_messages=task.first.messages)


def _user_ids(definition: Definition, workitem: WorkItem) -> set[str]:
    templates = few_patterns(library.templates(definition))
    items = {name for template in templates for name in template.user_items}
    return {str(value) for name in items for value in workitem.values(name)}


def _properties(settings: Settings, script: Script) -> dict[str, str]:
    """Those of the allowed properties that the definition reads."""
    allowed = dict(settings.prompt_properties)
    if settings.llm_service_endpoint is not None:
        allowed.setdefault(SERVICE_PROPERTY, str(settings.llm_service_endpoint))
    templates = library.templates(script.definition)
    wanted = {name for template in templates for name in template.properties}
    return {name: allowed[name] for name in wanted if name in allowed}


def _models(
    settings: Settings, request: JobRequest, script: Script
) -> tuple[tuple[str, ...], list[str]]:
    """The model of each step, as jobs use it. The request's own word counts for all of them."""
    if request.model:
        return tuple(request.model for _ in script.definition.steps), []
    if script.models:
        return script.models, []
    chosen: list[str] = []
    warnings: list[str] = []
    for step in script.definition.steps:
        endpoint = _endpoint(step, script)
        model = step.model or _model_among(step.options)
        of_service = not step.model and settings.llm_service_endpoint is not None
        if not endpoint and model and not of_service:
            chosen.append(model)
        elif not endpoint and not model and request.agent_model:
            chosen.append(request.agent_model)
        elif endpoint or settings.llm_service_endpoint is not None or settings.simulate_missing:
            route = route_of_endpoint(settings, endpoint, model)
            chosen.append(route.model)
            warnings += [route.warning] if route.warning else []
        else:
            raise MissingParameter("model")
    return tuple(chosen), warnings


def _model_among(options: Mapping[str, Any] | None) -> str | None:
    """Where Imixs-AI's users write it."""
    model = (options or {}).get("model")
    return model.strip() or None if isinstance(model, str) else None


def _no_model(request: JobRequest) -> str:
    """A script without steps asks nobody; the row names what it was sent with, if anything."""
    return request.model or "none"


def _endpoint(step: Step, script: Script) -> str:
    """The endpoint's name or address, with the properties it is written with."""
    if not step.endpoint:
        return ""
    return parse(step.endpoint).render(Material(properties=script.properties)).text.strip()


def _check_result_events(definition: Definition) -> None:
    for step in definition.steps:
        if step.result_event and not known_result_event(step.result_event):
            raise PromptParameterInvalid(
                f"Unknown result event: {step.result_event[:80]}. Known: "
                f"{', '.join(result_events())}",
                pointer="/prompt",
            )


def _each(lists: Iterator[tuple[str, ...]]) -> Iterator[str]:
    for names in lists:
        yield from names


def _plain(schema: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return dict(schema) if schema is not None else None
