"""Small drawings of numbers, and their words."""

from __future__ import annotations

from api.web.sparkline import HEIGHT, by_five, per_minute


def test_the_words_say_what_the_bars_show() -> None:
    line = per_minute([0] * 50 + [3] * 5 + [1] * 5, "jobs completed")
    assert line.words == (
        "20 jobs completed in the last 60 minutes, at most 3 a minute, 5 in the last five"
    )
    assert line.bars.count("M") == 10
    assert f"v-{HEIGHT:.1f}h" in line.bars


def test_nothing_draws_nothing_and_says_so() -> None:
    line = per_minute([0] * 60, "jobs completed")
    assert (line.bars, line.total) == ("", 0)
    assert line.words == "No jobs completed in the last 60 minutes"


def test_a_single_job_among_many_can_still_be_seen() -> None:
    assert "v-2.0h" in per_minute([1, 10_000], "jobs completed").bars


def test_five_minutes_together_lose_none() -> None:
    assert by_five(range(12)) == [10, 35, 21]
