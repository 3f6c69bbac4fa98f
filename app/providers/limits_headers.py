"""What a provider's reply headers say about waiting and limits. Pure; no policy.

Sources: RFC 9110 §10.2.3 (Retry-After); OpenAI's `retry-after-ms` and `x-ratelimit-*`; Anthropic's
`anthropic-ratelimit-*`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MAX_SECONDS = 900.0
"""The longest wait taken from a provider; more is cut to this."""

ABSURD_SECONDS = 86_400.0
"""A wait beyond this is a mistake or an attack and is ignored."""

_LIMIT_PREFIXES = ("x-ratelimit-", "anthropic-ratelimit-")


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds the provider asks us to wait, 0 to 900, or None if it says nothing usable.

    `headers` is any mapping with lower-case names; `now` is an aware datetime. `retry-after-ms`
    is read before `retry-after` (seconds or an HTTP date): it is the more precise of the two.
    """
    waits = (
        _number(headers.get("retry-after-ms"), unit=0.001),
        _number(headers.get("retry-after")),
        _until(headers.get("retry-after"), now),
    )
    usable = (wait for wait in waits if wait is not None and 0 <= wait <= ABSURD_SECONDS)
    return next((min(wait, MAX_SECONDS) for wait in usable), None)


def limits(headers: Mapping[str, str]) -> dict[str, str]:
    """The rate-limit headers of one reply, names in lower case.

    A kind whose limit is not positive is left out: some gateways send -1 or 0 for "not limited".
    """
    found = {name.lower(): value for name, value in headers.items()}
    found = {name: value for name, value in found.items() if name.startswith(_LIMIT_PREFIXES)}
    return {name: value for name, value in found.items() if _counted(name, found)}


def _number(text: str | None, *, unit: float = 1.0) -> float | None:
    try:
        return float(text) * unit if text else None
    except ValueError:
        return None


def _until(text: str | None, now: datetime) -> float | None:
    if not text or _number(text) is not None:
        return None
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError, TypeError):
        return None
    return (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds()


def _counted(name: str, found: Mapping[str, str]) -> bool:
    """Whether the limit that `name` belongs to is a real one, in either vendor's word order."""
    parts = name.split("-")
    for position, word in enumerate(parts):
        if word in ("limit", "remaining", "reset"):
            limit = "-".join([*parts[:position], "limit", *parts[position + 1 :]])
            ceiling, own = _number(found.get(limit)), _number(found[name])
            return (ceiling is None or ceiling > 0) and (own is None or own >= 0)
    return True
