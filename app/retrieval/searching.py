"""Finding chunks by their words: any of the question's words counts, those in titles five times.

SQLite ranks by bm25 (rare words count more), PostgreSQL by `ts_rank_cd` (words near each other
count more): the best are the same as a rule, their scores are not comparable.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    Subquery,
    column,
    exists,
    func,
    literal_column,
    or_,
    select,
    table,
    text,
    true,
)
from sqlalchemy.orm import Session

from app.accounts import Caller
from app.retrieval.words import terms_of
from models import DocChunk, Document

MOST = 50
"""Chunks of one search."""

CUT = " (...)"
"""Marks texts that were longer."""

_RESOURCE = re.compile(r"(?:@[^/@]+/)?(?:language-)?([^@/\s]+)(?:@([^@/\s]+))?")
_NEAREST = 200
"""Matches that are looked at first. Whose they are is asked of all only where these do not suffice:
where there are few, or most are strangers'.
"""

_EVEN = 60
"""Of reciprocal ranks: how little the first place counts more than the next ones (usual: 60)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A chunk that was found. `score`: the higher the better, comparable within one search only."""

    chunk_id: int
    document_id: int
    source: str
    title: str
    url: str | None
    section: str
    score: float
    text: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def search(
    session: Session,
    caller: Caller,
    question: str,
    *,
    sources: Collection[str] = (),
    resource: str | None = None,
    limit: int = 5,
) -> list[Found]:
    """The best chunks among one's own documents and shared ones, best first.

    `question` is any text at all. With a `resource` (`@openfn/language-fhir@5.0.0`, `fhir`) those
    of other resources are left out: of its version if there are any, else of its name.
    """
    terms = terms_of(question)
    if not terms:
        return []
    where = findable(session, caller, sources=sources, resource=resource)
    matching = {"sqlite": _sqlite, "postgresql": _postgresql}[session.get_bind().dialect.name]
    limit = min(limit, MOST)
    found: list[Found] = []
    for most in (_NEAREST, None):
        query = _best(matching(terms, most), where).limit(limit)
        found = [found_row(*row) for row in session.execute(query)]
        if len(found) == limit:
            break
    return found


def findable(
    session: Session,
    caller: Caller,
    *,
    sources: Collection[str] = (),
    resource: str | None = None,
) -> list[ColumnElement[bool]]:
    """The conditions on documents that `search` has."""
    where = [may_find(caller)]
    if sources:
        where.append(Document.source.in_(sources))
    if resource is not None:
        where.append(_of_resource(session, caller, resource))
    return where


def merged(lists: Iterable[Sequence[Found]], *, limit: int) -> list[Found]:
    """Several searches as one, each chunk once, by the sum of its reciprocal ranks."""
    ranks: dict[int, float] = {}
    found: dict[int, Found] = {}
    for one_list in lists:
        for rank, one in enumerate(one_list, 1):
            ranks[one.chunk_id] = ranks.get(one.chunk_id, 0.0) + 1 / (_EVEN + rank)
            found.setdefault(one.chunk_id, one)
    best = sorted(found.values(), key=lambda one: (-ranks[one.chunk_id], one.chunk_id))
    return best[:limit]


def resource_docs(session: Session, caller: Caller, resource: str, *, longest: int = 40_000) -> str:
    """The whole texts about a resource, of its version or else of its name, each under its title;
    cut after so many characters, with a mark. Blank when there are none.
    """
    tag = _tag_in_use(session, caller, resource)
    if tag is None:
        return ""
    of_tag = select(Document.title, Document.text).where(may_find(caller), Document.resource == tag)
    parts: list[str] = []
    length = 0
    for title, body in session.execute(of_tag.order_by(Document.source, Document.key, Document.id)):
        parts.append(f"# {title}\n\n{body.strip()}")
        length += len(parts[-1]) + 2
        if length > longest + 2:
            break
    whole = "\n\n".join(parts)
    return whole if len(whole) <= longest else whole[:longest] + CUT


def resource_tags(resource: str) -> list[str]:
    """What documents about a resource are tagged with, the closest first:
    `@openfn/language-fhir@5.0.0` gives `fhir@5.0.0`, `fhir`. None for what is no such name.
    """
    match = _RESOURCE.fullmatch(resource.strip())
    if match is None:
        return []
    return [f"{match[1]}@{match[2]}", match[1]] if match[2] else [match[1]]


def may_find(caller: Caller) -> ColumnElement[bool]:
    """The condition of every search: one's own documents, and shared ones."""
    return or_(Document.user_id == caller.user_id, Document.shared)


def _of_resource(session: Session, caller: Caller, resource: str) -> ColumnElement[bool]:
    tag = _tag_in_use(session, caller, resource)
    about_nothing = Document.resource.is_(None)
    return about_nothing if tag is None else about_nothing | (Document.resource == tag)


def _tag_in_use(session: Session, caller: Caller, resource: str) -> str | None:
    for tag in resource_tags(resource):
        of_tag = exists().where(Document.resource == tag, may_find(caller))
        if session.scalar(select(of_tag)):
            return tag
    return None


_Rows = Select[int, int, str, str, str | None, str, str, float]
COLUMNS = (
    DocChunk.id,
    DocChunk.document_id,
    Document.source,
    Document.title,
    Document.url,
    DocChunk.section,
    DocChunk.text,
)


def _best(matching: Subquery, where: Sequence[ColumnElement[bool]]) -> _Rows:
    """The chunks of (chunk, score) that may be found, best first."""
    score = matching.c.score
    return (
        select(*COLUMNS, score)
        .select_from(matching)
        .join(DocChunk, DocChunk.id == matching.c.id)
        .join(Document, Document.id == DocChunk.document_id)
        .where(*where)
        .order_by(score.desc(), DocChunk.id)
    )


def _sqlite(terms: Sequence[str], most: int | None) -> Subquery:
    """The terms are quoted: FTS5 reads nothing in them as its own language."""
    score: ColumnElement[float] = literal_column("-bm25(doc_chunks_fts, 5.0, 1.0)").label("score")
    index = table("doc_chunks_fts", column("rowid", Integer))
    match = text("doc_chunks_fts MATCH :terms")
    return (
        select(index.c.rowid.label("id"), score)
        .where(match.bindparams(terms=" OR ".join(f'"{term}"' for term in terms)))
        .order_by(score.desc(), index.c.rowid)
        .limit(most)
        .subquery()
    )


def _postgresql(terms: Sequence[str], most: int | None) -> Subquery:
    score: ColumnElement[float] = literal_column(
        "ts_rank_cd('{0.2, 0.2, 0.2, 1.0}', doc_chunks.tsv, asked)"
    ).label("score")
    english: ColumnElement[Any] = literal_column("'english'::regconfig")
    asked = func.websearch_to_tsquery(english, " or ".join(f'"{term}"' for term in terms))
    return (
        select(DocChunk.id, score)
        .join(asked.alias("asked"), true())
        .where(literal_column("doc_chunks.tsv @@ asked"))
        .order_by(score.desc(), DocChunk.id)
        .limit(most)
        .subquery()
    )


def found_row(
    chunk_id: int,
    document_id: int,
    source: str,
    title: str,
    url: str | None,
    section: str,
    body: str,
    score: float,
) -> Found:
    """A row of `COLUMNS` and its score."""
    return Found(
        chunk_id=chunk_id,
        document_id=document_id,
        source=source,
        title=title,
        url=url,
        section=section,
        score=round(float(score), 9),
        text=body,
    )
