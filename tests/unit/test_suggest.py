"""What a form may suggest while somebody types."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.prompts.definition import Suggest
from app.prompts.suggest import LONGEST_HIT, MOST_HITS, suggest_items, suggestions


def test_suggest_items_are_names_and_a_mode() -> None:
    assert suggest_items(Suggest(("invoice.number", "cdtr.name"), "ON")) == {
        "ai.suggest.items": ["invoice.number", "cdtr.name"],
        "ai.suggest.mode": ["ON"],
    }
    assert suggest_items(Suggest(())) == {"ai.suggest.items": [], "ai.suggest.mode": ["OFF"]}


def test_a_hit_is_extended_word_by_word() -> None:
    assert suggestions("The Catalog of goods", "cat") == [
        "Catalog",
        "Catalog of",
        "Catalog of goods",
    ]


@pytest.mark.parametrize(
    "stop",
    ["  ", ", ", ". ", "\n", "\r\n", ".\n", ",\n", "."],
    ids=["spaces", "comma", "full stop", "line", "CRLF", "full stop, line", "comma, line", "end"],
)
def test_a_hit_ends_at_a_stop(stop: str) -> None:
    after = "" if stop == "." else "and more"

    assert suggestions(f"at Foo Bar{stop}{after}", "foo") == ["Foo", "Foo Bar"]


@pytest.mark.parametrize("text", ["Total 1,172.15 EUR", "Total 3.4,5 EUR"])
def test_a_mark_inside_a_word_is_no_stop(text: str) -> None:
    assert suggestions(text, "total")[-1] == text


@pytest.mark.parametrize("query", ["foo", "FOO", "Foo", " foo "])
def test_case_and_surrounding_spaces_do_not_matter(query: str) -> None:
    assert suggestions("a Foo\nfOO", query) == ["Foo", "fOO"]


@pytest.mark.parametrize(
    ("text", "query", "hit"),
    [
        ("İİ Straße", "STRA", "Straße"),
        ("İstanbul", "ist", "İstanbul"),
        ("ΟΔΟΣ 5", "οδοσ 5", "ΟΔΟΣ 5"),
        ("日本語 東京", "日本", "日本語"),
    ],
)
def test_every_script_is_found_in_its_place(text: str, query: str, hit: str) -> None:
    assert hit in suggestions(text, query)


@pytest.mark.parametrize("query", ["", "f", " f ", "x" * (LONGEST_HIT + 1)])
def test_nothing_is_found_for_too_few_or_too_many_characters(query: str) -> None:
    assert suggestions("f foo " + "x" * 200, query) == []


def test_a_hit_is_at_most_64_characters() -> None:
    words = "ab" + " cdefg" * 40

    assert suggestions(words, "ab")[-1] == "ab" + " cdefg" * 10
    assert suggestions("ab" + "c" * 100, "ab") == ["ab" + "c" * 62]


def test_a_word_is_not_cut_where_it_meets_the_limit() -> None:
    assert suggestions("ab " + "x" * 61 + ".5 EUR", "ab") == ["ab"]


def test_there_are_at_most_12_hits() -> None:
    text = "\n".join(f"item{number}" for number in range(100))

    assert suggestions(text, "item") == [f"item{number}" for number in range(MOST_HITS)]


def test_hits_that_end_in_punctuation_are_dropped() -> None:
    assert suggestions("Software & Hardware", "soft") == ["Software", "Software & Hardware"]
    assert suggestions("Total: 5 €", "total") == ["Total: 5"]


def test_no_hit_comes_twice() -> None:
    assert suggestions("Foo, Foo, Foo\nFoo", "foo") == ["Foo"]


@given(
    st.text(st.sampled_from("ab .,\n-İß"), max_size=200),
    st.text(st.sampled_from("ab. "), max_size=4),
)
def test_every_hit_begins_with_the_query_and_stands_in_the_text(text: str, query: str) -> None:
    hits = suggestions(text, query)

    assert len(hits) == len(set(hits)) <= MOST_HITS
    for hit in hits:
        assert hit in text
        assert hit.lower().startswith(query.strip())
        assert 2 <= len(hit) <= LONGEST_HIT
        assert "\n" not in hit


FOUR_MB = 4_000_000


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("a" * FOUR_MB, "aa"),
        ("a" * FOUR_MB, "a" * 63 + "b"),
        ("ab,\n" * (FOUR_MB // 4), "ab"),
        ("ab& " * (FOUR_MB // 4), "ab"),
        ("..\n" * (FOUR_MB // 3), ".."),
        (" " * FOUR_MB, "ab"),
    ],
    ids=["one word", "nearly", "stops", "punctuation", "dots", "spaces"],
)
def test_four_megabytes_cost_no_more_than_their_length(text: str, query: str) -> None:
    began = time.monotonic()

    suggestions(text, query)

    assert time.monotonic() - began < 10
