"""The tables of jobs, accounts and operations

The first schema: there is no earlier release to work with.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from models import types

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "users",
        sa.Column("id", types.BigId, autoincrement=True, nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("plan", sa.String(length=64), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("token_allowance", types.BigId, nullable=True),
        sa.Column("tokens_used", types.BigId, nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("updated_at", types.UtcDateTime(), nullable=False),
        sa.CheckConstraint("role IN ('member', 'admin')", name=op.f("ck_users_role")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("email", name=op.f("uq_users_email")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "workers",
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("concurrency", sa.Integer(), nullable=False),
        sa.Column("in_flight", sa.Integer(), nullable=False),
        sa.Column("draining", sa.Boolean(), nullable=False),
        sa.Column("rss_bytes", types.BigId, nullable=True),
        sa.Column("started_at", types.UtcDateTime(), nullable=False),
        sa.Column("seen_at", types.UtcDateTime(), nullable=False),
        sa.Column("ticked_at", types.UtcDateTime(), nullable=True),
        sa.Column("tick_seconds", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_workers")),
    )
    op.create_table(
        "agents",
        sa.Column("id", types.BigId, autoincrement=True, nullable=False),
        sa.Column("user_id", types.BigId, nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("system", sa.Text(), nullable=True),
        sa.Column("model", sa.String(length=255), nullable=True),
        sa.Column("format", sa.String(length=16), nullable=True),
        sa.Column("options", types.Json, nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("updated_at", types.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_agents_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agents")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_agents_user_id_id", "agents", ["user_id", "id"], unique=False)

    op.create_table(
        "api_keys",
        sa.Column("id", types.BigId, autoincrement=True, nullable=False),
        sa.Column("user_id", types.BigId, nullable=False),
        sa.Column("public_id", sa.String(length=16), nullable=False),
        sa.Column("secret_sha256", sa.String(length=64), nullable=False),
        sa.Column("prefix", sa.String(length=32), nullable=False),
        sa.Column("last4", sa.String(length=4), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("scopes", types.Json, nullable=True),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("expires_at", types.UtcDateTime(), nullable=True),
        sa.Column("revoked_at", types.UtcDateTime(), nullable=True),
        sa.Column("last_used_at", types.UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_api_keys_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("public_id", name=op.f("uq_api_keys_public_id")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_api_keys_user_id", "api_keys", ["user_id"], unique=False)

    op.create_table(
        "idempotency_keys",
        sa.Column("user_id", types.BigId, nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("body", types.Json, nullable=False),
        sa.Column("location", sa.String(length=255), nullable=True),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_idempotency_keys_user_id_users")
        ),
        sa.PrimaryKeyConstraint("user_id", "key", name=op.f("pk_idempotency_keys")),
    )
    op.create_index(
        "ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"], unique=False
    )

    op.create_table(
        "prices",
        sa.Column("id", types.BigId, autoincrement=True, nullable=False),
        sa.Column("provider", sa.String(length=64), nullable=False),
        sa.Column("model", sa.String(length=255), nullable=False),
        sa.Column("input_per_million", types.Money(), nullable=False),
        sa.Column("output_per_million", types.Money(), nullable=False),
        sa.Column("cached_input_per_million", types.Money(), nullable=True),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("user_id", types.BigId, nullable=True),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_prices_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prices")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_prices_lookup", "prices", ["provider", "model", "valid_from"], unique=False)

    op.create_table(
        "queue_controls",
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("paused_until", types.UtcDateTime(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("user_id", types.BigId, nullable=True),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_queue_controls_user_id_users")
        ),
        sa.PrimaryKeyConstraint("kind", "name", name=op.f("pk_queue_controls")),
    )
    op.create_table(
        "llm_outputs",
        sa.Column("id", types.BigId, autoincrement=True, nullable=False),
        sa.Column("job_id", sa.String(length=36), nullable=False),
        sa.Column("user_id", types.BigId, nullable=True),
        sa.Column("agent_id", types.BigId, nullable=True),
        sa.Column("template_name", sa.Text(), nullable=False),
        sa.Column("model_name", sa.String(length=255), nullable=False),
        sa.Column("format", sa.String(length=16), nullable=False),
        sa.Column("context", types.Json, nullable=True),
        sa.Column("system", sa.Text(), nullable=True),
        sa.Column("messages", types.Json, nullable=True),
        sa.Column("response_schema", types.Json, nullable=True),
        sa.Column("options", types.Json, nullable=True),
        sa.Column("fetchers", types.Json, nullable=True),
        sa.Column("strict", sa.Boolean(), nullable=False),
        sa.Column("prompt_name", sa.String(length=255), nullable=True),
        sa.Column("prompt_version", sa.Integer(), nullable=True),
        sa.Column("metadata", types.Json, nullable=True),
        sa.Column("bucket", sa.String(length=255), nullable=False),
        sa.Column("traceparent", sa.String(length=64), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("prompt", sa.Text(), nullable=True),
        sa.Column("raw_response", sa.Text(), nullable=True),
        sa.Column("parsed_output", types.Json, nullable=True),
        sa.Column("result_items", types.Json, nullable=True),
        sa.Column("warnings", types.Json, nullable=True),
        sa.Column("error_code", sa.String(length=64), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("input_tokens", types.BigId, nullable=True),
        sa.Column("output_tokens", types.BigId, nullable=True),
        sa.Column("cached_tokens", types.BigId, nullable=True),
        sa.Column("cost", types.Money(), nullable=True),
        sa.Column("feedback", sa.SmallInteger(), nullable=False),
        sa.Column("feedback_comment", sa.Text(), nullable=True),
        sa.Column("feedback_at", types.UtcDateTime(), nullable=True),
        sa.Column("parent_id", types.BigId, nullable=True),
        sa.Column("root_id", types.BigId, nullable=True),
        sa.Column("derivation", sa.String(length=16), nullable=True),
        sa.Column("queue", sa.String(length=16), nullable=False),
        sa.Column("run_at", types.UtcDateTime(), nullable=False),
        sa.Column("deadline", types.UtcDateTime(), nullable=False),
        sa.Column("woken_at", types.UtcDateTime(), nullable=True),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("max_tries", sa.Integer(), nullable=False),
        sa.Column("losses", sa.Integer(), nullable=False),
        sa.Column("lease_expires_at", types.UtcDateTime(), nullable=True),
        sa.Column("worker", sa.String(length=255), nullable=True),
        sa.Column("cancel_requested_at", types.UtcDateTime(), nullable=True),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("updated_at", types.UtcDateTime(), nullable=False),
        sa.Column("started_at", types.UtcDateTime(), nullable=True),
        sa.Column("finished_at", types.UtcDateTime(), nullable=True),
        sa.Column("erased_at", types.UtcDateTime(), nullable=True),
        sa.CheckConstraint(
            "(status = 'processing') = (lease_expires_at IS NOT NULL)",
            name=op.f("ck_llm_outputs_leased_iff_processing"),
        ),
        sa.CheckConstraint(
            "(status IN ('completed', 'failed', 'cancelled')) = (finished_at IS NOT NULL)",
            name=op.f("ck_llm_outputs_finished_iff_ended"),
        ),
        sa.CheckConstraint(
            "format IN ('text', 'json', 'markdown', 'html')", name=op.f("ck_llm_outputs_format")
        ),
        sa.CheckConstraint(
            "queue IN ('high', 'default', 'low')", name=op.f("ck_llm_outputs_queue")
        ),
        sa.CheckConstraint(
            "status IN ('pending', 'processing', 'completed', 'failed', 'cancelled')",
            name=op.f("ck_llm_outputs_status"),
        ),
        sa.CheckConstraint("feedback IN (0, 1, 2)", name=op.f("ck_llm_outputs_feedback")),
        sa.CheckConstraint("tries <= max_tries", name=op.f("ck_llm_outputs_tries_within_budget")),
        sa.ForeignKeyConstraint(
            ["agent_id"], ["agents.id"], name=op.f("fk_llm_outputs_agent_id_agents")
        ),
        sa.ForeignKeyConstraint(
            ["parent_id"], ["llm_outputs.id"], name=op.f("fk_llm_outputs_parent_id_llm_outputs")
        ),
        sa.ForeignKeyConstraint(
            ["root_id"], ["llm_outputs.id"], name=op.f("fk_llm_outputs_root_id_llm_outputs")
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_llm_outputs_user_id_users")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_llm_outputs")),
        sa.UniqueConstraint("job_id", name=op.f("uq_llm_outputs_job_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_llm_outputs_completed",
        "llm_outputs",
        ["finished_at"],
        unique=False,
        postgresql_where=sa.text("status = 'completed'"),
        sqlite_where=sa.text("status = 'completed'"),
    )
    op.create_index(
        "ix_llm_outputs_deadline",
        "llm_outputs",
        ["deadline"],
        unique=False,
        postgresql_where=sa.text("status = 'pending'"),
        sqlite_where=sa.text("status = 'pending'"),
    )
    op.create_index(
        "ix_llm_outputs_leases",
        "llm_outputs",
        ["lease_expires_at"],
        unique=False,
        postgresql_where=sa.text("status = 'processing'"),
        sqlite_where=sa.text("status = 'processing'"),
    )
    op.create_index("ix_llm_outputs_parent_id", "llm_outputs", ["parent_id"], unique=False)
    op.create_index("ix_llm_outputs_root_id", "llm_outputs", ["root_id"], unique=False)
    op.create_index(
        "ix_llm_outputs_sent",
        "llm_outputs",
        ["queue", "woken_at"],
        unique=False,
        postgresql_where=sa.text("status = 'pending' AND woken_at IS NOT NULL"),
        sqlite_where=sa.text("status = 'pending' AND woken_at IS NOT NULL"),
    )
    op.create_index(
        "ix_llm_outputs_unsent",
        "llm_outputs",
        ["queue", "user_id", "bucket", "model_name", "run_at", "id"],
        unique=False,
        postgresql_where=sa.text("status = 'pending' AND woken_at IS NULL"),
        sqlite_where=sa.text("status = 'pending' AND woken_at IS NULL"),
    )
    op.create_index("ix_llm_outputs_user_id_id", "llm_outputs", ["user_id", "id"], unique=False)
    op.create_index(
        "ix_llm_outputs_user_id_status_id", "llm_outputs", ["user_id", "status", "id"], unique=False
    )

    op.create_table(
        "attempts",
        sa.Column("id", types.BigId, autoincrement=True, nullable=False),
        sa.Column("output_id", types.BigId, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("worker", sa.String(length=255), nullable=True),
        sa.Column("started_at", types.UtcDateTime(), nullable=False),
        sa.Column("finished_at", types.UtcDateTime(), nullable=True),
        sa.Column("duration_seconds", sa.Double(), nullable=True),
        sa.Column("first_token_seconds", sa.Double(), nullable=True),
        sa.Column("error_code", sa.String(length=64), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("delay_seconds", sa.Double(), nullable=True),
        sa.Column("provider", sa.String(length=64), nullable=True),
        sa.Column("provider_model", sa.String(length=255), nullable=True),
        sa.Column("provider_request_id", sa.String(length=255), nullable=True),
        sa.Column("http_status", sa.SmallInteger(), nullable=True),
        sa.Column("input_tokens", sa.Integer(), nullable=True),
        sa.Column("output_tokens", sa.Integer(), nullable=True),
        sa.Column("cached_tokens", sa.Integer(), nullable=True),
        sa.Column("cost", types.Money(), nullable=True),
        sa.Column("price_id", types.BigId, nullable=True),
        sa.Column("text", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["output_id"],
            ["llm_outputs.id"],
            name=op.f("fk_attempts_output_id_llm_outputs"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["price_id"], ["prices.id"], name=op.f("fk_attempts_price_id_prices")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempts")),
        sa.UniqueConstraint("output_id", "number", name=op.f("uq_attempts_output_id_number")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_attempts_provider_started_at",
        "attempts",
        ["provider_model", "started_at"],
        unique=False,
    )


def downgrade() -> None:
    op.drop_table("attempts")
    op.drop_table("llm_outputs")
    op.drop_table("queue_controls")
    op.drop_table("prices")
    op.drop_table("idempotency_keys")
    op.drop_table("api_keys")
    op.drop_table("agents")
    op.drop_table("workers")
    op.drop_table("users")
