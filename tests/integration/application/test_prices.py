"""Prices are dated rows: seeded once, changed by adding, found by day and by name."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import func, select

from app import prices
from app.accounts import Caller
from app.db import Database
from app.errors import Forbidden, InvalidParameter, MissingParameter
from app.prices import UNPRICED, PriceBook
from app.providers.contract import Usage
from models import Price
from tests.support.waiting import eventually

MILLION = Usage(input_tokens=1_000_000, output_tokens=1_000_000)


def set_price(database: Database, caller: Caller, **facts: Any) -> Price:
    usual = {
        "provider": "openai",
        "model": "gpt-4",
        "input_per_million": "30",
        "output_per_million": "60",
        "valid_from": date(2026, 1, 1),
    }
    with database.write() as session:
        return prices.set_price(session, caller, **(usual | facts))


def found(database: Database, model: str, at: date, provider: str = "openai") -> Decimal | None:
    with database.read() as session:
        price = prices.price_for(session, provider, model, at)
    return price and price.input_per_million


def test_seeding_twice_adds_nothing(database: Database) -> None:
    with database.write() as session:
        assert prices.seed(session) > 50
    with database.write() as session:
        assert prices.seed(session) == 0
    with database.read() as session:
        providers = set(session.scalars(select(Price.provider).distinct()))
        claude = prices.price_for(session, "anthropic", "claude-sonnet-4-5")
    assert providers == {"openai", "anthropic"}
    assert claude is not None
    assert claude.output_per_million > claude.input_per_million > 0


def test_the_price_of_the_day_applies(database: Database, admin: Caller) -> None:
    set_price(database, admin)
    set_price(database, admin, input_per_million="10", valid_from=date(2026, 6, 1))
    assert found(database, "gpt-4", date(2025, 12, 31)) is None
    assert found(database, "gpt-4", date(2026, 5, 31)) == 30
    assert found(database, "gpt-4", date(2026, 6, 1)) == 10


def test_a_row_added_the_same_day_mends_the_earlier_one(database: Database, admin: Caller) -> None:
    set_price(database, admin)
    set_price(database, admin, input_per_million="0.15")
    assert found(database, "gpt-4", date(2026, 1, 1)) == Decimal("0.15")
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Price)) == 2


def test_a_seed_does_not_override_an_administrators_row(database: Database, admin: Caller) -> None:
    with database.write() as session:
        prices.seed(session)
    set_price(database, admin, model="gpt-4o", input_per_million="99", valid_from=None)
    with database.write() as session:
        prices.seed(session)
    with database.read() as session:
        price = prices.price_for(session, "openai", "gpt-4o")
    assert price is not None
    assert price.input_per_million == 99


def test_a_version_costs_what_its_model_costs(database: Database, admin: Caller) -> None:
    set_price(database, admin, model="gpt-4")
    day = date(2026, 2, 2)
    assert found(database, "gpt-4-2026-01-05", day) == 30
    assert found(database, "gpt-4-turbo", day) is None
    assert found(database, "gpt-4", day, provider="ollama") is None


def test_members_read_prices_and_administrators_set_them(
    database: Database, alice: Caller, admin: Caller
) -> None:
    with pytest.raises(Forbidden):
        set_price(database, alice)
    row = set_price(database, admin, cached_input_per_million=1.5)
    assert (row.user_id, row.cached_input_per_million) == (admin.user_id, Decimal("1.5"))
    set_price(database, admin, provider="anthropic", model="claude-x")
    with database.read() as session:
        assert len(prices.list_prices(session).rows) == 2
        (only,) = prices.list_prices(session, provider="openai", model="gpt-4").rows
        assert only.id == row.id


def test_a_price_that_cannot_be_is_refused(database: Database, admin: Caller) -> None:
    wrong: list[tuple[dict[str, Any], type[Exception]]] = [
        ({"provider": " "}, MissingParameter),
        ({"model": None}, MissingParameter),
        ({"model": "m" * 256}, InvalidParameter),
        ({"input_per_million": -1}, InvalidParameter),
        ({"input_per_million": "NaN"}, InvalidParameter),
        ({"input_per_million": float("inf")}, InvalidParameter),
        ({"output_per_million": True}, InvalidParameter),
        ({"output_per_million": "a lot"}, InvalidParameter),
        ({"cached_input_per_million": 10**9}, InvalidParameter),
    ]
    for facts, error in wrong:
        with pytest.raises(error):
            set_price(database, admin, **facts)
    with database.read() as session:
        assert prices.all_prices(session) == []


def test_the_book_prices_a_call_and_names_the_row(database: Database, admin: Caller) -> None:
    row = set_price(database, admin)
    book = PriceBook(database)
    priced = book.price_call("openai", "gpt-4", MILLION)
    assert (priced.cost, priced.price_id) == (Decimal(90), row.id)
    assert book.price_call("openai", "gpt-4", None) == UNPRICED
    assert book.price_call("openai", "unheard-of", MILLION) == UNPRICED


def test_a_changed_price_reaches_the_book_in_time(database: Database, admin: Caller) -> None:
    set_price(database, admin)
    patient, quick = PriceBook(database), PriceBook(database, refresh_seconds=0)
    for book in (patient, quick):
        assert book.price_call("openai", "gpt-4", MILLION).cost == 90
    set_price(database, admin, input_per_million="40")
    eventually(lambda: quick.price_call("openai", "gpt-4", MILLION).cost == 100)
    assert patient.price_call("openai", "gpt-4", MILLION).cost == 90
    eventually(lambda: not quick._reading)


def test_without_a_database_a_call_has_no_cost(empty_database_url: str) -> None:
    database = Database(empty_database_url.replace("127.0.0.1", "127.0.0.2"))
    try:
        assert PriceBook(database).price_call("openai", "gpt-4", MILLION) == UNPRICED
    finally:
        database.dispose()
