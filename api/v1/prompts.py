"""The library of prompts: importing definitions, reading, publishing, sharing, archiving them."""

from __future__ import annotations

from typing import Any

from flask import Response, request

from api.auth import scope
from api.body import FILES
from api.documents import XML, YAML, media_type, wanted
from api.replies import Reply, page_reply
from api.routing import Answer, Call, Header, Routes
from api.schemas.common import Empty
from api.schemas.jobs import Preview
from api.schemas.prompts import (
    CATEGORIZE,
    ChangeQuery,
    ImportQuery,
    PromptChange,
    PromptDefinition,
    PromptLine,
    PromptList,
    PromptPreviewBody,
    PromptQuery,
    PromptReplaced,
    PromptShown,
    PromptsQuery,
    PromptsStored,
    WhoseQuery,
)
from app import jobs
from app.context.files import read_files
from app.errors import InvalidParameter
from app.jobs import JobRequest
from app.prompts import documents, library
from app.prompts.definition import Definition, from_json
from app.prompts.documents import Source
from app.prompts.library import Found, Stored
from models import Scope

routes = Routes("/api/v1", tag="prompts")

_READ = scope(Scope.JOBS_READ)
_WRITE = scope(Scope.TEMPLATES_ADMIN)
_UNREADABLE = "A definition or one of its templates cannot be read; `line` and `column` say where."
_NO_DRAFT = "There is no draft."


@routes.post(
    "/prompts",
    access=_WRITE,
    documents=True,
    body=PromptDefinition,
    query=ImportQuery,
    answers={201: Answer(description="All of them are stored.", model=PromptsStored)},
    errors={404: "There is no such user.", 422: _UNREADABLE},
    examples={"categorize": CATEGORIZE},
)
def import_prompts(call: Call[Empty, ImportQuery]) -> Reply:
    """Store prompt definitions, each as the next version of its prompt.

    Takes one definition or several: JSON, YAML, Imixs XML, or files named `file` in a form, BPMN
    models among them. A definition that says what the newest version says adds none.
    """
    found, warnings = _read_all(call)
    with call.runtime.database.write() as session:
        stored = library.store(
            session,
            call.caller,
            found,
            publish=call.query.publish,
            user_id=call.query.user_id,
        )
        data = [_stored(call, session, one) for one in stored]
    said = [*warnings, *(warning for one in stored for warning in one.warnings)]
    return Reply(body={"data": data, "warnings": said}, status=201)


@routes.get(
    "/prompts",
    access=_READ,
    query=PromptsQuery,
    answers={200: Answer(description="A page of prompts.", model=PromptList)},
)
def list_prompts(call: Call[Empty, PromptsQuery]) -> Reply:
    """List one's own prompts and the shared ones, newest first."""
    with call.runtime.database.read() as session:
        page = library.list_prompts(session, call.caller, **call.query.model_dump())
        return page_reply(page, lambda rows: library.describe_many(session, call.caller, rows))


@routes.get(
    "/prompts/<name>",
    access=_READ,
    query=PromptQuery,
    request_headers=[Header(name="Accept", description=f"JSON, `{YAML}` or `{XML}`.")],
    answers={
        200: Answer(
            description="The prompt; as YAML and XML its definition, to be imported again.",
            model=PromptShown,
            other_media_types=(YAML, XML),
        )
    },
)
def get_prompt(call: Call[Empty, PromptQuery], name: str) -> Reply | Response:
    """Show a prompt: its newest published version, or the one named by number or label."""
    with call.runtime.database.read() as session:
        found = library.get(session, call.caller, name, user_id=call.query.user_id)
        source = _source(call.query.format)
        if source is Source.JSON:
            shown = library.describe(session, call.caller, found)
            return Reply(body=shown, headers={"Vary": "Accept"})
    text = documents.write(from_json(found.version.definition), source)
    return Response(
        text, content_type=f"{media_type(source)}; charset=utf-8", headers={"Vary": "Accept"}
    )


@routes.post(
    "/prompts/<name>/preview",
    access=_READ,
    body=PromptPreviewBody,
    body_limits=FILES,
    answers={200: Answer(description="What would be sent.", model=Preview)},
    errors={422: "A placeholder cannot be filled, or a file cannot be read."},
    examples={"one": {"context": {"text": "Your invoice"}, "workitem": {"subject": "March"}}},
)
def preview_prompt(call: Call[PromptPreviewBody, Empty], name: str) -> Reply:
    """Show what a job of this prompt would send: messages and options of each call.

    No model is called and nothing is stored.
    """
    asked = JobRequest(
        **call.body.model_dump(exclude={"files"}),
        prompt=name,
        files=tuple(read_files(call.files)),
    )
    return Reply(body=jobs.preview(call.runtime, call.caller, asked))


