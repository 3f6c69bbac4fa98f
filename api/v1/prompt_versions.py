"""What became of a prompt: its versions, what differs between them, labels, and what uses it."""

from __future__ import annotations

from api.auth import scope
from api.replies import Reply, page_reply
from api.routing import Answer, Call, Routes
from api.schemas.common import Empty
from api.schemas.prompts import (
    DiffQuery,
    DiffShown,
    LabelBody,
    LabelShown,
    RollBackBody,
    RolledBack,
    UseShown,
    VersionList,
    VersionsQuery,
    WhoseQuery,
)
from app.prompts import library
from models import Scope

routes = Routes("/api/v1", tag="prompts")

_READ = scope(Scope.JOBS_READ)
_WRITE = scope(Scope.TEMPLATES_ADMIN)


@routes.get(
    "/prompts/<name>/versions",
    access=_READ,
    query=VersionsQuery,
    answers={200: Answer(description="A page of versions.", model=VersionList)},
)
def list_prompt_versions(call: Call[Empty, VersionsQuery], name: str) -> Reply:
    """List the versions of a prompt, newest first."""
    with call.runtime.database.read() as session:
        page = library.list_versions(session, call.caller, name, **call.query.model_dump())
        return page_reply(page, lambda rows: library.describe_versions(session, rows))


@routes.get(
    "/prompts/<name>/diff",
    access=_READ,
    query=DiffQuery,
    answers={200: Answer(description="What differs.", model=DiffShown)},
)
def compare_prompt_versions(call: Call[Empty, DiffQuery], name: str) -> Reply:
    """Compare two versions of a prompt."""
    with call.runtime.database.read() as session:
        diff = library.diff(
            session,
            call.caller,
            name,
            before=call.query.from_,
            after=call.query.to,
            user_id=call.query.user_id,
        )
    changes = diff.values.changes
    return Reply(
        body={
            "name": diff.name,
            "from": diff.before,
            "to": diff.after,
            "differs": diff.values.differs,
            "unified": diff.unified,
            "pieces": [{"kind": piece.kind, "text": piece.text} for piece in diff.text.pieces],
            "changes": [
                {"place": c.place, "kind": c.kind, "before": c.before, "after": c.after}
                for c in changes
            ],
            "cut": diff.values.cut,
        }
    )


@routes.post(
    "/prompts/<name>/labels",
    access=_WRITE,
    body=LabelBody,
    query=WhoseQuery,
    answers={200: Answer(description="What the label means now.", model=LabelShown)},
    errors={409: "The version is a draft."},
)
def label_prompt(call: Call[LabelBody, WhoseQuery], name: str) -> Reply:
    """Let a label, such as `production`, mean a version."""
    with call.runtime.database.write() as session:
        label = library.set_label(
            session,
            call.caller,
            name,
            label=call.body.label,
            version=call.body.version,
            user_id=call.query.user_id,
        )
        return Reply(body=library.describe_label(label))


@routes.delete(
    "/prompts/<name>/labels/<label>",
    access=_WRITE,
    query=WhoseQuery,
    answers={204: Answer(description="The label is gone.")},
)
def remove_prompt_label(call: Call[Empty, WhoseQuery], name: str, label: str) -> Reply:
    """Take a label away from a prompt."""
    with call.runtime.database.write() as session:
        library.remove_label(session, call.caller, name, label=label, user_id=call.query.user_id)
    return Reply(status=204)


@routes.post(
    "/prompts/<name>/roll_back",
    access=_WRITE,
    body=RollBackBody,
    query=WhoseQuery,
    answers={200: Answer(description="What jobs get now.", model=RolledBack)},
    errors={409: "There is nothing to go back to."},
)
def roll_back_prompt(call: Call[RollBackBody, WhoseQuery], name: str) -> Reply:
    """Go back: move a label to what it meant before, or publish an earlier version once more.

    The latter is what happens to a prompt without the label `production`.
    """
    with call.runtime.database.write() as session:
        back = library.roll_back(
            session,
            call.caller,
            name,
            label=call.body.label,
            version=call.body.version,
            user_id=call.query.user_id,
        )
    facts = {"label": back.label, "version": back.version, "before": back.before}
    told = {"message": back.sentence, "name": back.prompt.name, "copy_of": back.copy_of}
    return Reply(body={**told, **facts})


@routes.get(
    "/prompts/<name>/used_by",
    access=_READ,
    query=WhoseQuery,
    answers={200: Answer(description="What uses it.", model=UseShown)},
)
def list_prompt_uses(call: Call[Empty, WhoseQuery], name: str) -> Reply:
    """Show which outputs a prompt was run for, and which prompts name it as their task."""
    with call.runtime.database.read() as session:
        use = library.used_by(session, call.caller, name, user_id=call.query.user_id)
        prompts = library.describe_many(session, call.caller, use.tasks)
    return Reply(
        body={
            "name": use.prompt.name,
            "versions": [{"version": number, "outputs": count} for number, count in use.versions],
            "capped": use.capped,
            "newest": [
                {
                    "output_id": row.id,
                    "job_id": row.job_id,
                    "status": row.status,
                    "prompt_version": row.prompt_version,
                    "created_at": row.created_at,
                }
                for row in use.newest
            ],
            "prompts": prompts,
        }
    )
