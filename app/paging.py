"""Lists in pages: newest first, at most 100 rows, a cursor that says where to go on.

A cursor is opaque to whoever holds it and only names a row to start after; what may be seen is
decided by the query, so a cursor made up by hand shows nothing more.
"""

from __future__ import annotations

import binascii
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import Select
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.errors import InvalidParameter

DEFAULT_LIMIT = 20
MOST = 100

_CURSOR = re.compile(r"after:([1-9][0-9]{0,18})")

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Rows in order, and the cursor of the next page (None at the end)."""

    rows: Sequence[Row]
    next: str | None

    @property
    def has_more(self) -> bool:
        return self.next is not None


def every_row(page_after: Callable[[str | None], Page[Row]]) -> Iterator[Row]:
    """The rows of a whole list: `page_after` gives the page after a cursor (None: the first)."""
    after: str | None = None
    while True:
        page = page_after(after)
        yield from page.rows
        after = page.next
        if after is None:
            return


def newest_first(
    session: Session,
    query: Select[Any],
    row_id: InstrumentedAttribute[int],
    *,
    limit: int = DEFAULT_LIMIT,
    after: str | None = None,
) -> Page[Any]:
    """One page of `query`, by falling `row_id`.

    Raises InvalidParameter for a limit outside 1 … 100 and for a cursor that is none of ours.
    """
    if not 1 <= limit <= MOST:
        raise InvalidParameter(
            f"Invalid limit: {limit}. Must be from 1 to {MOST}", pointer="/limit"
        )
    if after is not None:
        query = query.where(row_id < read_cursor(after))
    rows = session.scalars(query.order_by(row_id.desc()).limit(limit + 1)).unique().all()
    shown = rows[:limit]
    more = len(rows) > limit
    return Page(shown, cursor(shown[-1].id) if more else None)


def cursor(row_id: int) -> str:
    """The cursor of what comes after this row."""
    return urlsafe_b64encode(f"after:{row_id}".encode()).decode().rstrip("=")


def read_cursor(text: str) -> int:
    """The row a cursor names. Raises InvalidParameter when it is none of ours."""
    try:
        raw = urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii")
    except (ValueError, binascii.Error):
        raw = ""
    match = _CURSOR.fullmatch(raw)
    if not match or cursor(int(match[1])) != text or int(match[1]) >= 2**63:
        raise InvalidParameter(
            "Invalid cursor: send `next` of the page before, unchanged", pointer="/after"
        )
    return int(match[1])
