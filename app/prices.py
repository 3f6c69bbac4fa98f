"""Dated prices: the rows that say what a model costs, and the book a worker reads them from.

Which row applies and the arithmetic are `app.providers.pricing`; here they are stored, seeded,
changed by administrators and kept at hand. A price nobody knows makes a cost null, never 0.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import structlog
from sqlalchemy import insert, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app import audit
from app.accounts import Caller
from app.audit import Action
from app.db import Database
from app.errors import InvalidParameter, MissingParameter, Unavailable
from app.paging import DEFAULT_LIMIT, Page, newest_first
from app.providers import pricing
from app.providers.contract import Usage
from app.text import clean_text
from models import Price
from models.types import now

log = structlog.get_logger(__name__)

REFRESH_SECONDS = 60.0
"""A changed price reaches every worker within this time."""

_RETRY_SECONDS = 5.0
_DEAREST = Decimal(1_000_000)


@dataclass(frozen=True, slots=True)
class Priced:
    """What a call cost in US dollars, and the price row it was computed with."""

    cost: Decimal | None
    price_id: int | None


UNPRICED = Priced(None, None)


def price_for(
    session: Session, provider: str, model: str, at: date | datetime | None = None
) -> Price | None:
    """The price of a model at a day (default: today), or None when nobody knows it."""
    rows = session.scalars(select(Price).where(Price.provider == provider).order_by(Price.id))
    return pricing.find(rows.all(), provider, model, at or _today())


def all_prices(session: Session) -> Sequence[Price]:
    """Every price row, oldest first: what `pricing.find` looks through."""
    return session.scalars(select(Price).order_by(Price.id)).all()


def list_prices(
    session: Session,
    *,
    provider: str | None = None,
    model: str | None = None,
    limit: int = DEFAULT_LIMIT,
    after: str | None = None,
) -> Page[Price]:
    """Price rows, newest first, of one provider or model if named. Prices are no secret."""
    query = select(Price)
    if provider is not None:
        query = query.where(Price.provider == provider)
    if model is not None:
        query = query.where(Price.model == model)
    return newest_first(session, query, Price.id, limit=limit, after=after)


def set_price(
    session: Session,
    caller: Caller,
    *,
    provider: str,
    model: str,
    input_per_million: Any,
    output_per_million: Any,
    cached_input_per_million: Any = None,
    valid_from: date | None = None,
) -> Price:
    """Add a price from a day on (default: today), in US dollars per million tokens.

    `model` is a name, or the beginning of names when it ends in `*`. Nothing is overwritten: what
    was computed with an older row stays as it is. Raises Forbidden unless an administrator asks,
    InvalidParameter or MissingParameter.
    """
    caller.require_administrator()
    cached = cached_input_per_million
    price = Price(
        provider=_name("provider", provider, 64),
        model=_name("model", model, 255),
        input_per_million=_dollars("input_per_million", input_per_million),
        output_per_million=_dollars("output_per_million", output_per_million),
        cached_input_per_million=(
            None if cached is None else _dollars("cached_input_per_million", cached)
        ),
        valid_from=valid_from or _today(),
        user_id=caller.user_id,
    )
    session.add(price)
    session.flush()
    session.refresh(price)
    subject = f"price:{price.provider}/{price.model}"
    audit.record(session, caller, Action.PRICE_SET, subject=subject, details=_told(price))
    return price


def seed(session: Session) -> int:
    """Add the prices known at release, where no row says otherwise; returns how many.

    Doing it again adds nothing, and an administrator's row of the same day stays in force.
    """
    columns = select(Price.provider, Price.model, Price.valid_from)
    known = {(row.provider, row.model, row.valid_from) for row in session.execute(columns)}
    rows = []
    for price in pricing.seed_prices():
        key = (price.provider, price.model, price.valid_from)
        if key not in known:
            known.add(key)
            rows.append({name: getattr(price, name) for name in price.__dataclass_fields__})
    if rows:
        session.execute(insert(Price).values(created_at=now()), rows)
    return len(rows)


class PriceBook:
    """The prices at hand in a process, read anew at most once a minute. Thread-safe.

    It is asked in a worker's event loop, so a refresh happens in a thread of its own while the
    prices known so far go on to be used; only the very first question waits for the database.
    """

    def __init__(self, database: Database, *, refresh_seconds: float = REFRESH_SECONDS) -> None:
        self._database = database
        self._refresh_seconds = refresh_seconds
        self._lock = threading.Lock()
        self._rows: Sequence[Price] | None = None
        self._found: dict[tuple[str, str, date], Price | None] = {}
        self._stale_at = 0.0
        self._reading = False

    def load(self) -> None:
        """Read the prices now, so that no later question waits for the database."""
        self._keep_fresh()

    def price_call(self, provider: str, model: str, usage: Usage | None) -> Priced:
        """What a call cost; UNPRICED when usage or price are unknown. Never raises."""
        if usage is None:
            return UNPRICED
        price = self._find(provider, model)
        return Priced(pricing.cost(usage, price), price.id if price else None)

    def _find(self, provider: str, model: str) -> Price | None:
        self._keep_fresh()
        key = (provider, model, _today())
        with self._lock:
            if key not in self._found:
                self._found[key] = pricing.find(self._rows or (), *key)
            return self._found[key]

    def _keep_fresh(self) -> None:
        with self._lock:
            if self._reading or time.monotonic() < self._stale_at:
                return
            self._reading = True
            first = self._rows is None
        if first:
            self._read()
        else:
            threading.Thread(target=self._read, name="llm-jobs-prices", daemon=True).start()

    def _read(self) -> None:
        rows: Sequence[Price] | None = None
        try:
            with self._database.read() as session:
                rows = all_prices(session)
        except (Unavailable, DBAPIError):  # away, or not migrated yet
            log.warning("prices not read: the database is away")
        finally:
            with self._lock:
                wait = _RETRY_SECONDS if rows is None else self._refresh_seconds
                self._stale_at = time.monotonic() + wait
                self._reading = False
                if rows is not None:
                    self._rows, self._found = rows, {}


def _told(price: Price) -> dict[str, Any]:
    """What the trail says of a price: dollars per million tokens, as texts."""
    names = ("input_per_million", "output_per_million", "cached_input_per_million", "valid_from")
    values = {name: getattr(price, name) for name in names}
    return {name: None if value is None else str(value) for name, value in values.items()}


def _today() -> date:
    return datetime.now(UTC).date()


def _name(parameter: str, value: Any, longest: int) -> str:
    text = clean_text(value).strip() if isinstance(value, str) else ""
    if not text:
        raise MissingParameter(parameter)
    if len(text) > longest:
        raise InvalidParameter(
            f"Invalid {parameter}. Must be at most {longest} characters", pointer=f"/{parameter}"
        )
    return text


def _dollars(parameter: str, value: Any) -> Decimal:
    try:
        if isinstance(value, bool):
            raise InvalidOperation
        amount = Decimal(str(value))
        if not 0 <= amount <= _DEAREST:  # a NaN raises InvalidOperation
            raise InvalidOperation
    except InvalidOperation:
        raise InvalidParameter(
            f"Invalid {parameter}: {value!r}. Must be US dollars per million tokens, from 0 to"
            f" {_DEAREST:,}",
            pointer=f"/{parameter}",
        ) from None
    return amount
