"""Grants on stored assets; what goes with a chat's message; the job that finds a chat's title

Works beside the release before it: a table, and columns that may be empty.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from models import types

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_TITLE = "ix_chats_title_output_id"
_TITLE_WHERE = sa.text("title_output_id IS NOT NULL")


def upgrade() -> None:
    op.create_table(
        "asset_grants",
        sa.Column("asset_id", types.BigId, nullable=False),
        sa.Column("user_id", types.BigId, nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "role IN ('can_view', 'can_edit', 'full_access', 'owner')",
            name=op.f("ck_asset_grants_role"),
        ),
        sa.ForeignKeyConstraint(
            ["asset_id"],
            ["assets.id"],
            name=op.f("fk_asset_grants_asset_id_assets"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
            name=op.f("fk_asset_grants_user_id_users"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("asset_id", "user_id", name=op.f("pk_asset_grants")),
    )
    op.create_index(
        "ix_asset_grants_user_id_asset_id", "asset_grants", ["user_id", "asset_id"], unique=False
    )
    op.add_column("chat_messages", sa.Column("attachments", types.Json, nullable=True))
    op.add_column("chats", sa.Column("title_output_id", types.BigId, nullable=True))
    op.create_index(
        _TITLE,
        "chats",
        ["title_output_id"],
        unique=False,
        postgresql_where=_TITLE_WHERE,
        sqlite_where=_TITLE_WHERE,
    )


def downgrade() -> None:
    op.drop_index(_TITLE, table_name="chats")
    op.drop_column("chats", "title_output_id")
    op.drop_column("chat_messages", "attachments")
    op.drop_table("asset_grants")
