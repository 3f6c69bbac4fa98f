"""What is asked for and what is answered: the values that travel into and out of this room."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from app.errors import InvalidContext, InvalidFormat, MissingParameter
from app.moments import iso_seconds
from models import Format

if TYPE_CHECKING:
    from app.context.files import ReadFile
    from app.prompts.definition import Definition
    from app.prompts.script import Script


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """A job as its caller words it; None means "not said" (then the agent's, or the default).

    `template` is one text with `{{variables}}`; `messages`, its alternative, are `{"role",
    "content"}` objects whose contents are templates. A row of messages keeps their contents, joined
    by blank lines, as its `template_name`, so that rows of the same messages are found together.
    `fetchers` are names, or names with their arguments. `run_at` in the past means now. `user_id`
    other than the caller's is for administrators.

    `prompt` names a stored definition (`name`, `name@3`, `name@label`), `prompt_xml` is one written
    out, `definition` one that was read already; its placeholders read `workitem` (items: name and
    value, or a list of values) and `files`.
    A definition may supply what a job leaves unsaid: model, format, options. `script` and what
    follows it are filled in here (`app.jobs.scripts`), never by a caller.
    """

    template: str | None = None
    model: str | None = None
    context: dict[str, Any] = field(default_factory=dict)
    format: str | None = None
    queue: str | None = None
    agent_id: int | None = None
    options: dict[str, Any] | None = None
    system: str | None = None
    messages: list[dict[str, str]] | None = None
    response_schema: dict[str, Any] | None = None
    run_at: datetime | None = None
    deadline: datetime | None = None
    metadata: dict[str, Any] | None = None
    strict: bool = False
    fetchers: dict[str, Any] | list[str] | None = None
    user_id: int | None = None
    traceparent: str | None = None
    prompt: str | None = None
    prompt_xml: str | None = None
    definition: Definition | None = None
    workitem: dict[str, Any] | None = None
    files: tuple[ReadFile, ...] = ()
    debug: bool = False
    script: Script | None = None
    script_warnings: tuple[str, ...] = ()
    prompt_name: str | None = None
    prompt_version: int | None = None
    agent_model: str | None = None


@dataclass(frozen=True, slots=True)
class IdempotencyRequest:
    """A caller's `Idempotency-Key` and the SHA-256 (hex) of the request it came with."""

    key: str
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """An accepted job. `estimated_completion` is in UTC, whole seconds, later than the acceptance.

    `replayed` is the stored answer when an `Idempotency-Key` was seen before; no job was added.
    """

    output_id: int
    job_id: str
    estimated_completion: datetime
    warnings: list[str] = field(default_factory=list)
    status: str = "queued"
    replayed: dict[str, Any] | None = None

    @property
    def location(self) -> str:
        """Where the output can be read."""
        return f"/api/v1/llm_outputs/{self.output_id}"

    @property
    def answer(self) -> dict[str, Any]:
        """The seed's four keys, and `warnings` when there are any; a replay's stored answer."""
        if self.replayed is not None:
            return self.replayed
        four = {
            "job_id": self.job_id,
            "output_id": self.output_id,
            "status": self.status,
            "estimated_completion": iso_seconds(self.estimated_completion),
        }
        return four | ({"warnings": self.warnings} if self.warnings else {})


def check_essentials(fields: Mapping[str, Any]) -> None:
    """The four checks that come before all others, in the seed's order and words.

    `fields` holds what was sent; a field that was not sent is absent. Blank counts as missing;
    an explicit null format or context is invalid. `messages`, or a definition (`prompt`,
    `prompt_xml`), may stand for `template`; an agent (`agent_id`) or a definition may supply the
    model. Raises MissingParameter, InvalidFormat, InvalidContext.
    """
    defined = not all(_is_missing(fields.get(name)) for name in ("prompt", "prompt_xml"))
    if _is_missing(fields.get("template")) and not fields.get("messages") and not defined:
        raise MissingParameter("template")
    if _is_missing(fields.get("model")) and fields.get("agent_id") is None and not defined:
        raise MissingParameter("model")
    if "format" in fields and fields["format"] not in list(Format):
        raise InvalidFormat
    if "context" in fields and not isinstance(fields["context"], dict):
        raise InvalidContext


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())
