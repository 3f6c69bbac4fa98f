"""Drawings of the Quality page: what is drawn is what was counted, inside its box."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.web import plots
from api.web.plots import BOTTOM, HEIGHT, LEFT, WIDTH, nice_top, series_of, span, stacked
from app.statistics.quality import Interval, Step

START = datetime(2026, 11, 1, tzinfo=UTC)


def moments(number: int) -> list[datetime]:
    return [START + timedelta(days=i) for i in range(number)]


@given(
    st.lists(
        st.fixed_dictionaries({"a": st.floats(0, 1e9), "b": st.integers(0, 10**9)}),
        min_size=1,
        max_size=60,
    )
)
def test_bars_stand_on_each_other_in_proportion_and_stay_in_the_box(
    points: list[dict[str, float]],
) -> None:
    drawn = stacked(moments(len(points)), series_of(points, "ab"), step=Step.DAY, words=str)
    room = HEIGHT - BOTTOM
    for bar in drawn.bars:
        assert LEFT <= bar.x <= bar.x + bar.width <= WIDTH + 1
        assert 0 <= bar.y <= room
    top = nice_top(max(sum(point.values()) for point in points))
    for bar in drawn.bars:
        if bar.height > 2:
            at = int((bar.x - LEFT) / ((WIDTH - LEFT) / len(points)) + 0.01)
            value = points[at]["ab"[bar.series]]
            assert bar.height == pytest.approx((room - 8) * value / top, abs=0.02)


def test_a_bar_says_what_it_stands_for_and_leads_there() -> None:
    series = series_of([{"failed": 3}, {}], ["failed"])
    drawn = stacked(
        moments(2),
        series,
        step=Step.DAY,
        words="{:.0f}".format,
        address=lambda at, one: f"/{one.name}/{at:%d}",
    )
    (bar,) = drawn.bars
    assert (bar.words, bar.address) == ("1 Nov: failed 3", "/failed/01")
    assert [tick.words for tick in drawn.labels] == ["1 Nov", "2 Nov"]


def test_nothing_is_drawn_of_nothing() -> None:
    assert stacked([], [], step=Step.HOUR, words=str).bars == ()
    assert stacked(moments(3), series_of([{}, {}, {}], "a"), step=Step.DAY, words=str).bars == ()
    assert plots.histogram([0, 0], ["0", "1"], what="jobs").bars == ()


@given(st.floats(1e-9, 1e15))
def test_an_axis_ends_at_a_round_number_that_holds_all(most: float) -> None:
    top = nice_top(most)
    assert most * 0.999 <= top <= most * 10.01
    assert float(f"{top:.0e}") == pytest.approx(top)


@pytest.mark.parametrize("most", [0, 5e-324, 1e-300])
def test_an_axis_of_next_to_nothing_ends_at_one(most: float) -> None:
    assert nice_top(most) == 1


def test_an_interval_lies_where_its_numbers_are() -> None:
    drawn = span(Interval(0.0, 1.0), 0.5)
    assert (drawn.low, drawn.middle, drawn.high, drawn.zero) == (4, 80, 156, None)
    signed = span(Interval(-1.0, 0.0), -0.5, signed=True)
    assert (signed.low, signed.middle, signed.high, signed.zero) == (4, 42, 80, 80)
    assert span(Interval(0, 1), None).middle is None
