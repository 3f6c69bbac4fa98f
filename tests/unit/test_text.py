"""Text that is cleaned can be stored; text that was clean is left alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.text import clean_text, deep_clean

ANY_TEXT = st.text(st.characters(), max_size=40)
"""Every code point, NUL and surrogates included."""

STORABLE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))


@pytest.mark.parametrize(
    ("dirty", "clean"),
    [
        ("", ""),
        ("plain", "plain"),
        ("grüße 🎉", "grüße 🎉"),
        ("a\x00b", "a\ufffdb"),
        ("\x00\x00", "\ufffd\ufffd"),
        ("\ud800", "\ufffd"),
        ("x\udfff", "x\ufffd"),
        ("a\udc00\ud800b", "a\ufffd\ufffdb"),
        ("\ud83d" + "\ude00", "😀"),
        ("\ud83d\ud83d\ude00", "\ufffd😀"),
        ("tab\tnew\nline\r\x1b\x7f\ufeff", "tab\tnew\nline\r\x1b\x7f\ufeff"),
    ],
)
def test_nul_and_lone_surrogates_become_replacement_characters(dirty: str, clean: str) -> None:
    assert clean_text(dirty) == clean


def test_two_halves_of_a_character_sent_apart_are_joined() -> None:
    pieces = [json.loads('"\\ud83d"'), json.loads('"\\ude00"')]

    assert clean_text("".join(pieces)) == "😀"


@given(ANY_TEXT)
def test_cleaned_text_can_always_be_stored(text: str) -> None:
    clean = clean_text(text)

    assert "\x00" not in clean
    assert clean.encode("utf-8").decode("utf-8") == clean
    assert clean_text(clean) == clean


@given(STORABLE)
def test_storable_text_is_left_as_it_is(text: str) -> None:
    assert clean_text(text) == text


def test_keys_and_values_are_cleaned_at_every_depth() -> None:
    dirty = {"a\x00": [{"b": "\ud800"}, ("x\x00", 1)], "n": None, "t": True, "f": 1.5}

    assert deep_clean(dirty) == {
        "a\ufffd": [{"b": "\ufffd"}, ["x\ufffd", 1]],
        "n": None,
        "t": True,
        "f": 1.5,
    }


@pytest.mark.parametrize("value", ["a\x00", 7, 1.5, True, None])
def test_a_single_value_is_cleaned_too(value: Any) -> None:
    assert deep_clean(value) == (clean_text(value) if isinstance(value, str) else value)


def test_the_value_given_is_not_changed() -> None:
    given_value = {"a": ["\x00", {"b\x00": 1}]}

    deep_clean(given_value)

    assert given_value == {"a": ["\x00", {"b\x00": 1}]}


def test_depth_is_no_limit() -> None:
    deep: Any = "\x00"
    for _ in range(100_000):
        deep = [deep]

    clean = deep_clean(deep)

    for _ in range(100_000):
        (clean,) = clean
    assert clean == "\ufffd"


JSON_LIKE = st.recursive(
    st.none() | st.booleans() | st.integers() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=20,
)


@given(JSON_LIKE)
def test_a_cleaned_value_survives_utf8_json(value: Any) -> None:
    clean = deep_clean(value)
    stored = json.dumps(clean, ensure_ascii=False).encode("utf-8")

    assert json.loads(stored) == clean
    assert deep_clean(clean) == clean