@routes.put(
    "/prompts/<name>",
    access=_WRITE,
    documents=True,
    body=PromptDefinition,
    query=ChangeQuery,
    answers={200: Answer(description="The prompt as it is now.", model=PromptReplaced)},
    errors={422: _UNREADABLE},
    examples={"categorize": CATEGORIZE},
)
def replace_prompt(call: Call[Empty, ChangeQuery], name: str) -> Reply:
    """Add a version to a prompt, or write its draft."""
    found, warnings = _read_all(call, name)
    if len(found) != 1:
        raise InvalidParameter(f"Send one definition, not {len(found)}", pointer="")
    with call.runtime.database.write() as session:
        stored = library.replace(
            session,
            call.caller,
            name,
            definition=found[0],
            publish=call.query.publish,
            user_id=call.query.user_id,
        )
        shown = _stored(call, session, stored)
    return Reply(body={**shown, "warnings": [*warnings, *stored.warnings]})


@routes.patch(
    "/prompts/<name>",
    access=_WRITE,
    body=PromptChange,
    query=WhoseQuery,
    answers={200: Answer(description="The prompt as it is now.", model=PromptLine)},
    errors={409: "A shared prompt has the name already."},
)
def update_prompt(call: Call[PromptChange, WhoseQuery], name: str) -> Reply:
    """Share a prompt with everybody, or keep it to its author."""
    with call.runtime.database.write() as session:
        prompt = library.share(
            session, call.caller, name, shared=call.body.shared, user_id=call.query.user_id
        )
        return Reply(body=library.describe_many(session, call.caller, [prompt])[0])


@routes.delete(
    "/prompts/<name>",
    access=_WRITE,
    query=WhoseQuery,
    answers={204: Answer(description="The prompt is gone, its name free.")},
)
def archive_prompt(call: Call[Empty, WhoseQuery], name: str) -> Reply:
    """Archive a prompt. Jobs keep what they ran."""
    with call.runtime.database.write() as session:
        library.archive(session, call.caller, name, user_id=call.query.user_id)
    return Reply(status=204)


@routes.post(
    "/prompts/<name>/publish",
    access=_WRITE,
    query=WhoseQuery,
    answers={200: Answer(description="The draft is the newest version.", model=PromptShown)},
    errors={409: _NO_DRAFT},
)
def publish_prompt(call: Call[Empty, WhoseQuery], name: str) -> Reply:
    """Publish the draft of a prompt."""
    with call.runtime.database.write() as session:
        stored = library.publish(session, call.caller, name, user_id=call.query.user_id)
        return Reply(body=_shown(call, session, stored))


@routes.delete(
    "/prompts/<name>/draft",
    access=_WRITE,
    query=WhoseQuery,
    answers={204: Answer(description="The draft is gone; its number is not given again.")},
    errors={409: _NO_DRAFT},
)
def discard_draft(call: Call[Empty, WhoseQuery], name: str) -> Reply:
    """Discard the draft of a prompt."""
    with call.runtime.database.write() as session:
        library.discard_draft(session, call.caller, name, user_id=call.query.user_id)
    return Reply(status=204)


def _read_all(call: Call[Any, Any], name: str = "") -> tuple[list[Definition], list[str]]:
    """Every definition that was sent, and what was left out of them."""
    found: list[Definition] = []
    warnings: list[str] = []
    for document in call.documents:
        given = name or getattr(call.query, "name", "") or document.name
        read = documents.read(document.data, document.source, name=given)
        found += read.definitions
        warnings += read.warnings
    return found, warnings


def _source(format: str | None) -> Source:
    return wanted(request.accept_mimetypes) if format is None else Source(format)


def _shown(call: Call[Any, Any], session: Any, stored: Stored) -> dict[str, Any]:
    return library.describe(session, call.caller, Found(stored.prompt, stored.version))


def _stored(call: Call[Any, Any], session: Any, stored: Stored) -> dict[str, Any]:
    return {**_shown(call, session, stored), "unchanged": stored.unchanged}
