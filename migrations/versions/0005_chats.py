"""Chats, their messages, and who may see them

Works beside the release before it: new tables only.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from models import types

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_STEP = "step_id IS NOT NULL AND archived_at IS NULL AND deleted_at IS NULL"
_SENT = "client_message_id IS NOT NULL"
_WAITING = "waiting IS NOT NULL"


def upgrade() -> None:
    op.create_table(
        "chats",
        sa.Column("id", types.BigId, autoincrement=True, nullable=False),
        sa.Column("user_id", types.BigId, nullable=False),
        sa.Column("title", sa.String(length=255), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("project", sa.String(length=255), nullable=False),
        sa.Column("step_id", sa.String(length=255), nullable=True),
        sa.Column("last_page", types.Json, nullable=True),
        sa.Column("meta", types.Json, nullable=False),
        sa.Column("client_message_id", sa.String(length=255), nullable=True),
        sa.Column("next_seq", sa.Integer(), nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("updated_at", types.UtcDateTime(), nullable=False),
        sa.Column("archived_at", types.UtcDateTime(), nullable=True),
        sa.Column("deleted_at", types.UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_chats_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chats")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "uq_chats_user_id_client_message_id",
        "chats",
        ["user_id", "client_message_id"],
        unique=True,
        postgresql_where=sa.text(_SENT),
        sqlite_where=sa.text(_SENT),
    )
    op.create_index(
        "uq_chats_step",
        "chats",
        ["user_id", "project", "step_id"],
        unique=True,
        postgresql_where=sa.text(_STEP),
        sqlite_where=sa.text(_STEP),
    )
    op.create_table(
        "chat_grants",
        sa.Column("chat_id", types.BigId, nullable=False),
        sa.Column("user_id", types.BigId, nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "role IN ('can_view', 'can_edit', 'full_access', 'owner')",
            name=op.f("ck_chat_grants_role"),
        ),
        sa.ForeignKeyConstraint(
            ["chat_id"],
            ["chats.id"],
            name=op.f("fk_chat_grants_chat_id_chats"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
            name=op.f("fk_chat_grants_user_id_users"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("chat_id", "user_id", name=op.f("pk_chat_grants")),
    )
    op.create_index(
        "ix_chat_grants_user_id_chat_id", "chat_grants", ["user_id", "chat_id"], unique=False
    )
    op.create_table(
        "chat_messages",
        sa.Column("id", types.BigId, autoincrement=True, nullable=False),
        sa.Column("chat_id", types.BigId, nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("content", sa.Text(), nullable=True),
        sa.Column("parts", types.Json, nullable=True),
        sa.Column("page", types.Json, nullable=True),
        sa.Column("output_id", types.BigId, nullable=True),
        sa.Column("reply_to_id", types.BigId, nullable=True),
        sa.Column("author_id", types.BigId, nullable=True),
        sa.Column("client_message_id", sa.String(length=255), nullable=True),
        sa.Column("waiting", types.Json, nullable=True),
        sa.Column("failure_category", sa.String(length=64), nullable=True),
        sa.Column("failure_message", sa.String(length=500), nullable=True),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("deleted_at", types.UtcDateTime(), nullable=True),
        sa.CheckConstraint("role IN ('user', 'assistant')", name=op.f("ck_chat_messages_role")),
        sa.ForeignKeyConstraint(
            ["chat_id"],
            ["chats.id"],
            name=op.f("fk_chat_messages_chat_id_chats"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["output_id"],
            ["llm_outputs.id"],
            name=op.f("fk_chat_messages_output_id_llm_outputs"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["reply_to_id"],
            ["chat_messages.id"],
            name=op.f("fk_chat_messages_reply_to_id_chat_messages"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["author_id"],
            ["users.id"],
            name=op.f("fk_chat_messages_author_id_users"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chat_messages")),
        sa.UniqueConstraint("chat_id", "seq", name=op.f("uq_chat_messages_chat_id_seq")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_chat_messages_output_id", "chat_messages", ["output_id"], unique=False)
    op.create_index(
        "ix_chat_messages_waiting",
        "chat_messages",
        ["chat_id", "seq"],
        unique=False,
        postgresql_where=sa.text(_WAITING),
        sqlite_where=sa.text(_WAITING),
    )
    op.create_index(
        "uq_chat_messages_chat_id_client_message_id",
        "chat_messages",
        ["chat_id", "client_message_id"],
        unique=True,
        postgresql_where=sa.text(_SENT),
        sqlite_where=sa.text(_SENT),
    )


def downgrade() -> None:
    op.drop_table("chat_messages")
    op.drop_table("chat_grants")
    op.drop_table("chats")
