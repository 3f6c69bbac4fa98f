"""The addresses of the services, and what they answer."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from importlib.metadata import version
from typing import Any

import structlog
from flask import Flask, Response, request

from api import holding, request_log, sse
from api.replies import as_json
from api.routing import runtime
from api.services import asking
from api.services.stream import Events, encoded
from api.web.render import POLICY
from app.accounts import Caller
from app.errors import LLMJobsError, Unavailable
from app.log import redact_value
from app.providers.registry import known_models
from app.recent import Recent
from app.runtime import Runtime
from app.services import (
    Answer,
    Asked,
    JobChat,
    ServiceError,
    Told,
    Waits,
    WorkflowChat,
    answering,
)
from app.services.problems import bad_request, internal, rate_limit

log = structlog.get_logger(__name__)

VERSION = version("llm-jobs")
KEEPALIVE_LOOKS = 5
"""After so many looks, a second each, that brought nothing."""
_STATUS_SECONDS = 30.0

Payload = asking.Payload

READMES: Mapping[str, str] = {
    "job_chat": "# job_chat\n\nHelps people with the code of one step of a workflow.\n",
    "workflow_chat": "# workflow_chat\n\nHelps people with a workflow, and changes its YAML.\n",
    "echo": "# echo\n\nAnswers with its payload; secrets are blanked.\n",
    "test_errors": "# test_errors\n\n`trigger`: RATE_LIMIT, UNEXPECTED or SUCCESS.\n",
}
"""The services there are."""

SERVICES: Mapping[str, type[JobChat] | type[WorkflowChat]] = {
    service.name: service for service in (JobChat, WorkflowChat)
}
"""Those that a model answers."""

_LIST = "<!doctype html><title>LLM Jobs</title><h1>Services</h1><ul>{}</ul>"


def install(app: Flask) -> None:
    """Serve them."""
    for path, view, methods in (
        ("/status", show_status, ["GET"]),
        ("/services/<name>/README.md", show_readme, ["GET"]),
        ("/services/<name>", call_service, ["GET", "POST"]),
        ("/services/<name>/stream", stream_service, ["POST"]),
    ):
        name = f"service_{view.__name__}"
        app.add_url_rule(path, name, _service(view), methods=methods, strict_slashes=False)
    app.before_request(_show_list_to_probes)


def show_status() -> Response:
    """What the service stands on, looked at now and then; no model is called for it."""
    return _json(_standing.get(runtime().database, lambda: _look(runtime())))


def show_readme(name: str) -> Response:
    """What a service is for."""
    return Response(READMES[_known(name)], content_type="text/markdown; charset=utf-8")


def call_service(name: str) -> Response:
    """A service's answer, whole."""
    if request.method in ("GET", "HEAD"):
        _known(name)
        return Response(status=200 if request.method == "HEAD" else 405)
    payload, caller = asking.read(runtime())
    asking.admit(runtime(), caller)
    match _known(name):
        case "echo":
            return _json(redact_value(payload))
        case "test_errors":
            return _json(_triggered(payload))
    asked = SERVICES[name].read(payload)
    give_back = holding.take_service(caller.user_id)
    try:
        return _json(_whole(runtime(), caller, asked))
    finally:
        give_back()


def stream_service(name: str) -> Response:
    """The same as it is written. Once it is known who asks, whatever is wrong is an event."""
    here = runtime()
    payload, caller = asking.read(here)
    try:
        asking.admit(here, caller)
        _known(name)
        give_back = holding.take_service(caller.user_id)
    except (ServiceError, LLMJobsError) as error:
        return sse.stream_response(iter([_refused(error)]))
    stopping = holding.held().stopping.is_set
    traced = request_log.traceparent()

    def body() -> Iterator[bytes]:
        yield from _streamed(here, name, payload, caller, stopping, traced)

    return sse.stream_response(body(), on_close=give_back)


def _refused(error: ServiceError | LLMJobsError) -> bytes:
    found = error if isinstance(error, ServiceError) else ServiceError.of(error)
    return encoded("error", found.to_json())


