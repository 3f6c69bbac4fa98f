"""Finding chunks by what they mean, beside by their words, where a plugin can tell.

An embedder is a plugin's (section `embedders`): it makes vectors of texts; LLM_JOBS_EMBEDDER names
it. Vectors of chunks are made by `llm-jobs documents embed`, of questions when they are asked.
Without an embedder, and wherever one fails, words alone find.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from operator import mul
from typing import Protocol, TypeAlias

import structlog
from sqlalchemy import delete, exists, insert, select
from sqlalchemy.orm import Session

from app.errors import ConfigurationError
from app.plugins import registry
from app.retrieval.searching import COLUMNS, Found, found_row
from app.runtime import Runtime
from app.settings import Settings
from models import DocChunk, Document, DocVector
from models.base import table_of

log = structlog.get_logger(__name__)

MOST_VECTORS = 5_000
"""Chunks a question is compared with, the newest; more take longer than somebody should wait."""

BATCH = 64
"""Texts an embedder gets at once."""

Vector: TypeAlias = "array[float]"


class Embedder(Protocol):
    """What a plugin adds: vectors of texts, one each, all as long as each other."""

    def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]: ...


def vectors_of(settings: Settings, questions: Sequence[str]) -> list[Vector]:
    """The vectors of questions, in their order; none without an embedder, and none when it fails.
    No transaction may be open: it may ask another machine.
    """
    if not settings.embedder or not questions:
        return []
    try:
        return _vectors(_embedder(settings.embedder), questions)
    except Exception as error:
        log.warning("questions not embedded", error=type(error).__name__)
        return []


def embed_chunks(runtime: Runtime, *, most: int = BATCH) -> int:
    """Make the vectors of some chunks that have none of the embedder's; how many were looked at.

    Raises ConfigurationError without an embedder, and what it raises.
    """
    name = runtime.settings.embedder
    if not name:
        raise ConfigurationError("LLM_JOBS_EMBEDDER names no embedder")
    embedder = _embedder(name)
    has_one = exists().where(DocVector.chunk_id == DocChunk.id, DocVector.embedder == name)
    wanted = (
        select(DocChunk.id, Document.title, DocChunk.section, DocChunk.text)
        .join(Document, Document.id == DocChunk.document_id)
        .where(~has_one)
        .order_by(DocChunk.id.desc())
        .limit(most)
    )
    with runtime.database.read() as session:
        rows = session.execute(wanted).all()
    if not rows:
        return 0
    texts = ["\n".join(filter(None, [row.title, row.section, row.text])) for row in rows]
    made = dict(zip([row.id for row in rows], _vectors(embedder, texts), strict=True))
    with runtime.database.write() as session:
        _store(session, name, made)
    return len(rows)


def nearest(
    session: Session,
    question: Vector,
    where: Sequence[object],
    *,
    embedder: str,
    limit: int,
) -> list[Found]:
    """The chunks that mean most what a question means, best first, of those that `where` allows."""
    query = (
        select(DocVector.chunk_id, DocVector.vector)
        .join(DocChunk, DocChunk.id == DocVector.chunk_id)
        .join(Document, Document.id == DocChunk.document_id)
        .where(DocVector.embedder == embedder, *where)  # type: ignore[arg-type]
        .order_by(DocVector.chunk_id.desc())
        .limit(MOST_VECTORS)
    )
    scores = {
        chunk_id: sum(map(mul, question, vector))
        for chunk_id, packed in session.execute(query)
        if len(vector := _unpacked(packed)) == len(question)
    }
    best = sorted(scores, key=lambda one: (-scores[one], one))[:limit]
    rows = select(*COLUMNS).join(Document, Document.id == DocChunk.document_id)
    found = {
        row.id: found_row(*row, scores[row.id])
        for row in session.execute(rows.where(DocChunk.id.in_(best)))
    }
    return [found[one] for one in best if one in found]


def _embedder(name: str) -> Embedder:
    found: Embedder | None = registry().embedders.get(name)
    if found is None:
        known = ", ".join(registry().embedders.names()) or "none"
        raise ConfigurationError(f"LLM_JOBS_EMBEDDER={name}: no such embedder; there are: {known}")
    return found


def _vectors(embedder: Embedder, texts: Sequence[str]) -> list[Vector]:
    """Each of the length 1, so that a product of two says how near they are."""
    made = embedder.embed(list(texts))
    if len(made) != len(texts):
        raise ValueError(f"the embedder gave {len(made)} vectors for {len(texts)} texts")
    return [_even(values) for values in made]


def _even(values: Sequence[float]) -> Vector:
    length = math.sqrt(math.fsum(value * value for value in values))
    if not length or not math.isfinite(length):
        return array("f", bytes(4 * len(values)))
    return array("f", [value / length for value in values])


def _unpacked(packed: bytes) -> Vector:
    vector: Vector = array("f")
    vector.frombytes(packed)
    return vector


def _store(session: Session, embedder: str, made: dict[int, Vector]) -> None:
    """In place of an older embedder's; chunks that are gone meanwhile are left out."""
    there = session.scalars(select(DocChunk.id).where(DocChunk.id.in_(made)).with_for_update())
    rows = [{"chunk_id": one, "embedder": embedder, "vector": made[one].tobytes()} for one in there]
    session.execute(delete(DocVector).where(DocVector.chunk_id.in_(made)))
    if rows:
        session.execute(insert(table_of(DocVector)), rows)
