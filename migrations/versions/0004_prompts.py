"""Prompts by name, what jobs need to run them, reviews of result items, registered endpoints

Works beside the release before it: new tables and an index, columns that are null or default.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from models import types

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "endpoints",
        sa.Column("id", types.BigId, autoincrement=True, nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("base_url", sa.String(length=2000), nullable=False),
        sa.Column("model", sa.String(length=255), nullable=True),
        sa.Column("options", types.Json, nullable=True),
        sa.Column("timeout_seconds", sa.Double(), nullable=True),
        sa.Column("api_key_variable", sa.String(length=255), nullable=True),
        sa.Column("user_variable", sa.String(length=255), nullable=True),
        sa.Column("password_variable", sa.String(length=255), nullable=True),
        sa.Column("user_id", types.BigId, nullable=True),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("updated_at", types.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_endpoints_user_id_users"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_endpoints")),
        sa.UniqueConstraint("name", name=op.f("uq_endpoints_name")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "prompts",
        sa.Column("id", types.BigId, autoincrement=True, nullable=False),
        sa.Column("user_id", types.BigId, nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("shared", sa.Boolean(), nullable=False),
        sa.Column("latest", sa.Integer(), nullable=True),
        sa.Column("last_number", sa.Integer(), nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("updated_at", types.UtcDateTime(), nullable=False),
        sa.Column("archived_at", types.UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_prompts_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prompts")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_prompts_user_id_id", "prompts", ["user_id", "id"], unique=False)
    op.create_index(
        "uq_prompts_shared_name",
        "prompts",
        ["name"],
        unique=True,
        postgresql_where=sa.text("shared AND archived_at IS NULL"),
        sqlite_where=sa.text("shared AND archived_at IS NULL"),
    )
    op.create_index(
        "uq_prompts_user_id_name",
        "prompts",
        ["user_id", "name"],
        unique=True,
        postgresql_where=sa.text("archived_at IS NULL"),
        sqlite_where=sa.text("archived_at IS NULL"),
    )
    op.create_table(
        "prompt_labels",
        sa.Column("prompt_id", types.BigId, nullable=False),
        sa.Column("label", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("previous", sa.Integer(), nullable=True),
        sa.Column("updated_at", types.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["prompt_id"],
            ["prompts.id"],
            name=op.f("fk_prompt_labels_prompt_id_prompts"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("prompt_id", "label", name=op.f("pk_prompt_labels")),
    )
    op.create_table(
        "prompt_versions",
        sa.Column("id", types.BigId, autoincrement=True, nullable=False),
        sa.Column("prompt_id", types.BigId, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("definition", types.Json, nullable=False),
        sa.Column("user_id", types.BigId, nullable=True),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("updated_at", types.UtcDateTime(), nullable=False),
        sa.Column("published_at", types.UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["prompt_id"],
            ["prompts.id"],
            name=op.f("fk_prompt_versions_prompt_id_prompts"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
            name=op.f("fk_prompt_versions_user_id_users"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prompt_versions")),
        sa.UniqueConstraint(
            "prompt_id", "version", name=op.f("uq_prompt_versions_prompt_id_version")
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "uq_prompt_versions_draft",
        "prompt_versions",
        ["prompt_id"],
        unique=True,
        postgresql_where=sa.text("published_at IS NULL"),
        sqlite_where=sa.text("published_at IS NULL"),
    )
    op.create_table(
        "item_reviews",
        sa.Column("id", types.BigId, autoincrement=True, nullable=False),
        sa.Column("output_id", types.BigId, nullable=False),
        sa.Column("user_id", types.BigId, nullable=True),
        sa.Column("items", types.Json, nullable=False),
        sa.Column("confirmed", sa.Boolean(), nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["output_id"],
            ["llm_outputs.id"],
            name=op.f("fk_item_reviews_output_id_llm_outputs"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
            name=op.f("fk_item_reviews_user_id_users"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_item_reviews")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_item_reviews_output_id_id", "item_reviews", ["output_id", "id"], unique=False
    )
    op.add_column("attempts", sa.Column("exchange", types.Json, nullable=True))
    op.add_column("llm_outputs", sa.Column("script", types.Json, nullable=True))
    op.add_column("llm_outputs", sa.Column("workitem", types.Json, nullable=True))
    op.add_column("llm_outputs", sa.Column("files", types.Json, nullable=True))
    op.add_column("llm_outputs", sa.Column("file_texts", types.Json, nullable=True))
    op.add_column(
        "llm_outputs",
        sa.Column("debug", sa.Boolean(), server_default=sa.false(), nullable=False),
    )
    op.add_column(
        "llm_outputs", sa.Column("steps_done", sa.Integer(), server_default="0", nullable=False)
    )
    op.create_index(
        "ix_llm_outputs_prompt_name_id",
        "llm_outputs",
        ["prompt_name", "id"],
        unique=False,
        postgresql_where=sa.text("prompt_name IS NOT NULL"),
        sqlite_where=sa.text("prompt_name IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_llm_outputs_prompt_name_id", table_name="llm_outputs")
    op.drop_column("llm_outputs", "steps_done")
    op.drop_column("llm_outputs", "debug")
    op.drop_column("llm_outputs", "file_texts")
    op.drop_column("llm_outputs", "files")
    op.drop_column("llm_outputs", "workitem")
    op.drop_column("llm_outputs", "script")
    op.drop_column("attempts", "exchange")
    op.drop_index("ix_item_reviews_output_id_id", table_name="item_reviews")
    op.drop_table("item_reviews")
    op.drop_index("uq_prompt_versions_draft", table_name="prompt_versions")
    op.drop_table("prompt_versions")
    op.drop_table("prompt_labels")
    op.drop_index("uq_prompts_user_id_name", table_name="prompts")
    op.drop_index("uq_prompts_shared_name", table_name="prompts")
    op.drop_index("ix_prompts_user_id_id", table_name="prompts")
    op.drop_table("prompts")
    op.drop_table("endpoints")
