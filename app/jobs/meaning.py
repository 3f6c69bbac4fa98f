"""From a caller's words to a row that can be accepted: defaults, checks, routing. Stores nothing.

The order of the checks is a promise: template, model, format, context, then the rest.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.accounts import Caller, get_agent
from app.errors import Forbidden, InvalidParameter, MissingVariables, NotFound
from app.jobs.files import facts_of, texts_of
from app.jobs.request import JobRequest, check_essentials
from app.jobs.scripts import Prepared, find, prepare, rehearse
from app.jobs.shapes import check_schema, check_shapes, known_fetchers
from app.lifecycle import NewJob
from app.lookup import row_by_id
from app.prompts.material import read_work_item
from app.prompts.templating import Template, parse
from app.providers.registry import Route, resolve
from app.settings import Settings
from models import Agent, Format, Queue, User
from models.types import now

if TYPE_CHECKING:
    from app.prompts.script import Script

NOWHERE = Route(provider="none", model="none", bucket="")
"""The route of a job that asks no model."""

NO_TEXT = "[no prompt]"
"""What a row without any prompt is filed under."""

_LONGEST_BUCKET = 255


@dataclass(frozen=True, slots=True)
class Meaning:
    """A request understood: the row it would become, its parsed templates and its route."""

    job: NewJob
    templates: tuple[tuple[str, Template], ...]
    missing: tuple[str, ...]
    route: Route
    script: Script | None = None


def inherit(session: Session, caller: Caller, request: JobRequest) -> JobRequest:
    """What the request leaves unsaid, from its definition and its agent; whose it is, from the
    caller.

    Raises Forbidden for another user's name, NotFound for an unknown user, agent or prompt, and
    what `check_essentials` and `scripts.find` raise.
    """
    request = find(session, caller, request)
    if request.agent_id is not None:
        agent = get_agent(session, caller, request.agent_id)
        request = _with_defaults_of(agent, request)
    _check_essentials(request)
    return replace(request, user_id=_owner(session, caller, request.user_id))


def understand(
    settings: Settings,
    request: JobRequest,
    *,
    clock: datetime | None = None,
    lenient: bool = False,
) -> Meaning:
    """Every check that needs no database, in order; then the row it would become.

    `request` has been through `inherit`; `clock` is the database's, for requests that name times
    (`read_clock`); with `lenient` missing variables are only noted. May ask Ollama for its models:
    no transaction may be open. Raises a RequestError.
    """
    _check_essentials(request)
    check_shapes(request)
    prepared = prepare(settings, request) if request.script else None
    if prepared:
        request = _as_prepared(request, prepared)
    templates = tuple((role, parse(text)) for role, text in _texts(request))
    check_schema(request)
    fetchers = known_fetchers(request.fetchers)
    routes = _routes(settings, request)
    route = next(iter(routes), NOWHERE)
    run_at, deadline, seconds = _times(settings, request, clock)
    job = NewJob(
        template_name=template_name(request),
        model_name=str(request.model),
        max_tries=settings.max_tries,
        max_age_seconds=seconds,
        user_id=request.user_id,
        agent_id=request.agent_id,
        format=request.format or Format.TEXT,
        context=request.context,
        system=request.system if request.system and request.system.strip() else None,
        messages=request.messages or None,
        response_schema=request.response_schema,
        options=request.options or None,
        fetchers=fetchers or None,
        strict=request.strict,
        prompt_name=request.prompt_name,
        prompt_version=request.prompt_version,
        script=request.script.to_json() if request.script else None,
        workitem=read_work_item(request.workitem).as_json() or None,
        files=facts_of(request.files),
        file_texts=texts_of(request.files),
        debug=request.debug,
        metadata=request.metadata,
        bucket=route.bucket,
        traceparent=request.traceparent,
        queue=request.queue or Queue.DEFAULT,
        run_at=run_at,
        deadline=deadline,
    )
    missing, said = rehearse(job) if prepared else _rehearsed(templates, job)
    if missing and request.strict and not lenient:
        raise MissingVariables(list(missing))
    of_routes = [route.warning for route in routes if route.warning]
    warnings = [*of_routes, *(prepared.warnings if prepared else ()), *said]
    job = replace(job, warnings=list(dict.fromkeys(warnings)) or None)
    return Meaning(job, templates, missing, route, request.script)


def read_clock(session: Session, request: JobRequest) -> datetime | None:
    """The database's clock, if the request names a time to compare with it."""
    if request.run_at is None and request.deadline is None:
        return None
    return session.scalars(select(now())).one()


