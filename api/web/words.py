"""Facts in words: how pages write moments, durations, money and counts. Pure; no HTML but `<time>`.

A moment is written in UTC here and in the reader's zone by the page's script.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from markupsafe import Markup, escape

from app.moments import iso

MISSING = "–"

_STEPS = ((86_400 * 365, "y"), (86_400 * 30, "mo"), (86_400, "d"), (3600, "h"), (60, "min"))


def moment(value: datetime | str | None, *, now: datetime | None = None) -> Markup:
    """`<time>` with the moment in machine form, how long ago in words, and UTC on hover."""
    found = _parsed(value)
    if found is None:
        return escape(MISSING)
    return Markup('<time datetime="{}" title="{}" data-moment="relative">{}</time>').format(
        iso(found), f"{found:%Y-%m-%d %H:%M:%S} UTC", ago(found, now=now)
    )


def clock(value: datetime | str | None) -> Markup:
    """`<time>` with the moment itself as text."""
    found = _parsed(value)
    if found is None:
        return escape(MISSING)
    text = f"{found:%Y-%m-%d %H:%M:%S} UTC"
    return Markup('<time datetime="{}" title="{}" data-moment="absolute">{}</time>').format(
        iso(found), text, text
    )


def ago(value: datetime, *, now: datetime | None = None) -> str:
    """`12 s ago`, `in 3 min`, `now`."""
    seconds = ((now or datetime.now(UTC)) - value).total_seconds()
    if abs(seconds) < 1:
        return "now"
    return f"{_rough(abs(seconds))} ago" if seconds > 0 else f"in {_rough(abs(seconds))}"


def duration(seconds: float | None) -> str:
    """`0.42 s`, `12 s`, `3 min 5 s`, `2 h 10 min`."""
    if seconds is None:
        return MISSING
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    whole = round(seconds)
    if whole < 3600:
        return _two(whole // 60, "min", whole % 60, "s")
    if whole < 86_400:
        return _two(whole // 3600, "h", whole % 3600 // 60, "min")
    return _two(whole // 86_400, "d", whole % 86_400 // 3600, "h")


def dollars(amount: float | Decimal | None) -> str:
    """`$0.0042`: four significant places below a cent's size, two above a dollar."""
    if amount is None:
        return MISSING
    value = Decimal(str(amount))
    if value == 0:
        return "$0"
    if abs(value) >= 1:
        return f"${value:,.2f}"
    places = 4 if abs(value) >= Decimal("0.01") else 6
    return f"${value:.{places}f}"


def count(number: float | None) -> str:
    """`12,345`."""
    return MISSING if number is None else f"{number:,.0f}"


def percent(share: float | None, places: int = 0) -> str:
    """`0.934` is `93 %`."""
    return MISSING if share is None else f"{share * 100:.{places}f} %"


def size(number: float | None) -> str:
    """Bytes: `512 B`, `1.2 MB`."""
    if number is None:
        return MISSING
    for unit in ("B", "kB", "MB", "GB"):
        if abs(number) < 1000 or unit == "GB":
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    raise AssertionError("unreachable")


def shortened(text: Any, length: int = 80) -> str:
    """The first line or so of a text, for lists."""
    line = " ".join(str(text if text is not None else "").split())
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"


FILTERS: dict[str, Callable[..., Any]] = {
    "moment": moment,
    "clock": clock,
    "duration": duration,
    "dollars": dollars,
    "count": count,
    "percent": percent,
    "size": size,
    "shortened": shortened,
}


def _parsed(value: datetime | str | None) -> datetime | None:
    if isinstance(value, str):
        return datetime.fromisoformat(value)
    return value


def _rough(seconds: float) -> str:
    for step, unit in _STEPS:
        if seconds >= step:
            return f"{seconds / step:.0f} {unit}"
    return f"{seconds:.0f} s"


def _two(large: int, unit: str, small: int, smaller: str) -> str:
    return f"{large} {unit} {small} {smaller}" if small else f"{large} {unit}"
