"""The JSON handler: members become items, and only bare tokens are ever mended."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.prompts.hooks import AnswerUnreadable
from app.prompts.result_handlers.json_items import json_items, mend

scalars = st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
plain_texts = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20
)
values = st.recursive(
    scalars | plain_texts | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(plain_texts, inner, max_size=4),
    max_leaves=12,
)
telling = st.text(st.sampled_from('{}[]":,\\ \n1234567890.-NA/nulltrefas'), max_size=60)


def items(text: str) -> dict[str, Any]:
    return dict(json_items(text).items)


# --- what is read --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        '{"a": "x"}',
        'Here you are:\n```json\n{"a": "x"}\n```\nAnything else?',
        '  \n{"a": "x"}  ',
        'The answer [1]: {"a": "x"}. Done',
    ],
)
def test_the_object_is_cut_from_the_first_brace_to_the_last(text: str) -> None:
    assert items(text) == {"a": ["x"]}


def test_top_level_keys_become_items() -> None:
    found = items('{"company.name": "Foo & Co. KG", "invoice.total": 256.95, "n": 3, "ok": true}')

    assert found == {
        "company.name": ["Foo & Co. KG"],
        "invoice.total": [256.95],
        "n": [3],
        "ok": [True],
    }
    assert isinstance(found["ok"][0], bool)


def test_integers_stay_exact() -> None:
    assert items('{"id": 111121307000000000001}') == {"id": [111121307000000000001]}


def test_decimals_are_floats() -> None:
    (value,) = items('{"a": 16.00}')["a"]

    assert (value, type(value)) == (16.0, float)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2024-05-01", "2024-05-01"),
        ("2024-05-01Z", "2024-05-01"),
        ("2024-05-01+02:00", "2024-05-01"),
        ("2024-02-29-05:30", "2024-02-29"),
    ],
)
def test_an_iso_date_is_its_day(text: str, day: str) -> None:
    assert items(json.dumps({"a": text, "b": [text], "c": [{"d": text}]})) == {
        "a": [day],
        "b": [day],
        "c": [{"d": day}],
    }


@pytest.mark.parametrize(
    "text",
    [
        "2024-05-01T10:00:00Z",
        "2024-02-30",
        "2024-W01-1",
        "20240501",
        "1.5.2024",
        "2024-05-01+99:00",
    ],
)
def test_what_is_no_iso_date_stays_text(text: str) -> None:
    assert items(json.dumps({"a": text})) == {"a": [text]}


def test_an_array_of_scalars_is_many_values() -> None:
    assert items('{"cdtr.iban": ["DE87", "DE48", 3, 2.5, false]}') == {
        "cdtr.iban": ["DE87", "DE48", 3, 2.5, False]
    }


def test_an_empty_array_empties_the_item() -> None:
    assert json_items('{"a": []}').items == {"a": []}


def test_an_array_of_objects_is_a_list_of_maps() -> None:
    positions = [{"description": "NZ100", "quantity": 1}, {"description": "A9", "deep": {"x": []}}]

    assert items(json.dumps({"invoice.positions": positions})) == {"invoice.positions": positions}


def test_null_and_a_nested_object_are_ignored_with_a_warning() -> None:
    read = json_items('{"a": null, "b": {"c": 1}, "d": [1, null], "": 2, "e": 3}')

    assert read.items == {"d": [1], "e": [3]}
    assert read.warnings == (
        "Ignored, because null is no value: a, d",
        "Ignored, because an object within the object is no item: b",
        "Ignored, because it has no name: a member of the object",
    )


def test_many_ignored_members_are_one_sentence() -> None:
    (warning,) = json_items(json.dumps({f"name{n}": None for n in range(50_000)})).warnings

    assert warning.endswith("name9 and 49,990 more")


# --- what is mended ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bare", "number"),
    [
        ("4,100.00", 4100.0),
        ("4,100", 4100),
        ("-1,234,567", -1234567),
        ("1,234,567.5", 1234567.5),
        ("1.172,15", 1172.15),
        ("1.234.567", 1234567),
    ],
)
def test_a_bare_number_with_thousands_separators_is_a_number(bare: str, number: float) -> None:
    read = json_items(f'{{"total": {bare}, "other": 1}}')

    assert read.items == {"total": [number], "other": [1]}
    assert type(read.items["total"][0]) is type(number)
    assert read.warnings == ("Bare numbers with thousands separators, or N/A, were mended",)


def test_a_bare_n_a_is_null() -> None:
    read = json_items('{"a": N/A, "b": [1, n/a], "c": "N/A"}')

    assert read.items == {"b": [1], "c": ["N/A"]}
    assert "Ignored, because null is no value: a, b" in read.warnings


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"a":[1,2.5]}', {"a": [1, 2.5]}),
        ('{"a":[1,234.50]}', {"a": [1, 234.5]}),
        ('{"a":[1,234], "b": N/A}', {"a": [1, 234]}),
        ('{"d":"10,20.5"}', {"d": ["10,20.5"]}),
        ('{"d":"4,100.00", "e": N/A}', {"d": ["4,100.00"]}),
        (r'{"d":"a \" : 4,100.00 ", "e": N/A}', {"d": ['a " : 4,100.00 ']}),
    ],
)
def test_what_is_valid_is_never_mended(text: str, found: dict[str, Any]) -> None:
    assert items(text) == found


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("no object", "there is no { in it"),
        ("} {", "there is no } in it"),
        ("{", "there is no } in it"),
        ("", "there is no { in it"),
        ('{"a": 10,20.5}', "not valid JSON"),
        ('{"a": 1,23.50}', "not valid JSON"),
        ('{"a": 4,100.00 EUR}', "not valid JSON"),
        ("{'a': 1}", "not valid JSON"),
        ('{"a": NaN}', "NaN is not valid JSON"),
        ('{"a": 1e999}', "out of range"),
        ('{"a": 1} and {"b": 2}', "there is more after the value"),
        ('{"a": ' + "9" * 5_000 + "}", "not valid JSON"),
    ],
)
def test_what_stays_unreadable_is_asked_for_again(text: str, problem: str) -> None:
    with pytest.raises(AnswerUnreadable, match=problem):
        json_items(text)


@given(st.text() | telling | telling.map(lambda text: "{" + text + "}"))
def test_nothing_but_unreadable_is_ever_raised(text: str) -> None:
    with suppress(AnswerUnreadable):
        json_items(text)


@given(st.dictionaries(plain_texts, values, max_size=6), plain_texts.filter(lambda t: "{" not in t))
def test_a_strict_object_comes_through_unchanged_in_meaning(
    members: dict[str, Any], prose: str
) -> None:
    read = json_items(prose + json.dumps(members) + prose.replace("}", ""))

    assert {name: _spelt(value) for name, value in read.items.items()} == {
        name: _spelt([one for one in listed if one is not None])
        for name, value in members.items()
        if name.strip() and value is not None and not isinstance(value, dict)
        for listed in [value if isinstance(value, list) else [value]]
    }


def _spelt(value: Any) -> str:
    """As JSON: true is not 1, and 1 is not 1.0."""
    return json.dumps(value, sort_keys=True)


@given(plain_texts | telling, st.sampled_from(["N/A", "4,100.00", "1.172,15"]))
def test_mending_never_touches_text_inside_strings(text: str, bare: str) -> None:
    said = json.dumps(text + bare + text)
    broken = f'{{"a": {said}, {said}: "x", "b": {bare}}}'

    mended = mend(broken)

    assert mended.startswith(f'{{"a": {said}, {said}: "x", "b": ')
    assert json.loads(mended)["a"] == text + bare + text


@pytest.mark.parametrize(
    "text",
    [
        '{"' + '\\"' * 500_000 + "\\}",
        "{" + ":" * 1_000_000 + "}",
        "{:" + " " * 1_000_000 + "x}",
        "{:1" + ",234" * 250_000 + "x}",
        "{" + "N/A " * 250_000 + "}",
        "{" + '"' * 1_000_000 + "}",
        '{"a":' + "[" * 100_000 + "}",
        '{"a":' * 100_000 + "}",
        "{" * 1_000_000 + "}",
        '{"a":' + "1" * 1_000_000 + "}",
    ],
    ids=[
        "escapes", "colons", "spaces", "groups", "absent", "quotes", "lists", "objects", "braces",
        "digits",
    ],
)  # fmt: skip
def test_a_hostile_text_costs_no_more_than_its_length(text: str) -> None:
    began = time.monotonic()
    with pytest.raises(AnswerUnreadable):
        json_items(text)

    mend(text)
    assert time.monotonic() - began < 10