def find_route(settings: Settings, model: str) -> Route:
    """Where a model is served. Raises UnsupportedModel, InvalidParameter for a name too long."""
    route = resolve(model, settings)
    if len(route.bucket) > _LONGEST_BUCKET:
        raise InvalidParameter("Invalid model. The name is too long", pointer="/model")
    return route


def template_name(request: JobRequest) -> str:
    """What a row is filed under: the saved prompt's name, the template's text, or the contents of
    its messages joined.
    """
    if request.prompt_name:
        return request.prompt_name
    if request.script:
        steps = request.script.definition.steps
        return "\n\n".join(m.content for step in steps for m in step.messages) or NO_TEXT
    if not request.messages:
        return str(request.template)
    return "\n\n".join(message["content"] for message in request.messages)


def unknown_variables(names: Iterable[str]) -> str:
    """The warning about names that stay in the prompt as they are written."""
    return f"Unknown variables left as they are: {', '.join(names)}"


def _check_essentials(request: JobRequest) -> None:
    sent: dict[str, Any] = {
        "template": request.template,
        "model": request.model,
        "messages": request.messages,
        "prompt": "its script" if request.script else None,
        "context": request.context,
    }
    check_essentials(sent if request.format is None else sent | {"format": request.format})


def _with_defaults_of(agent: Agent, request: JobRequest) -> JobRequest:
    own_options = request.options if isinstance(request.options, dict) else {}
    return replace(
        request,
        model=request.model or (None if request.script else agent.model),
        agent_model=agent.model,
        format=request.format or agent.format,
        system=request.system if request.system is not None else agent.system,
        options={**(agent.options or {}), **own_options} if agent.options else request.options,
    )


def _owner(session: Session, caller: Caller, user_id: int | None) -> int | None:
    if user_id is None or user_id == caller.user_id:
        return caller.user_id
    if not caller.is_admin:
        raise Forbidden("Only an administrator may submit for another user", pointer="/user_id")
    user = row_by_id(session, User, user_id)
    if user is None or not user.active:
        raise NotFound(f"Unknown user: {user_id}", pointer="/user_id")
    return user.id


def _texts(request: JobRequest) -> list[tuple[str, str]]:
    if request.script:
        return []  # a definition's contents are another language
    if not request.messages:
        return [("user", str(request.template))]
    return [(message["role"], message["content"]) for message in request.messages]


def _routes(settings: Settings, request: JobRequest) -> list[Route]:
    """Where each call of the job goes, the first first; nowhere when a script asks nobody."""
    models = request.script.models if request.script else (str(request.model),)
    return [find_route(settings, model) for model in dict.fromkeys(models)]


def _times(
    settings: Settings, request: JobRequest, clock: datetime | None
) -> tuple[datetime | None, datetime | None, int]:
    """run_at (None: now), deadline (None: the default), and the default deadline's seconds.

    The clock is the database's. A job that starts later also has its default deadline later:
    counted from its acceptance it might expire before it is due.
    """
    age = math.ceil(settings.max_age_seconds)
    run_at, deadline = request.run_at, request.deadline
    if clock is None:
        return None, None, age
    if run_at is not None and run_at <= clock:
        run_at = None
    if deadline is not None and deadline <= (run_at or clock):
        late = "before run_at" if run_at else "in the past"
        raise InvalidParameter(
            f"Invalid deadline: {deadline.isoformat()} is {late}", pointer="/deadline"
        )
    try:
        if run_at is not None and deadline is None:
            deadline = run_at + timedelta(seconds=age)
    except OverflowError:
        raise InvalidParameter(f"Invalid run_at: {run_at}", pointer="/run_at") from None
    return run_at, deadline, age


def _rehearsed(
    templates: Iterable[tuple[str, Template]], job: NewJob
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names without a value, and a warning about them. A fetcher's values are not known yet, but
    they never replace the caller's own: with fetchers only a name below one of these is surely
    missing.
    """
    names: dict[str, None] = {}
    for _, template in templates:
        for name in template.render(job.context).missing:
            if not job.fetchers or name.partition(".")[0] in job.context:
                names[name] = None
    return tuple(names), (unknown_variables(names),) if names else ()


def _as_prepared(request: JobRequest, prepared: Prepared) -> JobRequest:
    """The request with what its definition says, which a definition wants complete."""
    return replace(
        request,
        script=prepared.script,
        model=prepared.model,
        format=prepared.format,
        response_schema=prepared.response_schema,
        strict=True,
    )
