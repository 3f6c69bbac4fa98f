"""Statistics: hourly rows, totals, and how far they are folded

Works beside the release before it: new tables, a column that may be null, and indexes. What was
there before is folded by and by, some thousands of rows at a time.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from models import types

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_BUCKETS = 16
_TRIES = 8

_USAGE = ("input_tokens", "output_tokens", "cached_tokens", "cost")

_INDEXES = {
    "ix_llm_outputs_given_up": (
        "llm_outputs",
        ["finished_at"],
        "status IN ('failed', 'cancelled')",
    ),
    "ix_llm_outputs_votes": ("llm_outputs", ["finished_at"], "feedback <> 0"),
    "ix_llm_outputs_user_id_votes": (
        "llm_outputs",
        ["user_id", "finished_at"],
        "feedback <> 0",
    ),
    "ix_attempts_finished_at": ("attempts", ["finished_at"], "finished_at IS NOT NULL"),
    "ix_attempts_reported_at": ("attempts", ["reported_at"], "reported_at IS NOT NULL"),
}


def upgrade() -> None:
    op.add_column("attempts", sa.Column("reported_at", types.UtcDateTime(), nullable=True))
    for name, (table, columns, where) in _INDEXES.items():
        op.create_index(
            name, table, columns, postgresql_where=sa.text(where), sqlite_where=sa.text(where)
        )
    _create_job_statistics()
    _create_call_statistics()
    op.create_table(
        "feedback_totals",
        *_words(value=16, template=255, model=255),
        sa.Column("votes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("value", "template", "model", name=op.f("pk_feedback_totals")),
    )
    op.create_table(
        "recoveries",
        *_words(reason=16),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("last_at", types.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("reason", name=op.f("pk_recoveries")),
    )
    op.create_table(
        "statistics_marks",
        *_words(stream=16),
        sa.Column("upto", types.UtcDateTime(), nullable=False),
        sa.Column("upto_id", types.BigId, nullable=False),
        sa.Column("seen_id", types.BigId, nullable=False),
        sa.Column("seen_at", types.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("stream", name=op.f("pk_statistics_marks")),
    )


def downgrade() -> None:
    for table in (
        "statistics_marks",
        "recoveries",
        "feedback_totals",
        "call_statistics",
        "job_statistics",
    ):
        op.drop_table(table)
    for name, (table, _, _) in _INDEXES.items():
        op.drop_index(name, table)
    op.drop_column("attempts", "reported_at")


def _create_job_statistics() -> None:
    words = _words(happened=16, queue=16, model=255, format=16, prompt=300, error_code=64)
    op.create_table(
        "job_statistics",
        sa.Column("user_id", types.BigId, autoincrement=False, nullable=False),
        sa.Column("hour", types.UtcDateTime(), nullable=False),
        *words,
        *_counts("jobs", "tries", *(f"tries_{number}" for number in range(_TRIES))),
        *_histogram("duration", seconds="duration_seconds"),
        *_counts("waits"),
        *_histogram("wait", seconds="wait_seconds"),
        *_counts(*_USAGE),
        sa.PrimaryKeyConstraint(
            "user_id", "hour", *(word.name for word in words), name=op.f("pk_job_statistics")
        ),
    )
    op.create_index("ix_job_statistics_hour", "job_statistics", ["hour"])


def _create_call_statistics() -> None:
    words = _words(provider=64, model=255, kind=16, outcome=16, error_code=64)
    op.create_table(
        "call_statistics",
        sa.Column("hour", types.UtcDateTime(), nullable=False),
        *words,
        *_counts("calls", "timed"),
        *_histogram("seconds", seconds="seconds"),
        *_counts("first_tokens"),
        *_histogram("first_token", seconds="first_token_seconds"),
        *_counts(*_USAGE),
        sa.PrimaryKeyConstraint(
            "hour", *(word.name for word in words), name=op.f("pk_call_statistics")
        ),
    )


def _words(**lengths: int) -> list[sa.Column[str]]:
    return [sa.Column(n, sa.String(length=most), nullable=False) for n, most in lengths.items()]


def _counts(*names: str) -> list[sa.Column[int]]:
    """Whole numbers; `cost` is a whole number of billionths of a dollar."""
    return [sa.Column(name, sa.BigInteger(), nullable=False) for name in names]


def _histogram(measure: str, *, seconds: str) -> list[sa.Column[float]]:
    buckets = _counts(*(f"{measure}_bucket_{number}" for number in range(_BUCKETS)))
    return [sa.Column(seconds, sa.Double(), nullable=False), *buckets]  # type: ignore[list-item]
