"""Finding in every way there is: by the words of questions, and by their meaning where a plugin
knows it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy.orm import Session

from app.accounts import Caller
from app.retrieval.meaning import Vector, nearest
from app.retrieval.searching import Found, findable, merged, search


def find(
    session: Session,
    caller: Caller,
    questions: Sequence[str],
    *,
    embedder: str | None = None,
    vectors: Sequence[Vector] = (),
    sources: Collection[str] = (),
    resource: str | None = None,
    limit: int = 5,
) -> list[Found]:
    """The best chunks for several questions, as `search` finds them for one. The first counts as
    much as the others together. `vectors` are theirs, from the `embedder`, or none.
    """
    lists = [
        search(session, caller, one, sources=sources, resource=resource, limit=limit)
        for one in questions
    ]
    ways = [_weighted(lists)]
    if embedder and vectors:
        where = findable(session, caller, sources=sources, resource=resource)
        ways.append(
            _weighted(
                [
                    nearest(session, vector, where, embedder=embedder, limit=limit)
                    for vector in vectors
                ]
            )
        )
    if len(ways) == 1 and len(lists) == 1:
        return lists[0]
    return merged([one for way in ways for one in way], limit=limit)


def _weighted(lists: Sequence[Sequence[Found]]) -> list[Sequence[Found]]:
    return [lists[0]] * len(lists) + list(lists[1:])
