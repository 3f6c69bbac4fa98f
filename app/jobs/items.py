"""Result items of an output as people leave them: corrected, confirmed, searched for suggestions.

What a model gave is never changed; each correction is a row of its own beside it, with its author
and time, and the newest counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from app.accounts import Caller
from app.errors import Conflict, InvalidParameter
from app.jobs.access import get
from app.jobs.files import files_of
from app.jobs.limits import check_value
from app.prompts.suggest import suggestions
from models import ItemReview, LLMOutput, Status, User
from models.types import now

MOST_ITEMS = 500
MOST_REVIEWS = 100
SUGGEST_ITEMS, SUGGEST_MODE = "ai.suggest.items", "ai.suggest.mode"


@dataclass(frozen=True, slots=True)
class Review:
    """Items as somebody left them. `by` is that person's name."""

    items: dict[str, list[Any]]
    confirmed: bool
    user_id: int | None
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Suggestions:
    """Whether a form should suggest, for which items, and what was found for it."""

    mode: str
    items: list[str]
    hits: list[str]


def review_items(
    session: Session,
    caller: Caller,
    output_id: int,
    *,
    items: Mapping[str, Any] | None = None,
    confirmed: bool = False,
) -> LLMOutput:
    """Keep `items` as the output's, as its caller left them; None keeps them and only confirms.

    One value is a list of one. Raises NotFound, Conflict unless the output is completed and has not
    been erased, InvalidParameter.
    """
    output = get(session, caller, output_id=output_id)
    if output.status != Status.COMPLETED or output.erased_at is not None:
        standing = "erased" if output.erased_at is not None else output.status
        raise Conflict(f"Output {output.id} is {standing}: only completed ones have items to check")
    if items is None:
        items = current_items(session, output)
    session.add(
        ItemReview(
            output_id=output.id,
            user_id=caller.user_id,
            items=_checked(items),
            confirmed=confirmed,
        )
    )
    session.execute(update(LLMOutput).where(LLMOutput.id == output.id).values(updated_at=now()))
    session.flush()
    session.refresh(output)
    return output


def current_items(session: Session, output: LLMOutput) -> dict[str, list[Any]]:
    """The output's items: as people left them last, else the model's."""
    review = newest_reviews(session, [output.id]).get(output.id)
    return dict(review.items if review else output.result_items or {})


def newest_reviews(session: Session, output_ids: Sequence[int]) -> dict[int, Review]:
    """What people made of these outputs' items last, by output id."""
    if not output_ids:
        return {}
    newest = (
        select(func.max(ItemReview.id))
        .where(ItemReview.output_id.in_(output_ids))
        .group_by(ItemReview.output_id)
    )
    return dict(_reviews(session, ItemReview.id.in_(newest)))


def reviews_of(session: Session, output: LLMOutput) -> list[Review]:
    """The reviews of an output's items, the newest first, at most `MOST_REVIEWS`."""
    found = _reviews(session, ItemReview.output_id == output.id, most=MOST_REVIEWS)
    return [review for _, review in found]


def _reviews(
    session: Session, which: ColumnElement[bool], *, most: int | None = None
) -> Iterator[tuple[int, Review]]:
    """Reviews with the ids of their outputs. An author's address is nobody else's business."""
    query = (
        select(ItemReview, User.name)
        .outerjoin(User, User.id == ItemReview.user_id)
        .where(which)
        .order_by(ItemReview.id.desc())
        .limit(most)
    )
    for row, name in session.execute(query):
        by = name or ("operator" if row.user_id is None else f"user {row.user_id}")
        yield (
            row.output_id,
            Review(dict(row.items), row.confirmed, row.user_id, by, row.created_at),
        )


def suggest(session: Session, caller: Caller, output_id: int, query: str) -> Suggestions:
    """Words of the output's files that go on from `query`, for a form that corrects its items.

    Raises NotFound.
    """
    output = get(session, caller, output_id=output_id)
    files = files_of(session, output)
    text = "\n".join(file.text for file in files) or output.prompt or ""
    items = output.result_items or {}
    mode = (items.get(SUGGEST_MODE) or ["OFF"])[0]
    return Suggestions(mode, list(items.get(SUGGEST_ITEMS) or []), suggestions(text, query))


def _checked(items: Mapping[str, Any]) -> dict[str, list[Any]]:
    if len(items) > MOST_ITEMS:
        raise InvalidParameter(f"Invalid items. At most {MOST_ITEMS}", pointer="/items")
    for name in items:
        if not name.strip() or len(name) > 255:
            raise InvalidParameter(
                "Invalid items. A name must have 1 to 255 characters", pointer="/items"
            )
    check_value(dict(items), pointer="/items", depth=2)
    return {name: value if isinstance(value, list) else [value] for name, value in items.items()}
