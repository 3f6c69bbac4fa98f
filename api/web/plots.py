"""Geometry of the Quality page's drawings: stacked bars over time, histograms, intervals. Pure.

Drawings are SVG written by templates from these values, so they need no script; each has words and
a table beside it. Lines with several readings are the script's (`quality.js`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.statistics.quality import Interval, Step

WIDTH = 720
HEIGHT = 180
LEFT = 56
"""Room for the words of the vertical axis."""

BOTTOM = 22
LABELS = 8
_NICE = {1: 5, 2: 4, 4: 4, 5: 5, 6: 3, 8: 4, 10: 5}
"""First digits of an axis' end, and into how many round parts each is divided."""
_NOTHING = 1e-15
"""What is less is drawn as nothing: no count, second or cost comes near it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One rectangle. `series` is its colour's number; `words` what it stands for."""

    x: float
    y: float
    width: float
    height: float
    series: int
    words: str
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A place on an axis and what stands there."""

    at: float
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """A drawing in a box of WIDTH by HEIGHT: bars, the lines behind them, the words around."""

    bars: tuple[Bar, ...]
    lines: tuple[Tick, ...]
    labels: tuple[Tick, ...]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One colour of a plot: its number, its name, its values by point."""

    number: int
    name: str
    values: tuple[float, ...]

    @property
    def total(self) -> float:
        return sum(self.values)


def series_of(points: Sequence[Mapping[str, float]], names: Sequence[str]) -> list[Series]:
    """One series for each name, from what each point holds of it."""
    return [
        Series(number=n, name=name, values=tuple(float(point.get(name, 0)) for point in points))
        for n, name in enumerate(names)
    ]


def stacked(
    moments: Sequence[datetime],
    series: Sequence[Series],
    *,
    step: Step,
    words: Callable[[float], str],
    address: Callable[[datetime, Series], str] = lambda _at, _series: "",
) -> Plot:
    """Bars over time, the series upon each other. `words` writes a value."""
    sums = [sum(one.values[i] for one in series) for i in range(len(moments))]
    most = max(sums, default=0)
    top = nice_top(most)
    slot = (WIDTH - LEFT) / max(1, len(moments))
    bars: list[Bar] = []
    for i, at in enumerate(moments):
        base = 0.0
        for one in series:
            value = one.values[i]
            if value <= 0:
                continue
            tall = _tall(value, top)
            bars.append(
                Bar(
                    x=round(LEFT + i * slot + min(1.0, slot / 8), 2),
                    y=round(HEIGHT - BOTTOM - base - tall, 2),
                    width=round(max(0.8, slot - min(2.0, slot / 4)), 2),
                    height=round(max(0.8, tall), 2),
                    series=one.number,
                    words=f"{moment_words(at, step)}: {one.name} {words(value)}",
                    address=address(at, one),
                )
            )
            base += tall
    return Plot(bars=tuple(bars), lines=_lines(most, words), labels=_time_labels(moments, step))


def histogram(counts: Sequence[int], names: Sequence[str], *, what: str) -> Plot:
    """A bar for each count, its name below."""
    most = max(counts, default=0)
    top = nice_top(most)
    slot = (WIDTH - LEFT) / max(1, len(counts))
    bars = [
        Bar(
            x=round(LEFT + i * slot + slot * 0.1, 2),
            y=round(HEIGHT - BOTTOM - _tall(count, top), 2),
            width=round(slot * 0.8, 2),
            height=round(max(0.8, _tall(count, top)), 2),
            series=0,
            words=f"{count:,} {what} {name}",
        )
        for i, (count, name) in enumerate(zip(counts, names, strict=True))
        if count
    ]
    labels = [Tick(at=round(LEFT + (i + 0.5) * slot, 2), words=n) for i, n in enumerate(names)]
    return Plot(bars=tuple(bars), lines=_lines(most, "{:,.0f}".format), labels=tuple(labels))


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """An interval drawn on a line of 0 … 1 (or -1 … 1): where it begins, ends, and its middle."""

    low: float
    high: float
    middle: float | None
    zero: float | None = None
    width: int = 160


def span(interval: Interval, middle: float | None, *, signed: bool = False) -> Span:
    """Where to draw an interval of a share; of a difference, `signed`, with its zero."""

    def place(value: float) -> float:
        share = (value + 1) / 2 if signed else value
        return round(4 + 152 * min(1.0, max(0.0, share)), 1)

    return Span(
        low=place(interval.low),
        high=place(interval.high),
        middle=None if middle is None else place(middle),
        zero=place(0.0) if signed else None,
    )


def nice_top(most: float) -> float:
    """The end of an axis that holds `most`: a round number."""
    return _axis(most)[0]


def _axis(most: float) -> tuple[float, int]:
    """A round number that holds `most`, and into how many parts it is divided."""
    if most < _NOTHING:
        return 1.0, 1
    power = 10.0 ** math.floor(math.log10(most))
    digit = next(digit for digit in _NICE if digit * power >= most * 0.999)
    return digit * power, _NICE[digit]


def moment_words(at: datetime, step: Step) -> str:
    """`21 Nov`, or `21 Nov 14:00`; UTC."""
    return f"{at:%-d %b}" if step == Step.DAY else f"{at:%-d %b %H:00}"


def width_of(step: Step) -> timedelta:
    """How long a point is."""
    return timedelta(days=1) if step == Step.DAY else timedelta(hours=1)


def _tall(value: float, top: float) -> float:
    return (HEIGHT - BOTTOM - 8) * value / top


def _lines(most: float, words: Callable[[float], str]) -> tuple[Tick, ...]:
    top, parts = _axis(most)
    if words(top / parts) == words(0):  # counts have no halves
        parts = max(1, int(top))
    values = [top * i / parts for i in range(parts + 1)]
    return tuple(Tick(at=round(HEIGHT - BOTTOM - _tall(v, top), 2), words=words(v)) for v in values)


def _time_labels(moments: Sequence[datetime], step: Step) -> tuple[Tick, ...]:
    every = max(1, math.ceil(len(moments) / LABELS))
    slot = (WIDTH - LEFT) / max(1, len(moments))
    return tuple(
        Tick(at=round(LEFT + (i + 0.5) * slot, 2), words=moment_words(moments[i], step))
        for i in range(0, len(moments), every)
    )
