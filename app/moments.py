"""Moments as people and clients read them: ISO 8601 in UTC, with `Z`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def iso(moment: datetime | None) -> str | None:
    """`2026-01-31T09:05:00.123Z`; None stays None."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def iso_seconds(moment: datetime) -> str:
    """`2026-01-31T09:05:00Z`, for moments of whole seconds."""
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def next_whole_second(moment: datetime) -> datetime:
    """The first whole second after a moment."""
    return moment.astimezone(UTC).replace(microsecond=0) + timedelta(seconds=1)
