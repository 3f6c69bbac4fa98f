"""A difference applied to the one gives the other, whatever the two are."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import diffs
from app.diffs import MOST_CHANGES, MOST_PARTS, Kind

WORDS = st.lists(
    st.sampled_from(["red", "green ", "blue\n", ", ", "é", "  ", "\u2028"]), max_size=30
)
TEXTS = st.one_of(WORDS.map("".join), st.text(max_size=60))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([1.0, 0.5, "", "a", "b"]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=4)
    ),
    max_leaves=15,
)


@given(TEXTS, TEXTS)
def test_a_text_difference_holds_both_texts(before: str, after: str) -> None:
    found = diffs.of_texts(before, after)
    assert (found.before, found.after) == (before, after)
    assert found.differs == (before != after)


@given(VALUES, VALUES)
def test_applied_changes_give_the_other_value(before: Any, after: Any) -> None:
    found = diffs.of_values(before, after)
    made = diffs.applied(before, found.changes)
    assert made == after
    assert not diffs.of_values(made, after).differs


@given(VALUES)
def test_equal_values_do_not_differ(value: Any) -> None:
    assert not diffs.of_values(value, value).differs


def test_a_changed_word_is_one_piece() -> None:
    found = diffs.of_texts("Explain bees to a child", "Explain ants to a child")
    assert [(p.kind, p.text) for p in found.pieces] == [
        (Kind.SAME, "Explain "),
        (Kind.GONE, "bees "),
        (Kind.NEW, "ants "),
        (Kind.SAME, "to a child"),
    ]


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ({"a": 1}, {"a": 2}, [("a", "changed", 1, 2)]),
        ({"a": 1}, {"a": True}, [("a", "changed", 1, True)]),
        ({"a": {"b": [1, 2]}}, {"a": {"b": [1]}}, [("a.b[1]", "gone", 2, None)]),
        ({}, {"x": None}, [("x", "new", None, None)]),
        ([1], {"a": 1}, [("", "changed", [1], {"a": 1})]),
    ],
)
def test_places_are_named(before: Any, after: Any, told: list[Any]) -> None:
    found = diffs.of_values(before, after)
    assert [(c.place, c.kind, c.before, c.after) for c in found.changes] == told


def test_very_many_changes_are_cut_and_say_so() -> None:
    found = diffs.of_values(list(range(MOST_CHANGES + 1)), [None] * (MOST_CHANGES + 1))
    assert found.cut
    assert len(found.changes) == MOST_CHANGES


def test_a_value_nested_beyond_reason_is_compared() -> None:
    deep: Any = 1
    other: Any = 2
    for _ in range(5_000):
        deep, other = [deep], [other]
    assert diffs.of_values(deep, other).differs


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a b " * MOST_PARTS, "b a " * MOST_PARTS),
        ("a b " * (MOST_PARTS // 2 - 1), "b c a " * (MOST_PARTS // 3 - 1)),
        ("word " * MOST_PARTS, ""),
        ("x" * 1_000_000, "y" * 1_000_000),
        ("line\n" * MOST_PARTS + "end", "other\n" * 2 * MOST_PARTS),
    ],
)
def test_texts_of_any_size_take_moments(before: str, after: str) -> None:
    begun = time.perf_counter()
    found = diffs.of_texts(before, after)
    assert time.perf_counter() - begun < 3
    assert (found.before, found.after) == (before, after)
