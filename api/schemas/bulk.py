"""Acting on many outputs: which rows, what to do, and what came of it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from api.schemas.common import RowId, Shown, Strict, When
from api.schemas.jobs import FormatWord, QueueWord
from api.schemas.outputs import FeedbackWord
from app.jobs import Filters
from app.jobs.bulk import MOST

StatusWord = Literal["pending", "processing", "completed", "failed", "cancelled"]


class Whose(Strict):
    """Whose rows: one's own, unless an administrator says otherwise."""

    all_users: bool = Field(False, description="Everybody's; administrators only.")
    user_id: RowId | None = Field(None, description="This user's; administrators only.")
    user: str | None = Field(
        None, max_length=254, description="The user of this address; administrators only."
    )


class FiltersBody(Whose):
    """Which outputs, as in the list: all that is named must be true."""

    status: StatusWord | None = None
    model: str | None = Field(None, max_length=255)
    template: str | None = Field(None, description="The template's text or the prompt's name.")
    format: FormatWord | None = None
    queue: QueueWord | None = None
    feedback: FeedbackWord | None = None
    error_code: str | None = Field(None, max_length=64)
    created_after: When | None = None
    created_before: When | None = None
    q: str | None = Field(None, description="Looked for in template, answer and job id.")
    metadata: dict[str, str] = Field(default_factory=dict)
    parent_id: RowId | None = None

    def filters(self) -> Filters:
        """The same in the words of `app.jobs`."""
        return Filters(**self.model_dump())


class RetryBody(Whose):
    """Which failed outputs to run again: all of one's own, or fewer."""

    error_code: str | None = Field(None, max_length=64, examples=["rate_limited"])
    queue: QueueWord | None = None
    model: str | None = Field(None, max_length=255)
    limit: int = Field(MOST, ge=1, le=MOST, description="The newest so many.")


class BulkActBody(Strict):
    """What to do to which outputs: those of `ids`, or the newest that match `filters`."""

    action: Literal["re_run", "cancel"]
    ids: list[RowId] | None = Field(None, min_length=1, max_length=MOST)
    filters: FiltersBody | None = Field(None, description="An empty object: all of one's own.")
    limit: int = Field(MOST, ge=1, le=MOST, description="Of the filters' rows, the newest.")
    dry_run: bool = Field(
        False, description="Only count what the filters match, up to 10,000; nothing is done."
    )

    @model_validator(mode="before")
    @classmethod
    def _one_way(cls, sent: Any) -> Any:
        if isinstance(sent, dict) and (sent.get("ids") is None) == (sent.get("filters") is None):
            raise ValueError("send ids or filters, one of them")
        if isinstance(sent, dict) and sent.get("dry_run") and sent.get("filters") is None:
            raise ValueError("dry_run counts what filters match: send filters")
        return sent


class SkippedShown(Shown):
    """A row that was left out, and why."""

    output_id: int
    code: str = Field(examples=["unsupported_model"])
    detail: str


class AcceptedShown(Shown):
    """A new job."""

    job_id: str
    output_id: int


class BulkReRun(Shown):
    """The jobs that were accepted, and the rows that were left out."""

    status: Literal["success"]
    accepted: list[AcceptedShown]
    skipped: list[SkippedShown]
    more: bool = Field(description="Whether there were more rows than the limit.")


class BulkDone(BulkReRun):
    """What came of it. Lists the action has nothing to do with are empty."""

    action: Literal["re_run", "cancel"]
    cancelled: list[int] = Field(description="Outputs that were cancelled before they ran.")
    asked: list[int] = Field(description="Running outputs that stop within seconds.")
    matching: int | None = Field(None, description="Of a dry run: how many rows match.")
    capped: bool | None = Field(None, description="Of a dry run: whether there are more still.")
