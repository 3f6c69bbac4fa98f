"""Documents, their chunks with what finds them, and what answers in chats rested on

Works beside the release before it: new tables only.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from models import types

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_FINDING = {
    "sqlite": (
        "CREATE VIRTUAL TABLE doc_chunks_fts USING fts5(title_words, words, content='doc_chunks',"
        " content_rowid='id', tokenize='porter unicode61 remove_diacritics 2')",
        "CREATE TRIGGER doc_chunks_added AFTER INSERT ON doc_chunks BEGIN"
        " INSERT INTO doc_chunks_fts (rowid, title_words, words)"
        " VALUES (new.id, new.title_words, new.words); END",
        "CREATE TRIGGER doc_chunks_removed AFTER DELETE ON doc_chunks BEGIN"
        " INSERT INTO doc_chunks_fts (doc_chunks_fts, rowid, title_words, words)"
        " VALUES ('delete', old.id, old.title_words, old.words); END",
        "CREATE TRIGGER doc_chunks_changed AFTER UPDATE OF title_words, words ON doc_chunks BEGIN"
        " INSERT INTO doc_chunks_fts (doc_chunks_fts, rowid, title_words, words)"
        " VALUES ('delete', old.id, old.title_words, old.words);"
        " INSERT INTO doc_chunks_fts (rowid, title_words, words)"
        " VALUES (new.id, new.title_words, new.words); END",
    ),
    "postgresql": (
        "ALTER TABLE doc_chunks ADD COLUMN tsv tsvector GENERATED ALWAYS AS"
        " (setweight(to_tsvector('english'::regconfig, title_words), 'A')"
        " || setweight(to_tsvector('english'::regconfig, words), 'B')) STORED",
        "CREATE INDEX ix_doc_chunks_tsv ON doc_chunks USING gin (tsv)",
    ),
}


def upgrade() -> None:
    op.create_table(
        "documents",
        sa.Column("id", types.BigId, autoincrement=True, nullable=False),
        sa.Column("user_id", types.BigId, nullable=False),
        sa.Column("source", sa.String(length=100), nullable=False),
        sa.Column("key", sa.String(length=500), nullable=False),
        sa.Column("title", sa.String(length=500), nullable=False),
        sa.Column("url", sa.String(length=2000), nullable=True),
        sa.Column("resource", sa.String(length=255), nullable=True),
        sa.Column("shared", sa.Boolean(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("chunks", sa.Integer(), nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("updated_at", types.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_documents_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_documents")),
        sa.UniqueConstraint(
            "user_id", "source", "key", name=op.f("uq_documents_user_id_source_key")
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_documents_resource", "documents", ["resource"], unique=False)
    op.create_table(
        "doc_chunks",
        sa.Column("id", types.BigId, autoincrement=True, nullable=False),
        sa.Column("document_id", types.BigId, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("section", sa.String(length=500), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("title_words", sa.Text(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["document_id"],
            ["documents.id"],
            name=op.f("fk_doc_chunks_document_id_documents"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_doc_chunks")),
        sa.UniqueConstraint("document_id", "number", name=op.f("uq_doc_chunks_document_id_number")),
        sqlite_autoincrement=True,
    )
    for statement in _FINDING[op.get_bind().dialect.name]:
        op.execute(statement)
    op.create_table(
        "chat_retrievals",
        sa.Column("id", types.BigId, autoincrement=True, nullable=False),
        sa.Column("message_id", types.BigId, nullable=False),
        sa.Column("queries", types.Json, nullable=False),
        sa.Column("found", types.Json, nullable=False),
        sa.Column("warning", sa.String(length=500), nullable=True),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["message_id"],
            ["chat_messages.id"],
            name=op.f("fk_chat_retrievals_message_id_chat_messages"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chat_retrievals")),
        sa.UniqueConstraint("message_id", name=op.f("uq_chat_retrievals_message_id")),
        sqlite_autoincrement=True,
    )


def downgrade() -> None:
    op.drop_table("chat_retrievals")
    if op.get_bind().dialect.name == "sqlite":
        for trigger in ("added", "removed", "changed"):
            op.execute(f"DROP TRIGGER doc_chunks_{trigger}")
        op.execute("DROP TABLE doc_chunks_fts")
    op.drop_table("doc_chunks")
    op.drop_table("documents")
