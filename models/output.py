"""`LLMOutput`, the row of one job, and the table of moves it may make.

The row is the truth: a message only names it. `app.lifecycle` is the only place that moves a row
from one status to another; what is stored here is columns, scopes and small readings of a row.
"""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    Select,
    SmallInteger,
    String,
    Text,
    false,
    select,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, moment_of_insert, row_id
from models.types import BigId, Json, Money, UtcDateTime


class Status(StrEnum):
    """Where a job stands. The last three are ends: a row never leaves them."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return self in ENDED


ENDED = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})

#: verb → (statuses it leaves, statuses it may lead to); the lifecycle's map, checked by a test.
TRANSITIONS: dict[str, tuple[frozenset[Status], frozenset[Status]]] = {
    "claim": (frozenset({Status.PENDING}), frozenset({Status.PROCESSING})),
    "renew": (frozenset({Status.PROCESSING}), frozenset({Status.PROCESSING})),
    "again": (frozenset({Status.PROCESSING}), frozenset({Status.PROCESSING})),
    "complete": (frozenset({Status.PROCESSING}), frozenset({Status.COMPLETED})),
    "retry_later": (frozenset({Status.PROCESSING}), frozenset({Status.PENDING})),
    "snooze": (frozenset({Status.PROCESSING}), frozenset({Status.PENDING})),
    "release": (frozenset({Status.PROCESSING}), frozenset({Status.PENDING})),
    "fail": (frozenset({Status.PROCESSING}), frozenset({Status.FAILED})),
    "stop": (frozenset({Status.PROCESSING}), frozenset({Status.CANCELLED})),
    "rescue": (
        frozenset({Status.PROCESSING}),
        frozenset({Status.PENDING, Status.FAILED, Status.CANCELLED}),
    ),
    "cancel": (
        frozenset({Status.PENDING, Status.PROCESSING}),
        frozenset({Status.CANCELLED, Status.PROCESSING}),
    ),
    "advance": (frozenset({Status.PENDING}), frozenset({Status.PENDING})),
    "expire": (frozenset({Status.PENDING}), frozenset({Status.FAILED})),
}


class Format(StrEnum):
    """What kind of text the answer is."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"
    HTML = "html"


class Queue(StrEnum):
    """The three queues, in order of priority."""

    HIGH = "high"
    DEFAULT = "default"
    LOW = "low"


class Feedback(IntEnum):
    """A person's verdict; stored as a number, shown as a word."""

    NONE = 0
    THUMBS_UP = 1
    THUMBS_DOWN = 2

    @property
    def word(self) -> str:
        return self.name.lower()


class Derivation(StrEnum):
    """How a job came from its parent."""

    RE_RUN = "re_run"
    REGENERATE = "regenerate"