def _streamed(
    here: Runtime,
    name: str,
    payload: Payload,
    caller: Caller,
    stopping: Callable[[], bool],
    traced: str | None,
) -> Iterator[bytes]:
    events: Events | None = None
    try:
        if name not in SERVICES:
            answer = redact_value(payload) if name == "echo" else _triggered(payload)
            yield encoded("complete", answer)
            return
        asked = SERVICES[name].read(payload)
        news = answering(here, caller, asked, stopping=stopping, traceparent=traced)
        with closing(news):
            next(news)  # it has begun
            events = Events(f"msg_{payload['session_id']}", here.settings.chat_model or "")
            yield from events.start()
            yield from events.status("Thinking...")
            yield from _told(asked, news, events)
    except ServiceError as error:
        yield from _failed(events, error)
    except LLMJobsError as error:
        yield from _failed(events, ServiceError.of(error))
    except Exception:
        log.exception("service failed", service=name)
        yield from _failed(events, internal())


def _told(asked: Asked, news: Iterator[Told | Waits | Answer], events: Events) -> Iterator[bytes]:
    """The pieces of the answer, a sign of life where there are none, and the end."""
    quiet = 0
    for one in news:
        match one:
            case Told(text):
                quiet = 0
                yield from events.text(text)
            case Waits():
                quiet += 1
                if quiet % KEEPALIVE_LOOKS == 0:
                    yield sse.KEEPALIVE
            case Answer(response, usage):
                if (changes := asked.changes(response)) is not None:
                    yield from events.changes(changes)
                yield from events.complete(_versioned(response), usage)


def _failed(events: Events | None, error: ServiceError) -> Iterator[bytes]:
    if events is None:
        yield encoded("error", error.to_json())
    else:
        yield from events.fail(error.to_json())


def _whole(here: Runtime, caller: Caller, asked: Asked) -> dict[str, Any]:
    stopping, traced = holding.held().stopping.is_set, request_log.traceparent()
    for one in answering(here, caller, asked, stopping=stopping, traceparent=traced):
        if isinstance(one, Answer):
            return _versioned(one.response)
    raise internal()


def _versioned(response: dict[str, Any]) -> dict[str, Any]:
    """With our version in its `meta`, where it has one."""
    if "meta" in response:
        response["meta"] = {**response["meta"], "apollo_version": VERSION}
    return response


def _triggered(payload: Payload) -> dict[str, Any]:
    """What `test_errors` is asked for."""
    match payload.get("trigger"):
        case "RATE_LIMIT":
            raise rate_limit()
        case "UNEXPECTED":
            raise internal()
        case "SUCCESS":
            return {"success": True}
    raise bad_request("'trigger' must be RATE_LIMIT, UNEXPECTED or SUCCESS")


def _known(name: str) -> str:
    if name not in READMES:
        raise ServiceError(404, "NOT_FOUND", f"There is no service {name[:80]}")
    return name


def _service(view: Callable[..., Response]) -> Callable[..., Response]:
    """A view whose refusals are error objects, and whose answers name our version."""

    @functools.wraps(view)
    def answer(**arguments: Any) -> Response:
        try:
            response = view(**arguments)
        except ServiceError as error:
            response = _json(error.to_json(), status=error.code)
        except LLMJobsError as error:
            found = ServiceError.of(error)
            response = _json(found.to_json(), status=found.code)
        except Exception:
            log.exception("service failed", service=arguments.get("name", ""))
            response = _json(internal().to_json(), status=500)
        response.headers["X-Api-Version"] = VERSION
        return response

    return answer


def _show_list_to_probes() -> Response | None:
    """`GET /` of whoever is no browser: a probe takes a redirect for a service that is away."""
    if request.path != "/" or request.method not in ("GET", "HEAD"):
        return None
    if "text/html" in request.headers.get("Accept", ""):
        return None
    lines = "".join(f"<li>{name}</li>" for name in READMES)
    response = Response(_LIST.format(lines), content_type="text/html; charset=utf-8")
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["X-Api-Version"] = VERSION
    return response


def _json(body: Mapping[str, Any], *, status: int = 200) -> Response:
    return Response(as_json(body), status, content_type="application/json")


_standing: Recent[dict[str, str]] = Recent(_STATUS_SECONDS)


def _look(here: Runtime) -> dict[str, str]:
    usable = {model.provider for model in known_models(here.settings) if model.configured}
    try:
        with here.database.read() as session:
            session.connection()
        stored = True
    except Unavailable:
        stored = False
    parts = {
        "openai": "openai" in usable,
        "pinecone": False,
        "anthropic": "anthropic" in usable,
        "postgres": stored,
    }
    return {name: "working" if fine else "not working" for name, fine in parts.items()}
