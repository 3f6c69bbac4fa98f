"""Every error code has a sentence that says what happened, and one that says what to do."""

from __future__ import annotations

from typing import Any

import pytest

from app.errors import LLMJobsError
from app.jobs.sentences import EXPLANATIONS, Explanation, about, duration, explain
from docs.writers.errors import ROW_CODES, _tree

CODES = {error.code for error in _tree(LLMJobsError)} | set(ROW_CODES) | {"internal"}


def attempts(*times: tuple[str, str | None]) -> list[dict[str, Any]]:
    day = "2026-01-31T"
    return [
        {"started_at": f"{day}{begin}Z", "finished_at": end and f"{day}{end}Z"}
        for begin, end in times
    ]


def test_every_code_has_its_own_words_and_no_word_is_left_over() -> None:
    assert set(EXPLANATIONS) == CODES
    told = [words.happened for words in EXPLANATIONS.values()]
    assert len(set(told)) == len(told)


@pytest.mark.parametrize("code", sorted(CODES))
def test_words_are_whole_sentences(code: str) -> None:
    words = about(code)
    for sentence in (words.happened, words.do):
        assert sentence[0].isupper() or sentence[0] == "{"
        assert sentence.endswith((".", "}}."))
        assert code not in sentence or "_" not in code


def test_what_happened_ends_with_how_often_and_how_long_it_was_tried() -> None:
    row = {
        "error_code": "rate_limited",
        "attempts": attempts(*[("09:00:00", "09:00:01")] * 5, ("09:03:58", "09:04:02")),
    }
    assert explain(row) == Explanation(
        "The provider said slow down; 6 attempts over 4 min.", about("rate_limited").do
    )


@pytest.mark.parametrize(("made", "ending"), [
    ([], "in time."),
    ([("09:00:00", "09:05:00")], "in time."),
    ([("09:00:00", "09:00:00.2"), ("09:00:00.3", "09:00:00.4")], "in time; 2 attempts."),
    ([("09:00:00", "09:00:20"), ("09:00:30", None)], "in time; 2 attempts."),
    ([("09:00:00", "09:00:20"), ("09:00:30", "09:00:45")], "in time; 2 attempts over 45 s."),
])  # fmt: skip
def test_effort_is_told_only_where_it_says_something(made: Any, ending: str) -> None:
    told = explain({"error_code": "timeout", "attempts": attempts(*made)})
    assert told is not None
    assert told.happened.endswith(ending)


def test_a_row_without_an_error_needs_no_words() -> None:
    assert explain({"error_code": None, "attempts": []}) is None
    assert explain({}) is None


def test_a_code_of_tomorrow_is_told_as_it_is() -> None:
    assert about("gone_fishing").happened == "It ended with the error gone_fishing."


@pytest.mark.parametrize(("seconds", "told"), [
    (0.2, "0 s"), (45, "45 s"), (60, "1 min"), (89, "89 s"), (90, "2 min"), (240, "4 min"),
    (5399, "90 min"), (5400, "2 h"), (3600, "1 h"), (200_000, "2 d"),
])  # fmt: skip
def test_durations_are_told_in_one_unit(seconds: float, told: str) -> None:
    assert duration(seconds) == told
