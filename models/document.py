"""Documents that answers can rest on: their chunks, what finds these, and what was found for whom.

A chunk is looked up by `title_words` and `words`, which `app.retrieval.words` makes of its text, so
that both databases look for the same. What the databases build of them is theirs alone (`INDEX`):
on SQLite the FTS5 table `doc_chunks_fts`, kept in step by triggers; on PostgreSQL the generated
column `doc_chunks.tsv` with a GIN index. Titles count five times.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    DDL,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
    event,
)
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, moment_of_insert, row_id, table_of
from models.types import BigId, Json


class Document(Base):
    """A text somebody gave. `source` and `key` are its owner's name for it, `resource` is what it
    documents (`fhir@5.0.0`, `fhir`); everybody finds a `shared` one.
    """

    __tablename__ = "documents"

    id: Mapped[int] = row_id()
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    source: Mapped[str] = mapped_column(String(100))
    key: Mapped[str] = mapped_column(String(500))
    title: Mapped[str] = mapped_column(String(500))
    url: Mapped[str | None] = mapped_column(String(2000))
    resource: Mapped[str | None] = mapped_column(String(255))
    shared: Mapped[bool] = mapped_column(default=False)
    text: Mapped[str] = mapped_column(Text)
    sha256: Mapped[str] = mapped_column(String(64))
    chunks: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime] = moment_of_insert()
    updated_at: Mapped[datetime] = moment_of_insert()

    __table_args__ = (
        UniqueConstraint("user_id", "source", "key"),
        Index("ix_documents_resource", "resource"),
        {"sqlite_autoincrement": True},
    )


class DocChunk(Base):
    """A piece of a document, in its place; `section` are the headings it stands under."""

    __tablename__ = "doc_chunks"

    id: Mapped[int] = row_id()
    document_id: Mapped[int] = mapped_column(ForeignKey("documents.id", ondelete="CASCADE"))
    number: Mapped[int] = mapped_column(Integer)
    section: Mapped[str] = mapped_column(String(500))
    text: Mapped[str] = mapped_column(Text)
    title_words: Mapped[str] = mapped_column(Text)
    words: Mapped[str] = mapped_column(Text)

    __table_args__ = (UniqueConstraint("document_id", "number"), {"sqlite_autoincrement": True})


class DocVector(Base):
    """What a chunk means to an embedder: numbers of four bytes each, as this machine writes them,
    of the length 1. Of another embedder than the one in use it means nothing.
    """

    __tablename__ = "doc_vectors"

    chunk_id: Mapped[int] = mapped_column(
        BigId, ForeignKey("doc_chunks.id", ondelete="CASCADE"), primary_key=True
    )
    embedder: Mapped[str] = mapped_column(String(100))
    vector: Mapped[bytes] = mapped_column(LargeBinary)


class ChatRetrieval(Base):
    """What was looked for and found for an answer: `found` are the sources in their order, as they
    were then, without their texts. Of an answer that was asked for again, the last time.
    """

    __tablename__ = "chat_retrievals"

    id: Mapped[int] = row_id()
    message_id: Mapped[int] = mapped_column(
        ForeignKey("chat_messages.id", ondelete="CASCADE"), unique=True
    )
    queries: Mapped[list[str]] = mapped_column(Json)
    found: Mapped[list[dict[str, Any]]] = mapped_column(Json)
    warning: Mapped[str | None] = mapped_column(String(500))
    created_at: Mapped[datetime] = moment_of_insert()

    __table_args__ = ({"sqlite_autoincrement": True},)


INDEX: Mapping[str, Sequence[str]] = {
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
"""What makes chunks findable, by dialect; no part of the tables as the ORM knows them."""


def _ddl(statement: str, dialect: str) -> DDL:
    made = DDL(statement.replace("%", "%%"))  # type: ignore[no-untyped-call]
    return made.execute_if(dialect=dialect)


for _dialect, _statements in INDEX.items():
    for _statement in _statements:
        event.listen(table_of(DocChunk), "after_create", _ddl(_statement, _dialect))
event.listen(
    table_of(DocChunk), "after_drop", _ddl("DROP TABLE IF EXISTS doc_chunks_fts", "sqlite")
)
