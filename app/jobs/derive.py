"""re_run and regenerate: a new job from an ended one. The parent is never changed.

The child belongs to whom the parent belongs to, whoever asks, and repeats what the parent was given
when it was accepted: what an agent says by now is of no matter.

A turn of a chat leads to an output with the same conversation beside the chat, so that answers can
be compared; asking again for one that failed is the chat's business (`app.chats`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy.orm import Session

from app.accounts import Caller
from app.context.files import ReadFile
from app.errors import Conflict, InvalidContext, InvalidParameter, MissingParameter
from app.jobs import idempotency as keys
from app.jobs.access import get
from app.jobs.files import files_of
from app.jobs.meaning import understand
from app.jobs.request import IdempotencyRequest, JobRequest, Submission
from app.jobs.scripts import with_names
from app.jobs.submit import accept
from app.lifecycle import NewJob
from app.prompts.chat import beside, is_chat, is_in_chat
from app.prompts.script import script_from
from app.runtime import Runtime
from app.settings import Settings
from models import Derivation, LLMOutput, Status


def re_run(
    runtime: Runtime,
    caller: Caller,
    output_id: int,
    *,
    idempotency: IdempotencyRequest | None = None,
) -> Submission:
    """The same job once more.

    Raises NotFound, Conflict while the parent has not ended or when it was erased, and what
    `submit` raises.
    """
    return _derive(runtime, caller, output_id, Derivation.RE_RUN, {}, idempotency)


def regenerate(
    runtime: Runtime,
    caller: Caller,
    output_id: int,
    *,
    context: dict[str, Any] | None = None,
    model: str | None = None,
    template: str | None = None,
    options: dict[str, Any] | None = None,
    workitem: dict[str, Any] | None = None,
    idempotency: IdempotencyRequest | None = None,
) -> Submission:
    """The job with something changed; None keeps the parent's. `context`, `options` and `workitem`
    replace the parent's whole, `template` also replaces its messages or definition. Only jobs of a
    definition have a work item.

    Raises as `re_run` and `submit` do.
    """
    if context is not None and not isinstance(context, dict):
        raise InvalidContext
    changes: dict[str, Any] = {"context": context, "options": options, "workitem": workitem}
    for name, text in (("model", model), ("template", template)):
        if isinstance(text, str) and not text.strip():
            raise MissingParameter(name)
        changes[name] = text
    changes = {name: value for name, value in changes.items() if value is not None}
    return _derive(runtime, caller, output_id, Derivation.REGENERATE, changes, idempotency)


def changed_request(
    runtime: Runtime, caller: Caller, output_id: int, changes: Mapping[str, Any]
) -> JobRequest:
    """What `regenerate` would ask for with these changes, to be previewed. Raises NotFound,
    Conflict for a turn of a chat, and InvalidParameter for changes that do not go together.
    """
    with runtime.database.read() as session:
        parent = get(session, caller, output_id=output_id)
        if is_chat(parent.script) and "template" not in changes:
            raise Conflict(f"Output {parent.id} is a turn of a chat: it is run without a preview")
        request = _changed_by(session, caller, parent, changes)
    return replace(request, agent_id=None, user_id=None)  # an agent's own words are in it already


_WITHOUT_DEFINITION: dict[str, Any] = {
    "script": None,
    "prompt_name": None,
    "prompt_version": None,
    "workitem": None,
    "files": (),
}


def _derive(
    runtime: Runtime,
    caller: Caller,
    output_id: int,
    derivation: Derivation,
    changes: dict[str, Any],
    idempotency: IdempotencyRequest | None,
) -> Submission:
    if idempotency and (replay := keys.recall(runtime.database, caller, idempotency)):
        return replay
    with runtime.database.read() as session:
        parent = get(session, caller, output_id=output_id)
        _refuse_unless_ended(parent, derivation)
        request = _changed_by(session, caller, parent, changes)
    job = _child(runtime.settings, parent, derivation, request)
    return accept(runtime, caller, [job], idempotency=idempotency)[0]


def child_of(
    settings: Settings,
    parent: LLMOutput,
    derivation: Derivation,
    *,
    files: tuple[ReadFile, ...] = (),
) -> NewJob:
    """The job a row leads to unchanged, with the parent's `files`. No transaction may be open.

    Raises Conflict while the parent has not ended, when it was erased or is a turn of a chat that
    failed, and what `understand` raises.
    """
    _refuse_unless_ended(parent, derivation)
    return _child(settings, parent, derivation, _changed(parent, {}, files=files))


def _child(
    settings: Settings, parent: LLMOutput, derivation: Derivation, request: JobRequest
) -> NewJob:
    job = understand(settings, request).job
    if parent.script and is_chat(parent.script) and request.template == parent.template_name:
        job = replace(job, script=beside(parent.script))
    return replace(
        job,
        parent_id=parent.id,
        root_id=parent.root_id or parent.id,
        derivation=derivation,
    )


def _changed_by(
    session: Session, caller: Caller, parent: LLMOutput, changes: Mapping[str, Any]
) -> JobRequest:
    """The parent's request with the changes made, and what the database knows of them."""
    request = _changed(parent, changes, files=files_of(session, parent))
    return with_names(session, caller, request) if "workitem" in changes else request


def _changed(
    parent: LLMOutput, changes: Mapping[str, Any], *, files: tuple[ReadFile, ...]
) -> JobRequest:
    """The parent's request with the changes made."""
    turn = is_chat(parent.script)
    if "context" in changes and turn and "template" not in changes:
        raise InvalidParameter(
            "context is read by the variables of a template: a turn of a chat has none",
            pointer="/context",
        )
    if "workitem" in changes and ("template" in changes or turn or parent.script is None):
        raise InvalidParameter(
            "workitem is read by the placeholders of a prompt definition: this job has none",
            pointer="/workitem",
        )
    request = replace(_request_of(parent), files=files, **changes)
    if "template" in changes:
        request = replace(request, messages=None, **_WITHOUT_DEFINITION)
        request = replace(request, model=request.model or parent.model_name)
    return request


def _refuse_unless_ended(parent: LLMOutput, derivation: Derivation) -> None:
    if not Status(parent.status).ended:
        raise Conflict(f"Output {parent.id} is still {parent.status}: wait for its end, or cancel")
    if parent.erased_at is not None:
        raise Conflict(f"Output {parent.id} was erased: there is nothing to run again")
    unanswered = parent.status != Status.COMPLETED and is_in_chat(parent.script)
    if unanswered and derivation is Derivation.RE_RUN:
        raise Conflict(f"Output {parent.id} is a turn of a chat: try its message again there")


def _request_of(parent: LLMOutput) -> JobRequest:
    """What the parent was asked, with everything said: nothing is left to inherit. The models of
    a definition are in its script; of a turn of a chat it is all but the conversation.
    """
    script = script_from(parent.script) if parent.script and not is_chat(parent.script) else None
    return JobRequest(
        template=None if parent.messages or script else parent.template_name,
        messages=parent.messages,
        model=None if script else parent.model_name,
        script=script,
        prompt_name=parent.prompt_name,
        prompt_version=parent.prompt_version,
        workitem=parent.workitem,
        debug=parent.debug,
        context=parent.context or {},
        format=parent.format,
        queue=parent.queue,
        agent_id=parent.agent_id,
        options=parent.options,
        system=parent.system,
        response_schema=parent.response_schema,
        metadata=parent.metadata_,
        strict=parent.strict,
        fetchers=parent.fetchers,
        user_id=parent.user_id,
    )
