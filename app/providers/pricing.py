"""What a call costs: prices to begin with, which one applies, and the arithmetic. No network.

Prices are seeded from the snapshot within the `genai-prices` package and then live as dated rows
an administrator can change; storing and reading rows is elsewhere. Approximations, all of which a
changed row can mend: a price holds for every prompt length, service tier and region, and tokens
written to a vendor's cache cost what other input costs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Protocol, TypeVar

from app.providers.contract import Usage

SEEDED = ("openai", "anthropic")
"""Providers whose prices are known; elsewhere a price is what an administrator says it is."""

ALWAYS = date(2000, 1, 1)
"""The day from which an undated price holds."""

_MILLION = Decimal(1_000_000)
_VERSION = re.compile(r"[-@](\d{8}|\d{4}-\d{2}-\d{2}|latest)$")


class Price(Protocol):
    """What a stored row and a seed have in common: US dollars per million tokens, from a day on.

    `model` is a name, or the beginning of names when it ends in `*`.
    """

    @property
    def provider(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def input_per_million(self) -> Decimal: ...
    @property
    def output_per_million(self) -> Decimal: ...
    @property
    def cached_input_per_million(self) -> Decimal | None: ...
    @property
    def valid_from(self) -> date: ...


AnyPrice = TypeVar("AnyPrice", bound=Price)


@dataclass(frozen=True, slots=True)
class PriceSeed:
    """A `Price` to begin with."""

    provider: str
    model: str
    input_per_million: Decimal
    output_per_million: Decimal
    cached_input_per_million: Decimal | None
    valid_from: date


def cost(usage: Usage | None, price: Price | None) -> Decimal | None:
    """US dollars for `usage`, exact; None when the usage or the price is unknown, never 0 for it.

    Cached tokens cost their own rate where it is known, else what other input costs.
    """
    if usage is None or price is None:
        return None
    cached = min(usage.cached_tokens, usage.input_tokens)
    cached_rate = price.cached_input_per_million
    if cached_rate is None:
        cached_rate = price.input_per_million
    return (
        (usage.input_tokens - cached) * price.input_per_million
        + cached * cached_rate
        + usage.output_tokens * price.output_per_million
    ) / _MILLION


def find(
    prices: Iterable[AnyPrice], provider: str, model: str, at: date | datetime
) -> AnyPrice | None:
    """The price of `model` at `at`, or None when nobody knows it.

    The most exact name wins, then the latest day; of several rows alike the last one does, so that
    a row added today mends an earlier one. A dated version (`gpt-4o-2024-11-20`) costs what its
    model costs unless it has a price of its own.
    """
    day = at.date() if isinstance(at, datetime) else at
    valid = [p for p in prices if p.provider == provider and p.valid_from <= day]
    for name in dict.fromkeys((model, _VERSION.sub("", model))):
        fitting = [price for price in valid if _fits(price.model, name)]
        if fitting:
            return max(reversed(fitting), key=lambda p: (*_exactness(p.model), p.valid_from))
    return None


def seed_prices() -> list[PriceSeed]:
    """The prices known when `genai-prices` was released, for `SEEDED` providers.

    Loading the snapshot takes about 0.7 s and 60 MB: for migrations and commands, not for a
    process that serves.
    """
    from genai_prices import data

    providers = [provider for provider in data.providers if provider.id in SEEDED]
    return [
        seed
        for provider in providers
        for model in provider.models
        for name in dict.fromkeys((model.id, *_names(model.match)))
        for seed in _seeds(provider.id, name, model.prices)
    ]


def _fits(pattern: str, name: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


def _exactness(pattern: str) -> tuple[bool, int]:
    return not pattern.endswith("*"), len(pattern)


def _names(match: Any) -> Iterator[str]:
    """The names of a model in the snapshot's matching rules. Rules for dated versions are left
    out: `find` knows about those.
    """
    for clause in getattr(match, "or_", None) or [match]:
        if name := getattr(clause, "equals", None):
            yield name
        elif beginning := getattr(clause, "starts_with", None):
            yield f"{beginning}*"


def _seeds(provider: str, name: str, prices: Any) -> Iterator[PriceSeed]:
    for one in prices if isinstance(prices, list) else [prices]:
        rates: Any = getattr(one, "prices", one)
        start = _start(getattr(one, "constraint", None))
        paid, written = _base(rates.input_mtok), _base(rates.output_mtok)
        if start is not None and paid is not None and written is not None:
            yield PriceSeed(provider, name, paid, written, _base(rates.cache_read_mtok), start)


def _start(constraint: Any) -> date | None:
    """The day a price holds from; None for a price of some hours of the day only."""
    start: date | None = getattr(constraint, "start_date", None if constraint else ALWAYS)
    return start


def _base(rate: Any) -> Decimal | None:
    """A rate, or the first step of one that depends on the prompt's length."""
    base: Decimal | None = getattr(rate, "base", rate)
    return base
