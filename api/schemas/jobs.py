"""Bodies and answers of submitting: one job, many, a preview, a regeneration."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from api.schemas.common import SAME_AS, Moment, RowId, Shown, Strict
from api.schemas.files import Files
from api.schemas.outputs import Output
from app.jobs.request import check_essentials
from models import Queue

FormatWord = Literal["text", "json", "markdown", "html"]
QueueWord = Literal["high", "default", "low"]

DEFINED = ("prompt", "prompt_xml")
ASKING = ("template", "messages", *DEFINED)

SEED_BODY: dict[str, Any] = {
    "template": "Explain {{concept}} to a beginner",
    "model": "gpt-4",
    "context": {"concept": "machine learning"},
    "format": "text",
}


def _fetchers(value: Any) -> Any:
    """Both ways to name fetchers as one: name → arguments."""
    if isinstance(value, list):
        if not all(isinstance(name, str) for name in value):
            raise ValueError("should be a list of names, or an object of name and arguments")
        return {name: {} for name in value}
    if isinstance(value, dict) and not all(isinstance(args, dict) for args in value.values()):
        raise ValueError("should give each fetcher an object of arguments")
    return value


Fetchers = Annotated[
    dict[str, Any],
    BeforeValidator(_fetchers),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "array", "items": {"type": "string"}},
                {"type": "object", "additionalProperties": {"type": "object"}},
            ],
            "examples": [["user_profile"]],
        }
    ),
]


class PromptMessage(Strict):
    """One message of a conversation; `content` is a template."""

    role: Literal["system", "user", "assistant"]
    content: str


class JobBody(Strict):
    """A job: a template, messages or a prompt definition; a model; and the variables' values."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [SEED_BODY],
            "allOf": [
                {"anyOf": [{"required": [name]} for name in ASKING]},
                {"anyOf": [{"required": [name]} for name in ("model", "agent_id", *DEFINED)]},
            ],
        }
    )

    template: str | None = Field(
        None,
        description="The prompt; `{{name}}` and `{{user.name}}` are replaced from `context`.",
        examples=["Explain {{concept}} to a beginner"],
    )
    model: str | None = Field(
        None,
        max_length=255,
        description="Which model answers. May be left to the agent.",
        examples=["gpt-4"],
    )
    context: dict[str, Any] = Field(
        default_factory=dict,
        description="The variables of the template.",
        examples=[{"concept": "machine learning"}],
    )
    format: FormatWord | None = Field(
        None, description="What kind of text the answer is; `text` unless the agent says otherwise."
    )
    queue: QueueWord | None = Field(None, description="How urgent; `default` unless said.")
    priority: QueueWord | None = Field(None, description="Another name for `queue`.")
    agent_id: RowId | None = Field(None, description="Whose defaults this job inherits.")
    options: dict[str, Any] | None = Field(
        None,
        description="Parameters for the provider.",
        examples=[{"temperature": 0.2, "max_tokens": 500}],
    )
    system: str | None = Field(None, description="The system message.")
    messages: list[PromptMessage] | None = Field(
        None, min_length=1, max_length=200, description="A conversation instead of `template`."
    )
    prompt: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="A stored prompt instead of `template`: `name`, `name@3` or `name@label`.",
        examples=["categorize@production"],
    )
    prompt_xml: str | None = Field(
        None, description="A prompt definition as Imixs-AI writes it, instead of `template`."
    )
    workitem: dict[str, Any] | None = Field(
        None,
        description="What a definition's placeholders read: items, each a value or a list of them.",
        examples=[{"invoice.number": "R-2024-17", "team": ["anna", "marc"]}],
    )
    files: Files = None
    debug: bool = Field(False, description="Keep and log each call whole, redacted.")
    response_schema: dict[str, Any] | None = Field(
        None, description="A JSON Schema the answer must match; needs `format` `json`."
    )
    run_at: Moment | None = Field(None, description="Not before this time; the past means now.")
    deadline: Moment | None = Field(None, description="Not after this time.")
    metadata: dict[str, Any] | None = Field(None, description="Kept with the row, for you.")
    strict: bool = Field(False, description="Refuse the job (422) when a variable is missing.")
    fetchers: Fetchers | None = Field(None, description="Context fetched before the call, by name.")
    user_id: RowId | None = Field(None, description="On whose behalf; administrators only.")

    @model_validator(mode="before")
    @classmethod
    def _the_four_checks(cls, sent: Any) -> Any:
        """template, model, format, context, in this order, in the seed's words."""
        if isinstance(sent, dict):
            check_essentials(sent)
        return sent

    @model_validator(mode="after")
    def _one_queue(self) -> JobBody:
        if self.queue and self.priority and self.queue != self.priority:
            raise ValueError("queue and priority are two names of one thing; send one")
        return self

    @property
    def asked_queue(self) -> Queue:
        return Queue(self.queue or self.priority or Queue.DEFAULT)


