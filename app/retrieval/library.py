"""Keeping documents: whose they are, giving them again, listing and removing them.

A document is its owner's; only an administrator shares one with everybody. Given again under the
same source and key it replaces what was there, chunks and all, in one transaction; where nothing
changed, nothing is written.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import delete, insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session, defer

from app import paging
from app.accounts import Caller
from app.errors import Forbidden, InvalidParameter, NotFound
from app.jobs.limits import check_text
from app.lookup import row_by_id
from app.paging import Page
from app.retrieval.chunks import chunks_of
from app.retrieval.searching import may_find
from app.retrieval.words import words_of
from models import DocChunk, Document
from models.base import table_of
from models.types import now

_T = table_of(Document)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDocument:
    """A document to keep. `source` and `key` are the owner's name for it."""

    key: str
    title: str
    text: str
    source: str = "default"
    url: str | None = None
    resource: str | None = None
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Kept:
    """A document, and what became of what was given."""

    document: Document
    outcome: Literal["created", "replaced", "unchanged"]


def keep(session: Session, caller: Caller, new: NewDocument) -> Kept:
    """Keep a document. Raises InvalidParameter, and Forbidden where it should be shared and no
    administrator asks.
    """
    if caller.user_id is None:
        raise Forbidden("A document needs an owner: call with a user's key")
    if new.shared and not caller.is_admin:
        raise Forbidden("Only an administrator shares documents with everybody")
    _check(new)
    digest = _digest(new)
    created = _insert(session, caller, new, digest)
    document = _held(session, caller, new)
    if not created and document.sha256 == digest:
        return Kept(document, "unchanged")
    _fill(session, document, new, digest)
    return Kept(document, "created" if created else "replaced")


def list_documents(
    session: Session,
    caller: Caller,
    *,
    limit: int = paging.DEFAULT_LIMIT,
    after: str | None = None,
    source: str | None = None,
) -> Page[Document]:
    """One's own documents and shared ones, without their texts, newest first."""
    query = select(Document).where(may_find(caller)).options(defer(Document.text))
    if source is not None:
        query = query.where(Document.source == source)
    return paging.newest_first(session, query, Document.id, limit=limit, after=after)


def get_document(session: Session, caller: Caller, document_id: int) -> Document:
    """A document with its text. Raises NotFound for an unknown or strange one."""
    document = row_by_id(session, Document, document_id)
    if document is None or not (document.shared or document.user_id == caller.user_id):
        raise NotFound(
            f"Unknown document: {document_id}" if document_id > 0 else "Unknown document"
        )
    return document


def remove(session: Session, caller: Caller, document_id: int) -> None:
    """Remove a document and its chunks. Raises NotFound, and Forbidden where it is shared, another
    person's, and no administrator asks.
    """
    document = get_document(session, caller, document_id)
    if not (document.user_id == caller.user_id or caller.is_admin):
        raise Forbidden("A shared document is removed by its owner or an administrator")
    session.execute(delete(Document).where(Document.id == document.id))


def _check(new: NewDocument) -> None:
    for name in ("source", "key", "title", "url", "resource", "text"):
        if (value := getattr(new, name)) is not None:
            check_text(value, pointer=f"/{name}")
    for name in ("source", "key", "title"):
        if not getattr(new, name).strip():
            raise InvalidParameter(f"A document needs a {name}", pointer=f"/{name}")
    if new.url is not None and not new.url.startswith(("https://", "http://")):
        raise InvalidParameter("A url begins with https:// or http://", pointer="/url")
    if not new.text.strip():
        raise InvalidParameter("A document needs a text", pointer="/text")


def _digest(new: NewDocument) -> str:
    """Of all that is found or shown; lengths keep the parts apart."""
    parts = (new.title, new.url or "", new.resource or "", str(new.shared), new.text)
    return hashlib.sha256("".join(f"{len(part)}:{part}" for part in parts).encode()).hexdigest()


def _insert(session: Session, caller: Caller, new: NewDocument, digest: str) -> bool:
    """Whether there was none of that name; of two at once, the second finds the first's."""
    statement: Any = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}[
        session.get_bind().dialect.name
    ]
    row = {"user_id": caller.user_id, "source": new.source, "key": new.key, "sha256": digest}
    rest = {"title": new.title, "shared": new.shared, "text": "", "chunks": 0}
    moments = {"created_at": now(), "updated_at": now()}
    made = statement(_T).values(**row, **rest, **moments).on_conflict_do_nothing()
    return session.scalar(made.returning(_T.c.id)) is not None


def _held(session: Session, caller: Caller, new: NewDocument) -> Document:
    named = select(Document).where(
        Document.user_id == caller.user_id,
        Document.source == new.source,
        Document.key == new.key,
    )
    return session.scalars(named.with_for_update()).one()


def _fill(session: Session, document: Document, new: NewDocument, digest: str) -> None:
    """Put the text and its chunks in place of what was there."""
    pieces = chunks_of(new.text)
    document.title, document.url, document.resource = new.title, new.url, new.resource
    document.shared, document.text, document.sha256 = new.shared, new.text, digest
    document.chunks, document.updated_at = len(pieces), now()
    session.execute(delete(DocChunk).where(DocChunk.document_id == document.id))
    session.execute(
        insert(table_of(DocChunk)),
        [
            {
                "document_id": document.id,
                "number": number,
                "section": piece.section,
                "text": piece.text,
                "title_words": words_of(f"{new.title} {piece.section}"),
                "words": words_of(piece.text),
            }
            for number, piece in enumerate(pieces, 1)
        ],
    )
    session.flush()
    session.refresh(document)