class LLMOutput(Base):
    """One job and its output.

    `template_name` is the template's text, or the saved prompt's name; `context` its variables.
    `fence` counts claims and further calls: a result is accepted only under the fence it was
    claimed with. `tries` counts the retry budget used, `losses` the workers that died holding it.
    `script` is the prompt definition it was accepted with and what that reads beside `workitem` and
    `files` (`app.prompts.script`); `steps_done` counts the steps of it whose items are in
    `result_items` already.
    `file_texts` stands beside `files`, in the same order, and is not read with the row.
    `woken_at` is when its message was last sent, null when none is out. `bucket` names what a
    provider's rate limit pauses: provider, model and key.
    """

    __tablename__ = "llm_outputs"

    id: Mapped[int] = row_id()
    job_id: Mapped[str] = mapped_column(String(36), unique=True)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    agent_id: Mapped[int | None] = mapped_column(ForeignKey("agents.id"))

    # What was asked
    template_name: Mapped[str] = mapped_column(Text)
    model_name: Mapped[str] = mapped_column(String(255))
    format: Mapped[str] = mapped_column(String(16), default=Format.TEXT)
    context: Mapped[dict[str, Any] | None] = mapped_column(Json)
    system: Mapped[str | None] = mapped_column(Text)
    messages: Mapped[list[dict[str, str]] | None] = mapped_column(Json)
    response_schema: Mapped[dict[str, Any] | None] = mapped_column(Json)
    options: Mapped[dict[str, Any] | None] = mapped_column(Json)
    fetchers: Mapped[dict[str, Any] | None] = mapped_column(Json)
    strict: Mapped[bool] = mapped_column(default=False)
    prompt_name: Mapped[str | None] = mapped_column(String(255))
    prompt_version: Mapped[int | None] = mapped_column(Integer)
    script: Mapped[dict[str, Any] | None] = mapped_column(Json)
    workitem: Mapped[dict[str, Any] | None] = mapped_column(Json)
    files: Mapped[list[dict[str, Any]] | None] = mapped_column(Json)
    file_texts: Mapped[list[str] | None] = mapped_column(
        Json, deferred=True, deferred_raiseload=True
    )
    debug: Mapped[bool] = mapped_column(default=False, server_default=false())
    metadata_: Mapped[dict[str, Any] | None] = mapped_column("metadata", Json)
    bucket: Mapped[str] = mapped_column(String(255), default="")
    traceparent: Mapped[str | None] = mapped_column(String(64))

    # What came of it
    status: Mapped[str] = mapped_column(String(16), default=Status.PENDING)
    prompt: Mapped[str | None] = mapped_column(Text)
    raw_response: Mapped[str | None] = mapped_column(Text)
    parsed_output: Mapped[Any | None] = mapped_column(Json)
    result_items: Mapped[dict[str, Any] | None] = mapped_column(Json)
    steps_done: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    warnings: Mapped[list[str] | None] = mapped_column(Json)
    error_code: Mapped[str | None] = mapped_column(String(64))
    error_message: Mapped[str | None] = mapped_column(Text)
    input_tokens: Mapped[int | None] = mapped_column(BigId)
    output_tokens: Mapped[int | None] = mapped_column(BigId)
    cached_tokens: Mapped[int | None] = mapped_column(BigId)
    cost: Mapped[Decimal | None] = mapped_column(Money)

    # What people thought of it
    feedback: Mapped[int] = mapped_column(SmallInteger, default=Feedback.NONE)
    feedback_comment: Mapped[str | None] = mapped_column(Text)
    feedback_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    # Where it came from
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("llm_outputs.id"))
    root_id: Mapped[int | None] = mapped_column(ForeignKey("llm_outputs.id"))
    derivation: Mapped[str | None] = mapped_column(String(16))

    # Its clockwork
    queue: Mapped[str] = mapped_column(String(16), default=Queue.DEFAULT)
    run_at: Mapped[datetime] = mapped_column(UtcDateTime)
    deadline: Mapped[datetime] = mapped_column(UtcDateTime)
    woken_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    fence: Mapped[int] = mapped_column(Integer, default=0)
    tries: Mapped[int] = mapped_column(Integer, default=0)
    max_tries: Mapped[int] = mapped_column(Integer)
    losses: Mapped[int] = mapped_column(Integer, default=0)
    lease_expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    worker: Mapped[str | None] = mapped_column(String(255))
    cancel_requested_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = moment_of_insert()
    updated_at: Mapped[datetime] = moment_of_insert()
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    erased_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (
        CheckConstraint(
            "status IN ('pending', 'processing', 'completed', 'failed', 'cancelled')", name="status"
        ),
        CheckConstraint("format IN ('text', 'json', 'markdown', 'html')", name="format"),
        CheckConstraint("queue IN ('high', 'default', 'low')", name="queue"),
        CheckConstraint("feedback IN (0, 1, 2)", name="feedback"),
        CheckConstraint(
            "(status = 'processing') = (lease_expires_at IS NOT NULL)", name="leased_iff_processing"
        ),
        CheckConstraint(
            "(status IN ('completed', 'failed', 'cancelled')) = (finished_at IS NOT NULL)",
            name="finished_iff_ended",
        ),
        CheckConstraint("tries <= max_tries", name="tries_within_budget"),
        # No index starts with `status`: without statistics SQLite would prefer it to every other.
        # Rows whose message has not been sent, by lane: the dispatcher's fair order.
        Index(
            "ix_llm_outputs_unsent",
            "queue",
            "user_id",
            "bucket",
            "model_name",
            "run_at",
            "id",
            postgresql_where=text("status = 'pending' AND woken_at IS NULL"),
            sqlite_where=text("status = 'pending' AND woken_at IS NULL"),
        ),
        Index(
            "ix_llm_outputs_sent",
            "queue",
            "woken_at",
            postgresql_where=text("status = 'pending' AND woken_at IS NOT NULL"),
            sqlite_where=text("status = 'pending' AND woken_at IS NOT NULL"),
        ),
        Index(
            "ix_llm_outputs_leases",
            "lease_expires_at",
            postgresql_where=text("status = 'processing'"),
            sqlite_where=text("status = 'processing'"),
        ),
        Index(
            "ix_llm_outputs_deadline",
            "deadline",
            postgresql_where=text("status = 'pending'"),
            sqlite_where=text("status = 'pending'"),
        ),
        Index("ix_llm_outputs_user_id_id", "user_id", "id"),
        Index("ix_llm_outputs_user_id_status_id", "user_id", "status", "id"),
        Index(
            "ix_llm_outputs_completed",
            "finished_at",
            postgresql_where=text("status = 'completed'"),
            sqlite_where=text("status = 'completed'"),
        ),
        Index(
            "ix_llm_outputs_given_up",
            "finished_at",
            postgresql_where=text("status IN ('failed', 'cancelled')"),
            sqlite_where=text("status IN ('failed', 'cancelled')"),
        ),
        # Ended rows that still have their texts, oldest end first: what retention looks for.
        Index(
            "ix_llm_outputs_texts",
            "finished_at",
            postgresql_where=text("finished_at IS NOT NULL AND erased_at IS NULL"),
            sqlite_where=text("finished_at IS NOT NULL AND erased_at IS NULL"),
        ),
        # Rows people look for and of which there are few: lists of them open at once.
        *(
            Index(
                f"ix_llm_outputs_{status}",
                "id",
                postgresql_where=text(f"status = '{status}'"),
                sqlite_where=text(f"status = '{status}'"),
            )
            for status in ("failed", "cancelled")
        ),
        Index(
            "ix_llm_outputs_voted",
            "id",
            postgresql_where=text("feedback <> 0"),
            sqlite_where=text("feedback <> 0"),
        ),
        # Votes by when their output ended: of everybody, and of one user.
        *(
            Index(
                f"ix_llm_outputs_{name}",
                *columns,
                postgresql_where=text("feedback <> 0"),
                sqlite_where=text("feedback <> 0"),
            )
            for name, columns in {
                "votes": ["finished_at"],
                "user_id_votes": ["user_id", "finished_at"],
            }.items()
        ),
        Index(
            "ix_llm_outputs_prompt_name_id",
            "prompt_name",
            "id",
            postgresql_where=text("prompt_name IS NOT NULL"),
            sqlite_where=text("prompt_name IS NOT NULL"),
        ),
        Index("ix_llm_outputs_parent_id", "parent_id"),
        Index("ix_llm_outputs_root_id", "root_id"),
        {"sqlite_autoincrement": True},
    )

    # Scopes

    @classmethod
    def completed(cls) -> Select[LLMOutput]:
        """Rows that ended with an answer."""
        return select(cls).where(cls.status == Status.COMPLETED)

    @classmethod
    def by_template(cls, template: str) -> Select[LLMOutput]:
        """Rows of one template text or saved prompt."""
        return select(cls).where(cls.template_name == template)

    @classmethod
    def by_model(cls, model: str) -> Select[LLMOutput]:
        """Rows asked of one model."""
        return select(cls).where(cls.model_name == model)

    @classmethod
    def recent(cls) -> Select[LLMOutput]:
        """Newest first."""
        return select(cls).order_by(cls.id.desc())

    @classmethod
    def with_feedback(cls, feedback: Feedback) -> Select[LLMOutput]:
        """Rows with this verdict."""
        return select(cls).where(cls.feedback == int(feedback))

    # Readings

    @property
    def success(self) -> bool:
        """Completed, and with something in the answer."""
        return self.status == Status.COMPLETED and bool((self.raw_response or "").strip())

    @property
    def formatted_output(self) -> str:
        """The answer for display: JSON with two spaces, anything that is not JSON unchanged."""
        answer = self.raw_response or ""
        if self.format != Format.JSON:
            return answer
        try:
            value = json.loads(answer) if self.parsed_output is None else self.parsed_output
            return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
        except (ValueError, RecursionError):
            return answer

    @property
    def estimated_tokens(self) -> int:
        """A rough count of the answer's tokens: a quarter of its characters."""
        return len(self.raw_response or "") // 4

    @property
    def effective_cost(self) -> Decimal | None:
        """US dollars of every call made for this job; None while no price is known."""
        return self.cost

    @property
    def feedback_word(self) -> str:
        """`none`, `thumbs_up` or `thumbs_down`."""
        return Feedback(self.feedback).word


class IdempotencyKey(Base):
    """What was answered to a caller's `Idempotency-Key`, stored with the job it accepted."""

    __tablename__ = "idempotency_keys"

    user_id: Mapped[int] = mapped_column(BigId, ForeignKey("users.id"), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    status: Mapped[int] = mapped_column(SmallInteger)
    body: Mapped[dict[str, Any]] = mapped_column(Json)
    location: Mapped[str | None] = mapped_column(String(255))
    created_at: Mapped[datetime] = moment_of_insert()

    __table_args__ = (Index("ix_idempotency_keys_created_at", "created_at"),)
