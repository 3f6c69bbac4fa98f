"""Saved views: names for addresses of the outputs list that somebody comes back to.

A view is its owner's alone; a stranger's is not found. What the query means is the page's matter.
"""

from __future__ import annotations

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from app.accounts import Caller
from app.errors import Conflict, InvalidParameter, NotFound
from models import SavedView

MOST_VIEWS = 50
LONGEST_NAME = 80
LONGEST_QUERY = 2_000


def list_views(session: Session, caller: Caller) -> list[SavedView]:
    """The caller's views by name."""
    mine = select(SavedView).where(SavedView.user_id == caller.user_id)
    return list(session.scalars(mine.order_by(SavedView.name)))


def save_view(session: Session, caller: Caller, *, name: str, query: str) -> SavedView:
    """Keep a query string under a name; the same name keeps the new one instead.

    Raises InvalidParameter, and Conflict when there are as many as one may have.
    """
    name = " ".join(name.split())
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise InvalidParameter(
            f"Invalid name. Must be 1 to {LONGEST_NAME} printable characters", pointer="/name"
        )
    if len(query) > LONGEST_QUERY or not query.isprintable():
        raise InvalidParameter(
            f"Invalid query. Must be at most {LONGEST_QUERY:,} characters", pointer="/query"
        )
    mine = SavedView.user_id == caller.user_id
    found = session.scalar(select(SavedView).where(mine, SavedView.name == name))
    if found is not None:
        found.query = query
        return found
    if (session.scalar(select(func.count(SavedView.id)).where(mine)) or 0) >= MOST_VIEWS:
        raise Conflict(f"There are {MOST_VIEWS} saved views already; delete one first")
    made = SavedView(user_id=caller.user_id, name=name, query=query)
    session.add(made)
    session.flush()
    return made


def delete_view(session: Session, caller: Caller, view_id: int) -> None:
    """Forget a view. Raises NotFound."""
    mine = (SavedView.id == view_id, SavedView.user_id == caller.user_id)
    found = session.scalar(select(SavedView.id).where(*mine))
    if found is None:
        raise NotFound("Unknown saved view")
    session.execute(delete(SavedView).where(SavedView.id == found))