class JsonApiJob(Strict):
    """The `data` of a JSON:API body."""

    type: Literal["llm-job"]
    attributes: dict[str, Any] = Field(
        json_schema_extra={SAME_AS: "JobBody"},
        description="The fields of a job.",
    )


class JsonApiJobBody(Strict):
    """A job as JSON:API clients send it."""

    data: JsonApiJob


class JobAccepted(Shown):
    """The job is a row now and will run; the first four keys are the seed's."""

    job_id: str = Field(examples=["0d9f6a52-7c1e-4d2b-9a57-3f6f0c2f1b11"])
    output_id: int = Field(examples=[456])
    status: Literal["queued"]
    estimated_completion: str = Field(
        description="When the answer may be expected: whole seconds, UTC.",
        examples=["2030-01-15T10:35:00Z"],
    )
    warnings: list[str] | None = Field(None, description="Only when there are any.")
    output: Output | None = Field(None, description="The whole row; only with `?wait=`.")


class JsonApiAttributes(Shown):
    """What a JSON:API client is told about an accepted job."""

    job_id: str
    template_name: str
    model_name: str | None
    format: str
    status: Literal["pending"]
    estimated_completion: str
    warnings: list[str] = Field(default_factory=list)


class JsonApiOutput(Shown):
    """The row of an accepted job as a JSON:API resource."""

    type: Literal["llm-output"]
    id: str
    attributes: JsonApiAttributes
    links: dict[str, str]


class JsonApiAccepted(Shown):
    """The JSON:API answer to an accepted job."""

    data: JsonApiOutput


class BulkBody(Strict):
    """Up to 1,000 jobs; all are accepted or none."""

    jobs: list[dict[str, Any]] = Field(
        min_length=1,
        max_length=1000,
        description="Each as for one job.",
        json_schema_extra={"items": {SAME_AS: "JobBody"}},
    )


class BulkAccepted(Shown):
    """The accepted jobs, in the order they were sent."""

    jobs: list[JobAccepted]


class RegenerateBody(Strict):
    """What is to be different; what is not named stays as the parent has it."""

    context: dict[str, Any] | None = Field(None, description="Replaces the parent's, whole.")
    model: str | None = Field(None, max_length=255)
    template: str | None = None
    options: dict[str, Any] | None = Field(None, description="Replaces the parent's, whole.")
    workitem: dict[str, Any] | None = Field(
        None,
        description="Replaces the parent's, whole; for jobs of a prompt definition.",
        examples=[{"invoice.number": "R-2024-18"}],
    )

    @model_validator(mode="before")
    @classmethod
    def _as_for_create(cls, sent: Any) -> Any:
        if isinstance(sent, dict):
            inherited = {"template": "the parent's", "model": "the parent's"}
            check_essentials({**inherited, **sent})
        return sent


class Derived(Shown):
    """A new job made from an output."""

    status: Literal["success"]
    message: str = Field(examples=["Job queued for re-run"])
    job_id: str
    output_id: int
    warnings: list[str] | None = Field(None, description="Only when there are any.")


class PreviewedStep(Shown):
    """One call of a prompt definition, and what becomes of its answer."""

    prompt: str
    system: str | None
    messages: list[PromptMessage]
    model: str
    options: dict[str, Any]
    result_item: str | None
    result_event: str | None


class Preview(Shown):
    """What would be sent and what it might cost; nothing was stored."""

    prompt: str
    system: str | None
    messages: list[PromptMessage]
    missing_variables: list[str]
    model: str
    provider: str
    format: FormatWord
    estimated_input_tokens: int
    estimated_output_tokens: int | None = Field(description="Null when nobody knows.")
    estimated_cost: float | None = Field(description="US dollars; null without a price.")
    options: dict[str, Any] = Field(description="What goes to the provider beside the messages.")
    steps: list[PreviewedStep] | None = Field(
        None, description="Each call of a prompt definition; the fields above are the first's."
    )
    warnings: list[str]


class Reason(Shown):
    """One thing a job waits for."""

    reason: Literal[
        "retry", "scheduled", "paused", "no_worker", "queued", "running", "cancelling", "ended"
    ]
    detail: str = Field(description="The same as a sentence.")
    until: datetime | None = Field(description="Null when nobody knows.")
    position: int | None = Field(None, description="How many jobs go first.")


class Why(Reason):
    """What a job waits for: the weightiest reason, and all of them."""

    job_id: str
    output_id: int
    status: str
    reasons: list[Reason]
