"""Finding one row by an id somebody sent: an id no row can have is an unknown one, not an error."""

from __future__ import annotations

from typing import Any, TypeVar

from sqlalchemy.orm import Session

from models import Base

Model = TypeVar("Model", bound=Base)

_LARGEST_ID = 2**63 - 1


def row_by_id(
    session: Session, model: type[Model], row_id: Any, *, for_update: bool = False
) -> Model | None:
    """The row, or None. Databases refuse numbers beyond 64 bits; here they are merely unknown.

    Locked `for_update`, others may still refer to it: ids never change.
    """
    if not isinstance(row_id, int) or not 0 < row_id <= _LARGEST_ID:
        return None
    return session.get(model, row_id, with_for_update={"key_share": True} if for_update else None)
