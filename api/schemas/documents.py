"""Documents and what is found in them: what is sent, and what is shown."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from api.schemas.common import Lax, ListOf, PageQuery, Shown, Strict


class DocumentBody(Strict):
    """A document to keep; under the same `source` and `key` it replaces the one before."""

    source: str = Field(
        "default", min_length=1, max_length=100, description="Where it comes from: what to search."
    )
    key: str = Field(min_length=1, max_length=500, description="Its name there, such as a path.")
    title: str = Field(min_length=1, max_length=500)
    text: str = Field(min_length=1, description="Markdown or plain text; 256 kB at most.")
    url: str | None = Field(
        None, max_length=2000, description="Where people read it.", examples=[None]
    )
    resource: str | None = Field(
        None,
        max_length=255,
        description="What it documents: `fhir@5.0.0`, or `fhir` for any version.",
        examples=["fhir@5.0.0"],
    )
    shared: bool = Field(
        False, description="Everybody finds it; administrators only.", examples=[False]
    )


class DocumentsQuery(PageQuery):
    """Which documents."""

    source: str | None = Field(None, max_length=100, description="Only those from here.")


class DocumentSearchQuery(Lax):
    """What to look for."""

    q: str = Field(max_length=10_000, description="Any text: a question, words, a line of code.")
    source: str | None = Field(None, max_length=100, description="Only in documents from here.")
    resource: str | None = Field(
        None, max_length=255, description="Leave out what documents other resources than this."
    )
    limit: int | None = Field(
        None, ge=1, le=50, description="How many chunks, at most; else LLM_JOBS_DOCS_TOP_K."
    )


class DocumentLine(Shown):
    """A document without its text."""

    id: int
    source: str
    key: str
    title: str
    url: str | None
    resource: str | None
    shared: bool
    user_id: int = Field(description="Whose it is.")
    chunks: int = Field(description="Pieces it is found in.")
    created_at: datetime
    updated_at: datetime


class DocumentShown(DocumentLine):
    """A document with its text."""

    text: str


class DocumentKept(DocumentLine):
    """A document, and what became of what was sent."""

    outcome: Literal["created", "replaced", "unchanged"]


class DocumentList(ListOf[DocumentLine]):
    """One page of documents, newest first."""


class ChunkFound(Shown):
    """A piece of a document that was found."""

    chunk_id: int
    document_id: int
    source: str
    title: str
    url: str | None
    section: str = Field(description="The headings it stands under: `Install › On Debian`.")
    score: float = Field(description="The higher the better, within one search only.")
    text: str


class DocumentsFound(Shown):
    """The best pieces, best first."""

    data: list[ChunkFound]
