"""The row of a job as clients see it, and what may be asked of a list of them."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, WithJsonSchema, model_validator

from api.schemas.common import Lax, ListOf, PageQuery, RowId, Shown, Strict, When
from models import Format, Queue, Status

_METADATA = re.compile(r"metadata\[([^\[\]]*)\]")

FeedbackWord = Literal["none", "thumbs_up", "thumbs_down"]


class AttemptShown(Shown):
    """One call to a provider."""

    number: int
    kind: str = Field(description="`answer`, or a further call such as `repair` or `enlarge`.")
    started_at: datetime
    finished_at: datetime | None
    outcome: str
    error_code: str | None
    error_message: str | None
    delay_seconds: float | None = Field(description="How long the job waited after it.")
    provider: str | None
    provider_model: str | None
    provider_request_id: str | None
    http_status: int | None
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    cost: float | None
    duration_seconds: float | None
    first_token_seconds: float | None
    worker: str | None
    exchange: dict[str, Any] | None = Field(
        description="What was sent and answered, redacted; of jobs that are debugged."
    )


class FileShown(Shown):
    """A file of a job, without its text."""

    name: str
    media_type: str
    size: int = Field(description="Bytes of the file as it came.")
    characters: int = Field(description="Of the text that was found in it.")


class Review(Shown):
    """Result items as a person left them."""

    items: dict[str, list[Any]]
    confirmed: bool
    user_id: int | None
    by: str
    at: datetime


class Output(Shown):
    """One job and its output: everything the row says."""

    id: int
    output_id: int = Field(description="The same as `id`.")
    job_id: str
    status: Status
    success: bool = Field(description="Completed, with something in the answer.")
    cancel_requested: bool
    template: str = Field(description="The same as `template_name`.")
    template_name: str = Field(description="The template's text, or the saved prompt's name.")
    model_name: str
    format: Format
    context: dict[str, Any] | None
    system: str | None
    messages: list[dict[str, str]] | None
    response_schema: dict[str, Any] | None
    options: dict[str, Any] | None
    fetchers: dict[str, Any] | None
    strict: bool
    metadata: dict[str, Any] | None
    prompt_name: str | None
    prompt_version: int | None
    definition: dict[str, Any] | None = Field(
        description="The prompt definition the job was accepted with; null for a plain template."
    )
    workitem: dict[str, list[Any]] | None = Field(description="What its placeholders read.")
    files: list[FileShown] = Field(description="What else they read.")
    debug: bool = Field(description="Whether its calls are kept and logged whole.")
    prompt: str | None = Field(description="The final text that was sent.")
    raw_response: str | None
    parsed_output: Any = None
    formatted_output: str | None
    rendered_html: str | None = Field(description="Sanitised; for markdown and html.")
    result_items: dict[str, Any] | None = Field(
        description="What the answer says, by item: name and list of values."
    )
    review: Review | None = Field(description="The items as a person left them last.")
    warnings: list[str]
    error_code: str | None
    error_message: str | None
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    estimated_tokens: int = Field(description="A rough count of the answer's tokens.")
    cost: float | None = Field(description="US dollars; null when a price is unknown.")
    user_id: int | None
    agent_id: int | None
    feedback: FeedbackWord
    feedback_comment: str | None
    feedback_at: datetime | None
    parent_id: int | None
    root_id: int | None
    derivation: Literal["re_run", "regenerate"] | None
    children: list[int]
    queue: Queue
    tries: int = Field(description="How much of the retry budget is used.")
    max_tries: int
    losses: int = Field(description="Workers that died holding it.")
    steps_done: int = Field(description="Steps of its definition that are behind it.")
    fence: int = Field(description="Counts attempts.")
    worker: str | None
    traceparent: str | None
    run_at: datetime
    deadline: datetime
    lease_expires_at: datetime | None
    cancel_requested_at: datetime | None
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    erased_at: datetime | None
    attempts: list[AttemptShown]


class OutputList(ListOf[Output]):
    """A page of outputs."""


class OutputsQuery(PageQuery):
    """Which outputs: all that is named must be true."""

    status: Status | None = None
    model: str | None = Field(None, description="The model's name.")
    template: str | None = Field(None, description="The template's text or the prompt's name.")
    format: Format | None = None
    queue: Queue | None = None
    feedback: FeedbackWord | None = None
    error_code: str | None = Field(
        None, description="The last error's code; without a status, of rows that failed with it."
    )
    created_after: When | None = None
    created_before: When | None = None
    q: str | None = Field(None, description="Looked for in template, answer and job id.")
    metadata: dict[str, str] = Field(
        default_factory=dict,
        description="`metadata[name]=value`: rows whose metadata say so.",
        examples=[{"project": "atlas"}],
    )
    parent_id: RowId | None = Field(None, description="Outputs made from this one.")
    all_users: bool = Field(False, description="Everybody's; administrators only.")
    user_id: RowId | None = Field(None, description="This user's; administrators only.")
    user: str | None = Field(None, description="The user of this address; administrators only.")

    @model_validator(mode="before")
    @classmethod
    def _gather_metadata(cls, sent: dict[str, Any]) -> dict[str, Any]:
        found = {name: match[1] for name in sent if (match := _METADATA.fullmatch(name))}
        plain = {name: value for name, value in sent.items() if name not in found}
        if found:
            plain["metadata"] = {key: sent[name] for name, key in found.items()}
        return plain


class FeedbackBody(Strict):
    """A verdict. A missing or unknown one is refused by `app.feedback`, in the seed's words."""

    feedback_type: Annotated[
        Any, WithJsonSchema({"type": "string", "enum": ["thumbs_up", "thumbs_down", "none"]})
    ]
    comment: str | None = Field(None, max_length=10_000, description="Stripped; blank is none.")

    @model_validator(mode="before")
    @classmethod
    def _missing_is_none_of_them(cls, sent: Any) -> Any:
        return {"feedback_type": None, **sent} if isinstance(sent, dict) else sent


class FeedbackGiven(Shown):
    """The verdict as it was stored."""

    status: Literal["success"]
    feedback: FeedbackWord
    comment: str | None


class ItemsBody(Strict):
    """Result items as a person leaves them; without `items` the present ones are confirmed."""

    items: dict[str, Any] | None = Field(
        None,
        description="All of them: name, and a value or a list of values.",
        examples=[{"invoice.total": [4100.0]}],
    )
    confirmed: bool = Field(False, description="They are right as they stand now.")


class SuggestQuery(Lax):
    """What somebody has typed so far."""

    q: str = Field(max_length=64, description="At least two characters.")


class Suggested(Shown):
    """Help for a form."""

    mode: Literal["ON", "OFF"]
    items: list[str] = Field(description="Names of the items a form should help with.")
    hits: list[str] = Field(description="Words of the job's files that go on from `q`.")


class StreamQuery(Lax):
    """Where an event stream goes on."""

    last_event_id: str | None = Field(
        None, max_length=64, description="For clients that cannot send the header."
    )
