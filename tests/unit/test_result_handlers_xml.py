"""The XML handler: elements become items, text needs no escapes, and nothing hostile gets in."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.prompts.hooks import AnswerUnreadable, ResultItems
from app.prompts.result_handlers.xml_items import xml_items
from app.prompts.result_handlers.xml_text import MAX_CHARACTERS, MAX_DEPTH


def items(text: str) -> dict[str, Any]:
    return dict(xml_items(text).items)


# --- what is read --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "<r><a>x</a></r>",
        '<?xml version="1.0"?>\n<r><a>x</a></r>',
        "Sure, 1 < 2!\n```xml\n<r>\n  <a> x\n</a>\n</r>\n```\nIs a -> b > c?",
        "<r><!-- <b> --><a>x</a><?php <c> ?></r>",
        "<r ><a type = 'text' lang=de>x</a ></r >",
    ],
)
def test_xml_is_cut_from_the_first_opening_tag_to_the_last_closing_one(text: str) -> None:
    assert xml_items(text) == ResultItems({"a": ["x"]})


@pytest.mark.parametrize(
    "text", ["", "No XML here: 1 < 2 > 0", "<result/>", "Ann <ann@example.test>", "</r> <r>", "<r>"]
)
def test_no_xml_is_no_items(text: str) -> None:
    assert xml_items(text) == ResultItems()


def test_the_name_of_the_root_is_ignored() -> None:
    assert items("<invoice><n>1</n></invoice>") == items("<result><n>1</n></result>")


def test_a_root_without_elements_gives_no_items_and_says_so() -> None:
    assert xml_items("<answer>yes</answer>") == ResultItems(
        {}, ("There is no element in answer: no items",)
    )


@pytest.mark.parametrize(
    "text",
    ["GmbH & Co. KG", "AB -> 1234", "a < b", "1<2", "<- x", "Ann <ann@example.test>", "&nbsp; &x;"],
)
def test_text_that_looks_like_markup_survives(text: str) -> None:
    assert items(f"<r><cdtr.name>{text}</cdtr.name></r>") == {"cdtr.name": [text]}


def test_text_is_trimmed_and_references_are_the_characters_they_mean() -> None:
    assert items("<r><a>\n &lt;b&gt; A &amp; B &#8364;&#x20AC;&quot; </a></r>") == {
        "a": ['<b> A & B €€"']
    }


def test_cdata_is_text_as_it_is() -> None:
    assert items("<r><a><![CDATA[<b>&amp;</b> <!DOCTYPE x>]]></a></r>") == {
        "a": ["<b>&amp;</b> <!DOCTYPE x>"]
    }


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("1,172.15", 1172.15),
        ("1.172,15", 1172.15),
        ("1090,00", 1090.0),
        ("1 234,50", 1234.5),
        ("1\u202f234,50", 1234.5),
        ("1,234", 1.234),
        ("1,234,567", 1234567.0),
        ("1.234.567,89", 1234567.89),
        ("1,00,000.50", 100000.5),
        (" 16.00 ", 16.0),
        ("-5", -5.0),
        ("1e3", 1000.0),
    ],
)
def test_a_double_is_read_in_every_notation(written: str, number: float) -> None:
    (value,) = items(f'<r><total type="double">{written}</total></r>')["total"]

    assert (value, type(value)) == (number, float)


def test_untyped_digits_stay_text() -> None:
    assert items("<r><invoice.total>1234.00</invoice.total></r>") == {"invoice.total": ["1234.00"]}


def test_a_type_is_told_in_any_case_and_with_any_quotes() -> None:
    text = "<r><a TYPE='Double'>1</a><b type=double>2</b></r>"

    assert items(text) == {"a": [1.0], "b": [2.0]}


@pytest.mark.parametrize("written", ["n/a", "", "12 EUR", "1.2,3,4", "NaN", "1e999"])
def test_an_unparseable_double_is_omitted_with_a_warning(written: str) -> None:
    read = xml_items(f'<r><total type="double">{written}</total><b>x</b></r>')

    assert read.items == {"b": ["x"]}
    assert read.warnings == ("Left out, because the value is not of the type it has: total",)


@pytest.mark.parametrize(
    "element", ["<d>2024-05-01</d>", '<d type="date"> 2024-05-01+02:00 </d>', "<d>2024-05-01Z</d>"]
)
def test_a_date_is_its_day(element: str) -> None:
    assert items(f"<r>{element}</r>") == {"d": ["2024-05-01"]}


def test_a_typed_date_that_is_none_is_omitted_with_a_warning() -> None:
    read = xml_items('<r><d type="date">1 May</d><e>1 May</e></r>')

    assert read == ResultItems(
        {"e": ["1 May"]}, ("Left out, because the value is not of the type it has: d",)
    )


def test_repeated_elements_are_many_values() -> None:
    assert items("<r><iban>DE1</iban><x/><IBAN>DE2</IBAN></r>") == {
        "iban": ["DE1", "DE2"],
        "x": [""],
    }


def test_elements_with_elements_are_a_list_of_maps() -> None:
    text = (
        "<r><p>ignored <o>1</o><tax type='double'>0,50</tax></p>"
        "<p><o>2</o><o>3</o><deep><x>y</x></deep></p></r>"
    )

    assert items(text) == {
        "p": [{"o": "1", "tax": 0.5}, {"o": ["2", "3"], "deep": {"x": "y"}}],
    }


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><r><a>&x;</a></r>',
        "<!doctype html>\n<html><p>x</p></html>",
        "<r><!DOCTYPE r><a>x</a></r>",
        "<r><a>x</a><!ENTITY x 'y'></r>",
    ],
)
def test_a_document_type_is_refused(text: str) -> None:
    with pytest.raises(AnswerUnreadable, match="document type"):
        xml_items(text)


def test_it_may_be_as_deep_as_the_limit_and_no_deeper() -> None:
    def nested(levels: int) -> str:
        return "<a>" * levels + "x" + "</a>" * levels

    assert items(nested(MAX_DEPTH))
    with pytest.raises(AnswerUnreadable, match=f"more than {MAX_DEPTH} levels"):
        xml_items(nested(MAX_DEPTH + 1))


def test_it_may_be_as_long_as_the_limit_and_no_longer() -> None:
    around = len("<r><a></a></r>")

    assert items(f"<r><a>{'x' * (MAX_CHARACTERS - around)}</a></r>")
    with pytest.raises(AnswerUnreadable, match="longer than 1,048,576 characters"):
        xml_items(f"<r><a>{'x' * (MAX_CHARACTERS - around + 1)}</a></r>")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("<r><a>x</b></r>", "The tag </b> closes <a>"),
        ("<r><a>x</a>", "The tag <r> is never closed"),
        ("<r><a>x</a></r></x>", "The tag </x> closes nothing"),
        ("<a>x</a><b>y</b>", "one root element"),
        ("<r><!-- <a>x</a></r>", "must end in -->"),
        ("<r><![CDATA[ <a>x</a></r>", "must end in ]]>"),
    ],
)
def test_tags_that_do_not_match_are_asked_for_again(text: str, problem: str) -> None:
    with pytest.raises(AnswerUnreadable) as caught:
        xml_items(text)

    assert problem in str(caught.value)


@given(st.text() | st.text(st.sampled_from("<>/!-[]&;#x'\"= aCDATA?"), max_size=80))
def test_nothing_but_unreadable_is_ever_raised(text: str) -> None:
    for answer in (text, f"<r>{text}</r>"):
        with suppress(AnswerUnreadable):
            xml_items(answer)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40))
def test_escaped_text_comes_back(text: str) -> None:
    assert items(f"<r><a>x{escape(text)}x</a></r>") == {"a": [f"x{text}x"]}


N = 1_000_000


@pytest.mark.parametrize(
    "text",
    [
        f"<r>{'<' * N}</r>",
        f"<r>{'<x' * (N // 2)}</r>",
        "<a>" * 100_000 + "</a>" * 100_000,
        f"<r>{'<a/>' * (N // 4)}</r>",
        f"<r><a{' b=c' * (N // 4)}</r>",
        "<r>" + "<a b='" * (N // 6) + "</r>",
        f"<r><a {' ' * N}</r>",
        f"<r>{'<!--' * (N // 4)}</r>",
        f"<r>{'<![CDATA[' * (N // 9)}</r>",
        f"<r>{'<?' * (N // 2)}</r>",
        f"<r><a>{'&' * N}</a></r>",
        f"<r></r{' ' * N}",
        f"<{'a' * N}",
        "<a>" * (N // 3),
        f'<r><a type="double">{"1" * N}</a></r>',
        f'<r><a type="double">{"1,111" * (N // 5)}</a></r>',
    ],
    ids=[
        "brackets", "names", "nested", "siblings", "attributes", "quotes", "spaces", "comments",
        "cdata", "instructions", "ampersands", "end", "name", "open", "digits", "groups",
    ],
)  # fmt: skip
def test_a_hostile_text_costs_no_more_than_its_length(text: str) -> None:
    began = time.monotonic()
    with suppress(AnswerUnreadable):
        xml_items(text)
    assert time.monotonic() - began < 20
