"""Prices: which one applies, what it comes to, and what is known at the start."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import genai_prices
import pytest
from genai_prices import data
from hypothesis import given
from hypothesis import strategies as st

from app.providers.contract import Usage
from app.providers.pricing import ALWAYS, SEEDED, PriceSeed, cost, find, seed_prices
from app.providers.registry import known_models
from app.settings import Settings

PRICE = PriceSeed("openai", "m", Decimal(2), Decimal(8), Decimal("0.5"), date(2026, 1, 1))
DAY = date(2026, 6, 1)
MANY = st.integers(min_value=0, max_value=10**9)


def test_cost_is_exact() -> None:
    usage = Usage(input_tokens=1001, output_tokens=7, cached_tokens=1000)
    assert cost(usage, PRICE) == Decimal("0.000558")


def test_cached_tokens_without_a_rate_cost_what_input_costs() -> None:
    usage = Usage(input_tokens=1000, cached_tokens=1000)
    assert cost(usage, replace(PRICE, cached_input_per_million=None)) == Decimal("0.002")


def test_free_cached_tokens_are_free() -> None:
    usage = Usage(input_tokens=1000, cached_tokens=1000)
    assert cost(usage, replace(PRICE, cached_input_per_million=Decimal(0))) == 0


@pytest.mark.parametrize(("usage", "price"), [(None, PRICE), (Usage(1, 1), None), (None, None)])
def test_unknown_cost_is_none_and_never_zero(usage: Usage | None, price: PriceSeed | None) -> None:
    assert cost(usage, price) is None


@given(MANY, MANY, MANY)
def test_cost_is_never_negative(tokens: int, written: int, cached: int) -> None:
    assert cost(Usage(tokens, written, cached_tokens=cached), PRICE) >= 0  # type: ignore[operator]


def test_price_holds_from_its_day() -> None:
    later = replace(PRICE, input_per_million=Decimal(3), valid_from=date(2026, 7, 1))
    prices = [later, PRICE]
    assert find(prices, "openai", "m", date(2025, 12, 31)) is None
    assert find(prices, "openai", "m", DAY) is PRICE
    assert find(prices, "openai", "m", datetime(2026, 7, 1, tzinfo=UTC)) is later


def test_of_two_prices_alike_the_later_row_wins() -> None:
    mended = replace(PRICE, output_per_million=Decimal(9))
    assert find([PRICE, mended], "openai", "m", DAY) is mended


def test_exact_name_wins_over_a_beginning_and_a_longer_one_over_a_shorter() -> None:
    short, long, exact = (replace(PRICE, model=model) for model in ("m*", "m-2*", "m-2-mini"))
    prices = [exact, short, long]
    assert find(prices, "openai", "m-2-mini", DAY) is exact
    assert find(prices, "openai", "m-2-maxi", DAY) is long
    assert find(prices, "openai", "m-1", DAY) is short
    assert find(prices, "openai", "other", DAY) is None
    assert find(prices, "anthropic", "m-1", DAY) is None


@pytest.mark.parametrize("version", ["-20260101", "-2026-01-01", "@20260101", "-latest"])
def test_dated_version_costs_what_its_model_costs(version: str) -> None:
    assert find([PRICE], "openai", f"m{version}", DAY) is PRICE
    own = replace(PRICE, model=f"m{version}")
    assert find([own, PRICE], "openai", f"m{version}", DAY) is own


def test_pattern_is_no_regular_expression() -> None:
    assert find([replace(PRICE, model="gpt-4.1")], "openai", "gpt-4x1", DAY) is None


def test_seeds_are_usable_prices() -> None:
    seeds = seed_prices()
    assert len(seeds) > 100
    assert {seed.provider for seed in seeds} == set(SEEDED)
    assert len({(s.provider, s.model, s.valid_from) for s in seeds}) == len(seeds)
    assert all(s.input_per_million >= 0 and s.output_per_million >= 0 for s in seeds)
    assert all(s.valid_from >= ALWAYS for s in seeds)


@pytest.mark.parametrize("provider", SEEDED)
def test_seeds_cost_what_their_source_says(provider: str) -> None:
    """Every chat model of the snapshot, with a prompt below the long-context steps."""
    seeds = seed_prices()
    usage = Usage(input_tokens=1000, output_tokens=500, cached_tokens=100)
    theirs = genai_prices.Usage(input_tokens=1000, output_tokens=500, cache_read_tokens=100)
    at = datetime(2026, 11, 1, tzinfo=UTC)
    compared = 0
    models = next(one.models for one in data.providers if one.id == provider)
    for model in models:
        for name in {model.id, *(getattr(c, "equals", model.id) for c in _clauses(model.match))}:
            ours = cost(usage, find(seeds, provider, name, at))
            if ours is None or name.startswith("ft:"):
                continue
            expected = genai_prices.calc_price(
                theirs, name, provider_id=provider, genai_request_timestamp=at
            )
            assert ours == expected.total_price, name
            compared += 1
    assert compared > len(models) / 2


def test_every_model_we_suggest_has_a_price() -> None:
    seeds = seed_prices()
    settings = Settings(ollama_base_url="http://127.0.0.1:1")  # type: ignore[arg-type]
    suggested = [model for model in known_models(settings) if model.provider in SEEDED]
    assert len(suggested) > 10
    for model in suggested:
        assert find(seeds, model.provider, model.name, date(2026, 11, 1)), model.name


def _clauses(match: object) -> list[object]:
    return getattr(match, "or_", None) or [match]
