"""A row of numbers as a small drawing (SVG, made here), with its words. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH = 240
HEIGHT = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Sparkline:
    """`bars` is the path of one bar for each number, in a box of `width` by `height`; `words` says
    what it shows."""

    bars: str
    words: str
    total: int
    most: int
    width: int = WIDTH
    height: int = HEIGHT


def per_minute(counts: Sequence[int], what: str) -> Sparkline:
    """Bars of counts by minute, the oldest first. `what` names what is counted."""
    total, most = sum(counts), max(counts, default=0)
    words = f"No {what} in the last {len(counts)} minutes"
    if total:
        last = sum(counts[-5:])
        words = (
            f"{total:,} {what} in the last {len(counts)} minutes, at most {most:,} a minute,"
            f" {last:,} in the last five"
        )
    return Sparkline(bars=_bars(counts, most), words=words, total=total, most=most)


def by_five(counts: Sequence[int]) -> list[int]:
    """The same counts, five minutes together."""
    return [sum(counts[start : start + 5]) for start in range(0, len(counts), 5)]


def _bars(counts: Sequence[int], most: int) -> str:
    if not most:
        return ""
    step = WIDTH / len(counts)
    parts = []
    for number, count in enumerate(counts):
        if count:
            tall = max(2.0, HEIGHT * count / most)
            left = number * step
            parts.append(f"M{left:.1f} {HEIGHT}v-{tall:.1f}h{step - 1:.1f}v{tall:.1f}z")
    return "".join(parts)
