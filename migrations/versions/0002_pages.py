"""What the pages need: passwords, sign-ins, saved views, the audit trail, lists of rare rows

Works beside the release before it: new tables, a column that may be null, and indexes.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from models import types

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_RARE = {
    "ix_llm_outputs_failed": "status = 'failed'",
    "ix_llm_outputs_cancelled": "status = 'cancelled'",
    "ix_llm_outputs_voted": "feedback <> 0",
}


def upgrade() -> None:
    op.add_column("users", sa.Column("password_hash", sa.String(length=255), nullable=True))
    op.create_table(
        "web_sessions",
        sa.Column("id", types.BigId, autoincrement=True, nullable=False),
        sa.Column("user_id", types.BigId, nullable=False),
        sa.Column("token_sha256", sa.String(length=64), nullable=False),
        sa.Column("user_agent", sa.String(length=255), nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("seen_at", types.UtcDateTime(), nullable=False),
        sa.Column("expires_at", types.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
            name=op.f("fk_web_sessions_user_id_users"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_web_sessions")),
        sa.UniqueConstraint("token_sha256", name=op.f("uq_web_sessions_token_sha256")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_web_sessions_user_id", "web_sessions", ["user_id"])
    op.create_index("ix_web_sessions_expires_at", "web_sessions", ["expires_at"])
    op.create_table(
        "saved_views",
        sa.Column("id", types.BigId, autoincrement=True, nullable=False),
        sa.Column("user_id", types.BigId, nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("query", sa.String(length=2000), nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
            name=op.f("fk_saved_views_user_id_users"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_saved_views")),
        sa.UniqueConstraint("user_id", "name", name=op.f("uq_saved_views_user_id_name")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "audit_events",
        sa.Column("id", types.BigId, autoincrement=True, nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("user_id", types.BigId, nullable=True),
        sa.Column("actor", sa.String(length=254), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("details", types.Json, nullable=True),
        sa.Column("request_id", sa.String(length=128), nullable=True),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
            name=op.f("fk_audit_events_user_id_users"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_events")),
        sqlite_autoincrement=True,
    )
    for name, where in _RARE.items():
        op.create_index(
            name,
            "llm_outputs",
            ["id"],
            postgresql_where=sa.text(where),
            sqlite_where=sa.text(where),
        )


def downgrade() -> None:
    for name in _RARE:
        op.drop_index(name, "llm_outputs")
    op.drop_table("audit_events")
    op.drop_table("saved_views")
    op.drop_table("web_sessions")
    op.drop_column("users", "password_hash")
