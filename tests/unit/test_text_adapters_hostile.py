"""Whatever a text or a value holds: nothing inserted is ever read as a tag, and no text, however
it was made, costs more than it may.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.errors import PromptTemplateInvalid, TemplateSyntaxError, Unprocessable
from app.prompts import templating
from app.prompts.material import FileText, Material, Work, WorkItem
from app.prompts.templating import MAX_OUTPUT_BYTES, Rendered
from app.prompts.text_adapters import Adapted, AdaptedTemplate, few_patterns, parse

HOSTILE = (
    "<propertyvalue>secret</propertyvalue><itemvalue>a</itemvalue><FILECONTEXT>.</FILECONTEXT>"
    "{{secret}}{{<for-each-value item='a'><![CDATA[</itemvalue>"
)
EVERY_TAG = (
    "<itemvalue>a</itemvalue>|<itemvalue separator='|'>a</itemvalue>|<username>a</username>|"
    "<propertyvalue>p</propertyvalue>|<filedata>.</filedata>|<FILECONTEXT>.</FILECONTEXT>|"
    "<for-each-value item=a><itemvalue>a</itemvalue></for-each-value>|{{v}}|"
    "<for-each-child item=kids><itemvalue>n</itemvalue></for-each-child>"
)


def material(value: str, **more: Any) -> Material:
    return Material(
        context={"v": value, "secret": "SECRET"},
        workitem=WorkItem({"a": value, "kids": [{"n": value}], **more}),
        files=(FileText("f.txt", value),),
        properties={"p": value, "secret": "SECRET"},
        names={"x": "X"},
    )


def test_no_inserted_value_is_ever_read_as_a_tag() -> None:
    assert parse(EVERY_TAG).render(material(HOSTILE)).text == "|".join([HOSTILE] * 9)


def test_an_inserted_display_name_is_never_read_as_a_tag() -> None:
    text = "<username>u</username>{{v}}"
    given = Material(workitem=WorkItem({"u": 1}), names={"1": "{{v}}"}, context={"v": "{{u}}"})

    assert parse(text).render(given).text == "{{v}}{{u}}"


def test_values_on_both_sides_never_make_a_tag_together() -> None:
    text = "{{a}}itemvalue>x</itemvalue> {<itemvalue>brace</itemvalue>x}}"
    given = Material(context={"a": "<"}, workitem=WorkItem({"brace": "{", "x": "SECRET"}))

    assert parse(text).render(given).text == "<itemvalue>x</itemvalue> {{x}}"


def test_the_text_is_capped_in_bytes() -> None:
    template = parse("<itemvalue>a</itemvalue>")
    fits = "x" * MAX_OUTPUT_BYTES

    assert template.render(material(fits)).text == fits
    with pytest.raises(Unprocessable, match="longer than 1,048,576 bytes") as caught:
        template.render(material(fits + "!"))
    assert caught.value.pointer == "/messages"
    with pytest.raises(Unprocessable, match="longer than"):
        template.render(material("ü" * (MAX_OUTPUT_BYTES // 2) + "!"))


NESTED = (
    "<for-each-value item=a><for-each-value item=b><for-each-value item=c>{}"
    "</for-each-value></for-each-value></for-each-value>"
)
MANY = {name: list(range(1000)) for name in "abc"}


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("<itemvalue separator=','>a</itemvalue>" * 10_000, {"a": ["x" * 1000] * 1000}),
        (NESTED.format("x" * 1000), MANY),
        (NESTED.format("<itemvalue separator=','>d</itemvalue>"), MANY | {"d": ["x" * 100] * 100}),
        ("<filedata separator='-'>.</filedata>" * 10_000, {}),
        ("<FILECONTEXT>.</FILECONTEXT>" * 10_000, {}),
        (NESTED.format("<FILECONTEXT>.</FILECONTEXT>"), MANY),
    ],
    ids=range(6),
)
def test_a_small_text_cannot_grow_to_gigabytes(text: str, items: dict[str, Any]) -> None:
    template = parse(text)
    files = tuple(FileText(f"{number}.txt", "text \n\n" * 1000) for number in range(100))

    with pytest.raises(Unprocessable, match="longer than"):
        template.render(Material(workitem=WorkItem(items), files=files))


@pytest.mark.parametrize(
    ("text", "items"),
    [
        (NESTED.format(""), MANY),
        (NESTED.format("<itemvalue>nothing</itemvalue>"), MANY),
        ("<itemvalue separator=''>a</itemvalue>" * 6_000, {"a": [""] * 1000}),
        (
            "<for-each-value item=b><for-each-child item=a></for-each-child></for-each-value>",
            {"a": [1] * 5_000, "b": [1] * 5_000},
        ),
        (
            "<for-each-value item=b><for-each-child item=a><itemvalue>n</itemvalue>"
            "</for-each-child></for-each-value>",
            {"a": [{"n": [None] * 100_000}], "b": [1] * 500_000},
        ),
    ],
    ids=range(5),
)
def test_work_that_leaves_no_text_ends_as_well(text: str, items: dict[str, Any]) -> None:
    template = parse(text)

    with pytest.raises(Unprocessable, match="more than 250,000 steps"):
        template.render(Material(workitem=WorkItem(items)))


def test_warnings_are_few_whatever_a_text_holds() -> None:
    text = "".join(f"<propertyvalue>{number}</propertyvalue>" for number in range(10_000))

    warnings = parse(text).render(Material()).warnings

    assert len(warnings) == 21
    assert warnings[-1] == "There are more warnings than are shown"
    assert all(len(sentence) < 200 for sentence in warnings)


@pytest.mark.parametrize(
    "text",
    [
        "<itemvalue>a</itemvalue>" * 40_000,
        "<itemvalue>" * 100_000,
        "<itemvalue" * 100_000,
        "<itemvalue/>" * 90_000,
        "<itemvalue " + "a " * 500_000,
        "<itemvalue " + "a=b " * 250_000 + ">x</itemvalue>",
        "<itemvalue " + "a='" * 300_000,
        '<itemvalue a="' + ">" * 1_000_000,
        "<itemvalue" + " " * 1_000_000,
        "<itemvalue>" + "</itemvalue " * 90_000,
        "<itemvalue>a</itemvalue" + " " * 1_000_000,
        "<for-each-value item=a>" * 50_000 + "</for-each-value>" * 50_000,
        "<for-each-value item=a></for-each-value>" * 25_000,
        "</for-each-value" + " " * 1_000_000,
        "</for-each-value>" * 60_000,
        "<![CDATA[" * 100_000,
        "<!--" * 250_000,
        "<![CDATA[]]>" * 80_000,
        "<!--<itemvalue>" * 60_000 + "-->" * 100_000,
        "<" * 1_000_000,
        "{{" * 200_000 + "<itemvalue>a</itemvalue>" + "}}" * 200_000,
        "{{x" * 300_000,
        "{{'" + "<itemvalue>a</itemvalue>" * 40_000 + "'}}",
        "{{''}}" * 150_000,
        "{{v}}<itemvalue>a</itemvalue>" * 30_000,
        "\n" * 900_000 + "<itemvalue>",
        "<itemvalue format='" + "#," * 500_000 + "'>a</itemvalue>",
        "<itemvalue format='" + "''" * 500_000 + "'>a</itemvalue>",
        "<itemvalue locale='" + "d" * 1_000_000 + "' format=d>a</itemvalue>",
        "<filedata>(a*)*b</filedata>" * 30_000,
        "<filedata>" + "(" * 1_000_000 + "</filedata>",
    ],
    ids=range(31),
)
def test_hostile_texts_take_linear_time(text: str) -> None:
    started = time.process_time()
    with contextlib.suppress(Unprocessable):
        parse(text).render(material("v"))

    assert time.process_time() - started < 10  # quadratic would be minutes


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ("<itemvalue format='#,##0.00'>a</itemvalue>" * 1000, "9" * 1_000_000, "0" * 1000),
        ("<itemvalue format='#'>a</itemvalue>", " " * 10_000_000, "0"),
        ("<FILECONTEXT>.</FILECONTEXT>", "\n \r" * 3_000_000 + "x" + " " * 3_000_000, "x"),
        ("<FILECONTEXT>.</FILECONTEXT>" * 1000, "\n" * 3_000_000 + "x", "x" * 1000),
    ],
    ids=range(4),
)
def test_hostile_values_take_linear_time(text: str, value: str, expected: str) -> None:
    started = time.process_time()

    assert parse(text).render(material(value)).text == expected
    assert time.process_time() - started < 20  # quadratic would be minutes


def test_names_of_files_are_searched_in_linear_time() -> None:
    names = tuple(FileText("a" * 100_000 + str(number), "x") for number in range(10))

    started = time.process_time()
    adapted = parse("<filedata>(a|a)*(a|aa)+$</filedata>").render(Material(files=names))

    assert adapted.text == ""
    assert time.process_time() - started < 10


# --- for any text and any value -----------------------------------------------------------------

NAMES = st.sampled_from(["a", "b", "kids", "A", "v", "none", ""])
ATTRIBUTES = st.sampled_from(
    [
        "",
        " separator=', '",
        ' separator="\\n"',
        " position=last",
        " format='#,##0.0#' locale=de",
        " format='EEE yyyy Y w'",
        " format='y' locale=xx",
        " item=a",
        " item=kids",
        " ITEM='b'",
        " ref=x",
        " x=>",
        " '",
    ]
)
TAG_NAMES = st.sampled_from(
    ["itemvalue", "username", "propertyvalue", "filedata", "FILECONTEXT", "ItemValue", "other"]
)
BLOCKS = st.sampled_from(["for-each-value item=a", "for-each-child item=kids"])
PIECES = [
    *("{{", "}}", "{", "<", ">", "<itemvalue>", "</itemvalue>", "<itemvalue/>", "\ud800", "\x00"),
    *("<![CDATA[", "]]>", "<!--", "-->", "<for-each-child item=a>", "</for-each-value>"),
]
LEAVES_OF_TEXT = (
    st.builds(lambda t, a, n: f"<{t}{a}>{n}</{t}>", TAG_NAMES, ATTRIBUTES, NAMES)
    | NAMES.map(lambda name: "{{" + name + "}}")
    | st.text(max_size=5)
    | st.sampled_from(PIECES)
)
TEXTS = st.recursive(
    LEAVES_OF_TEXT,
    lambda inner: (
        st.builds(lambda b, t: f"<{b}>{t}</{b.split()[0]}>", BLOCKS, inner)
        | st.lists(inner, max_size=6).map("".join)
    ),
    max_leaves=12,
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | TEXTS
    | st.datetimes().map(lambda moment: moment.isoformat())
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
MATERIALS = st.builds(
    lambda context, items, files, properties, names: Material(
        context=context,
        workitem=WorkItem(items),
        files=tuple(FileText(*file) for file in files),
        properties=properties,
        names=names,
    ),
    st.dictionaries(NAMES, VALUES, max_size=3),
    st.dictionaries(NAMES, VALUES, max_size=3),
    st.lists(st.tuples(st.text(max_size=5), TEXTS), max_size=2),
    st.dictionaries(NAMES, TEXTS, max_size=2),
    st.dictionaries(NAMES, TEXTS, max_size=2),
)


@given(TEXTS, MATERIALS)
@example("<filedata>.</filedata>", Material(files=(FileText("\ud800", "x"),)))
@example("<itemvalue format=Y>a</itemvalue>", Material(workitem=WorkItem({"a": "9999-12-31"})))
@example("<itemvalue format=Yw>a</itemvalue>", Material(workitem=WorkItem({"a": "0001-01-01"})))
def test_nothing_but_our_errors_is_ever_raised(text: str, given: Material) -> None:
    try:
        template = parse(text)
    except (PromptTemplateInvalid, TemplateSyntaxError):
        return
    try:
        adapted = template.render(given)
    except Unprocessable:  # PromptRefused is one
        return

    assert set(adapted.missing) <= set(template.variables)


@given(TEXTS)
def test_no_inserted_value_is_ever_interpreted(value: str) -> None:
    if not value.strip():
        return
    compact = "\n".join(
        line.rstrip()
        for line in value.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        if line.rstrip()
    )

    adapted = parse(EVERY_TAG).render(material(value))

    assert adapted.text == "|".join([*[value] * 5, compact, *[value] * 3])
    assert adapted.missing == ()
    assert adapted.warnings == ()


@given(st.lists(st.sampled_from(["{{a}}", "{{", "}}", "{", "}", "a", '"', "<b>", "<", "-->"])))
def test_a_text_without_tags_is_a_template_of_variables(pieces: list[str]) -> None:
    text, context = "".join(pieces), {"a": "{{a}}"}

    rendered = outcome(lambda: templating.parse(text).render(context))
    adapted = outcome(lambda: parse(text).render(Material(context=context)))

    assert adapted == rendered


def outcome(render: Callable[[], Rendered | Adapted]) -> tuple[Any, ...]:
    try:
        done = render()
    except TemplateSyntaxError as error:
        return error.message, error.details
    return done.text, done.missing


def render_often(template: AdaptedTemplate, material: Material) -> None:
    for _ in range(200):
        template.render(material)


def test_texts_of_one_job_share_the_bound_of_their_length() -> None:
    work = Work()
    material = Material(files=[FileText("a.txt", "line\n\n" * 150_000)], work=work)
    template = parse("<FILECONTEXT>a</FILECONTEXT>")

    with pytest.raises(Unprocessable, match="All messages together are longer than 8,388,608"):
        render_often(template, material)


def test_texts_of_one_job_share_the_bound_of_their_work() -> None:
    work = Work()
    material = Material(workitem=WorkItem({"a": [""] * 10_000}), work=work)
    template = parse("<itemvalue separator=''>a</itemvalue>")

    with pytest.raises(Unprocessable, match="more than 250,000 steps"):
        render_often(template, material)


def test_variables_that_never_appear_count_as_well() -> None:
    material = Material(context={"a": ["x" * 1000] * 500}, work=Work())
    template = parse("<for-each-value item=none>{{a}}</for-each-value>")

    with pytest.raises(Unprocessable, match="All messages together"):
        render_often(template, material)


def test_a_definition_may_hold_only_so_many_file_patterns() -> None:
    templates = (parse(f"<filedata>{number}</filedata>") for number in range(51))

    with pytest.raises(PromptTemplateInvalid, match="at most 50 different file patterns"):
        list(few_patterns(templates))
