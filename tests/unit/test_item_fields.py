"""Items as fields of a form: what people read and type stands for the values it was made of."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.datastructures import MultiDict

from api.web import item_fields
from api.web.item_fields import Notation, Typed, current, opened, read, typed, written

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    # A browser writes line ends in its own way, and says nothing of what cannot be in a form.
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\x00")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
TURN = {"chat.role": "assistant", "chat.message": "Hello"}


def row(items: Any = None, *, review: Any = None) -> dict[str, Any]:
    return {"result_items": items, "review": {"items": review} if review is not None else None}


def sent(row: dict[str, Any], **typed_texts: tuple[str, str]) -> Typed:
    """The form as it opened, with these fields (text, notation) typed over."""
    fields = opened(row)
    form = {"names": json.dumps([one.name for one in fields])}
    for number, one in enumerate(fields):
        text, notation = typed_texts.get(one.name, (one.text, one.notation))
        form |= {f"value:{number}": text.replace("\n", "\r\n"), f"as:{number}": notation}
    return typed(MultiDict(form), row)


@given(st.lists(VALUES, max_size=4))
def test_what_is_written_reads_as_the_same_values(values: list[Any]) -> None:
    text, notation = written(values)
    again = read(text, notation)
    assert (again, [type(value) for value in again]) == (values, [type(value) for value in values])


@given(st.dictionaries(st.text(min_size=1), st.lists(VALUES, min_size=1, max_size=3), max_size=3))
def test_a_form_left_as_it_opened_changes_nothing(items: dict[str, list[Any]]) -> None:
    found = sent(row(items))
    assert found.is_readable
    assert found.items == items


@pytest.mark.parametrize(
    ("values", "text", "notation"),
    [
        (["a", "b"], "a\nb", Notation.LINES),
        (["1234.00"], "1234.00", Notation.LINES),
        (["one\n\ntwo"], "one\n\ntwo", Notation.TEXT),
        (["one\ntwo", "three"], '"one\\ntwo"\n"three"', Notation.JSON),
        ([4100.0, True], "4100.0\ntrue", Notation.JSON),
        ([{"a": "ü"}], '{"a": "ü"}', Notation.JSON),
        ([" a "], '" a "', Notation.JSON),
        ([], "", Notation.LINES),
    ],
)
def test_values_are_written_as_people_would(
    values: list[Any], text: str, notation: Notation
) -> None:
    assert written(values) == (text, notation)


def test_blank_lines_are_no_values_and_an_emptied_field_takes_its_item_away() -> None:
    now = row({"tags": ["a"], "total": [1], "kept": ["x"]})
    found = sent(now, tags=("b\n\n c ", "lines"), total=(" ", "json"))
    assert found.items == {"tags": ["b", "c"], "kept": ["x"]}


@pytest.mark.parametrize("line", ["nonsense", "NaN", "1e999", "[" * 5000, "9" * 5000])
def test_what_is_no_json_is_said_with_its_line(line: str) -> None:
    found = sent(row({"total": [1]}), total=(f"2\n{line}", "json"))
    assert not found.is_readable
    assert "Line 2" in found.fields[0].error
    assert found.fields[0].text == f"2\n{line}"


def test_a_conversation_and_what_a_form_suggests_are_no_fields_and_stay() -> None:
    items = {
        "ai.assistant.context": [TURN],
        "ai.suggest.items": ["city"],
        "ai.suggest.mode": ["ON"],
        "total": [1],
    }
    now = row(items)
    assert [(one.name, one.suggests) for one in opened(now)] == [("total", False), ("city", True)]
    assert sent(now, city=("Bern", "lines")).items == {**items, "city": ["Bern"]}
    assert list(item_fields.conversations(current(now))) == ["ai.assistant.context"]


def test_nothing_is_suggested_while_the_mode_is_off() -> None:
    items = {"ai.suggest.items": ["city"], "ai.suggest.mode": ["OFF"]}
    assert [(one.name, one.suggests) for one in opened(row(items))] == [("city", False)]


def test_what_people_left_stands_beside_what_the_model_said() -> None:
    now = row({"total": [1], "gone": ["x"]}, review={"total": [2], "new": ["y"]})
    shown = {one.name: (one.said, one.text, one.changed) for one in opened(now)}
    assert shown == {"total": ("1", "2", True), "gone": ("x", "", True), "new": (None, "y", True)}


@pytest.mark.parametrize(
    ("name", "value", "notation", "fault"),
    [
        ("", "x", "lines", "name"),
        ("total", "x", "lines", "already"),
        ("more", " ", "lines", "value"),
        ("more", "{", "json", "Line 1"),
    ],
)
def test_a_new_item_needs_a_name_of_its_own_and_a_value(
    name: str, value: str, notation: str, fault: str
) -> None:
    form = {"names": '["total"]', "value:0": "1", "as:0": "json"}
    form |= {"new_name": name, "value:new": value, "as:new": notation}
    found = typed(MultiDict(form), row({"total": [1]}))
    assert fault in found.new.error
    assert not found.is_readable


@pytest.mark.parametrize("names", ["", "{", "7", "[1, null]", "[" * 5000])
def test_a_form_that_names_no_items_leaves_them(names: str) -> None:
    found = typed(MultiDict({"names": names, "value:0": "x"}), row({"total": [1]}))
    assert (found.items, found.is_readable) == ({"total": [1]}, True)
