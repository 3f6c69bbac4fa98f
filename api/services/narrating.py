"""What a service tells of a request, event by event, however its reader gets them: as one body, as
an event stream, over a WebSocket.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from importlib.metadata import version
from typing import Any
from uuid import uuid4

import structlog

from api.services.stream import Event, Events
from app.accounts import Caller
from app.errors import LLMJobsError
from app.log import redact_value
from app.runtime import Runtime
from app.services import (
    Answer,
    GlobalChat,
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

Payload = Mapping[str, Any]

READMES: Mapping[str, str] = {
    "job_chat": "# job_chat\n\nHelps people with the code of one step of a workflow.\n",
    "workflow_chat": "# workflow_chat\n\nHelps people with a workflow, and changes its YAML.\n",
    "global_chat": "# global_chat\n\nHelps people with a workflow and the code of its steps.\n",
    "echo": "# echo\n\nAnswers with its payload; secrets are blanked.\n",
    "test_errors": "# test_errors\n\n`trigger`: RATE_LIMIT, UNEXPECTED or SUCCESS.\n",
}
"""The services there are."""

_BY_A_MODEL: Mapping[str, type[JobChat] | type[WorkflowChat] | type[GlobalChat]] = {
    service.name: service for service in (JobChat, WorkflowChat, GlobalChat)
}


def known(name: str) -> str:
    """The same name, if there is such a service. Raises ServiceError."""
    if name not in READMES:
        raise ServiceError(404, "NOT_FOUND", f"There is no service {name[:80]}")
    return name


def narrate(
    here: Runtime,
    caller: Caller,
    name: str,
    payload: Payload,
    *,
    stopping: Callable[[], bool],
    traceparent: str | None = None,
) -> Generator[Event | None, None, None]:
    """The events of an answer; None each second that brings nothing. The last is `complete` or
    `error`. Closed before its end it cancels what runs.
    """
    events = Events(f"msg_{uuid4()}", here.settings.chat_model or "")
    try:
        if name not in _BY_A_MODEL:
            yield Event("complete", _by_itself(known(name), payload))
            return
        asked = _BY_A_MODEL[name].read(payload)
        news = answering(here, caller, asked, stopping=stopping, traceparent=traceparent)
        with closing(news):
            next(news)  # it has begun
            yield from events.start()
            yield from events.status("Thinking...")
            for one in news:
                match one:
                    case Told(text):
                        yield from events.text(text)
                    case Waits():
                        yield None
                    case Answer(response, usage):
                        if (changes := asked.changes(response)) is not None:
                            yield from events.changes(changes)
                        yield from events.complete(_versioned(response), usage)
    except Exception as error:
        yield from events.fail(problem(error, name).to_json())


def problem(error: Exception, name: str) -> ServiceError:
    """What a service's reader is told of something that went wrong; of our own faults, nothing."""
    match error:
        case ServiceError():
            return error
        case LLMJobsError():
            return ServiceError.of(error)
    log.error("service failed", service=name, exc_info=error)
    return internal()


def _by_itself(name: str, payload: Payload) -> Payload:
    """The answer of a service that asks no model."""
    if name == "echo":
        return redact_value(payload)  # type: ignore[no-any-return]
    match payload.get("trigger"):
        case "RATE_LIMIT":
            raise rate_limit()
        case "UNEXPECTED":
            raise internal()
        case "SUCCESS":
            return {"success": True}
    raise bad_request("'trigger' must be RATE_LIMIT, UNEXPECTED or SUCCESS")


def _versioned(response: dict[str, Any]) -> dict[str, Any]:
    """With our version in its `meta`, where it has one."""
    if "meta" in response:
        response["meta"] = {**response["meta"], "apollo_version": VERSION}
    return response
