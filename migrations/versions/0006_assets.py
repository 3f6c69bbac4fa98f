"""What chats are about: stored assets in versions, links from messages, a chat's own asset

Works beside the release before it: new tables, and columns that may be null.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from models import types

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "assets",
        sa.Column("id", types.BigId, autoincrement=True, nullable=False),
        sa.Column("user_id", types.BigId, nullable=False),
        sa.Column("type", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("project", sa.String(length=255), nullable=False),
        sa.Column("shared", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("updated_at", types.UtcDateTime(), nullable=False),
        sa.Column("deleted_at", types.UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_assets_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_assets")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_assets_user_id_id", "assets", ["user_id", "id"])
    op.create_table(
        "asset_versions",
        sa.Column("asset_id", types.BigId, nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("content", types.Json, nullable=False),
        sa.Column("user_id", types.BigId, nullable=True),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["asset_id"],
            ["assets.id"],
            name=op.f("fk_asset_versions_asset_id_assets"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
            name=op.f("fk_asset_versions_user_id_users"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("asset_id", "version", name=op.f("pk_asset_versions")),
    )
    op.create_table(
        "message_assets",
        sa.Column("message_id", types.BigId, nullable=False),
        sa.Column("asset_type", sa.String(length=32), nullable=False),
        sa.Column("asset_id", sa.String(length=255), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["message_id"],
            ["chat_messages.id"],
            name=op.f("fk_message_assets_message_id_chat_messages"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "message_id", "asset_type", "asset_id", "role", name=op.f("pk_message_assets")
        ),
    )
    op.create_index("ix_message_assets_asset", "message_assets", ["asset_type", "asset_id"])
    for name, kind in (
        ("asset_type", sa.String(length=32)),
        ("asset_id", sa.String(length=255)),
        ("asset_version", sa.Integer()),
    ):
        op.add_column("chats", sa.Column(name, kind, nullable=True))


def downgrade() -> None:
    for name in ("asset_version", "asset_id", "asset_type"):
        op.drop_column("chats", name)
    op.drop_table("message_assets")
    op.drop_table("asset_versions")
    op.drop_table("assets")
