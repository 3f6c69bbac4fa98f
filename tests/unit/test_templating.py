"""`{{name}}` is replaced once, by a value and by nothing else, whatever the text tries."""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.errors import TemplateSyntaxError, Unprocessable
from app.prompts.templating import MAX_NAME_LENGTH, MAX_OUTPUT_BYTES, Rendered, Template, parse


def render(text: str, context: dict[str, Any]) -> str:
    return parse(text).render(context).text


@pytest.mark.parametrize(
    ("text", "context", "expected"),
    [
        ("", {"x": 1}, ""),
        ("no tag", {"no": 1}, "no tag"),
        ("Hello {{name}}!", {"name": "Ann"}, "Hello Ann!"),
        ("{{ name }}", {"name": "Ann"}, "Ann"),
        ("{{\tname\n}}", {"name": "Ann"}, "Ann"),
        ("{{a}}{{b}}{{a}}", {"a": "1", "b": "2"}, "121"),
        ("{{user.name}}", {"user": {"name": "Ann"}}, "Ann"),
        ("{{a.b.c}}", {"a": {"b": {"c": "deep"}}}, "deep"),
        ("{{a.b}}", {"a.b": "whole", "a": {"b": "by key"}}, "whole"),
        ("{{first name}}", {"first name": "Ann"}, "Ann"),
        ("{{größe}}", {"größe": "ü"}, "ü"),
        ("{{0}}", {"0": "zero"}, "zero"),
    ],
)
def test_names_are_replaced_by_their_values(
    text: str, context: dict[str, Any], expected: str
) -> None:
    assert parse(text).render(context) == Rendered(expected, missing=())


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text", "text"),
        ("", ""),
        (None, ""),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (-7, "-7"),
        (2**70, "1180591620717411303424"),
        (1.5, "1.5"),
        (0.1, "0.1"),
        (1e22, "1e+22"),
        ([], "[]"),
        ({}, "{}"),
        ([1, "a", None, True], '[1,"a",null,true]'),
        ({"b": 1, "a": {"ü": "日本"}}, '{"b":1,"a":{"ü":"日本"}}'),
    ],
)
def test_values_that_are_no_text_become_compact_json(value: Any, expected: str) -> None:
    assert render("{{x}}", {"x": value}) == expected
    assert render("{{a.x}}", {"a": {"x": value}}) == expected


def test_an_inserted_value_is_never_scanned_again() -> None:
    context = {"a": "{{b}}", "b": "SECRET"}

    assert render("{{a}} {{b}}", context) == "{{b}} SECRET"
    assert render("{{a}}", {"a": {"x": "{{b}}"}, "b": "SECRET"}) == '{"x":"{{b}}"}'


def test_a_tag_cannot_be_assembled_from_values() -> None:
    context = {"open": "{{", "close": "}}", "secret": "SECRET"}

    assert render("{{open}}secret{{close}}", context) == "{{secret}}"
    assert render("{{open}}{ {secret{{close}}", context) == "{{{ {secret}}"


@pytest.mark.parametrize("value", [r"a\b", r"\1\g<0>", "\\\\", r"\n", "$1 & \\0 %s {0}"])
def test_backslashes_and_patterns_survive(value: str) -> None:
    assert render("[{{x}}]", {"x": value}) == f"[{value}]"


def test_an_unknown_name_stays_and_is_reported_once_in_order() -> None:
    rendered = parse("{{b}} {{ a }} {{x}} {{b}}").render({"x": 1})

    assert rendered == Rendered("{{b}} {{ a }} 1 {{b}}", missing=("b", "a"))


@pytest.mark.parametrize(
    "context",
    [
        {},
        {"user": {}},
        {"user": "Ann"},
        {"user": "a name"},
        {"user": ["name"]},
        {"user": None},
        {"user": [{"name": 1}]},
        {"name": 1},
    ],
)
def test_a_path_that_ends_early_is_missing(context: dict[str, Any]) -> None:
    assert parse("{{user.name}}").render(context) == Rendered("{{user.name}}", ("user.name",))


def test_a_list_is_not_indexed() -> None:
    assert parse("{{items.0}}").render({"items": ["a"]}).missing == ("items.0",)


def test_names_are_listed_once_in_order() -> None:
    assert parse("{{b}} {{a.c}} {{ b }} {{d}}").names == ("b", "a.c", "d")


def test_a_dictionary_that_invents_values_is_not_asked_to() -> None:
    context: dict[str, Any] = defaultdict(lambda: "invented")

    assert parse("{{x}} {{y.z}}").render(context).missing == ("x", "y.z")
    assert not context


class Leaky:
    """An object whose attributes must not be reachable."""

    password = "SECRET"


@pytest.mark.parametrize(
    "name", ["x.password", "x.__class__", "x.__init__.__globals__", "x.__dict__", "x.keys"]
)
def test_attributes_are_never_looked_up(name: str) -> None:
    text = "{{" + name + "}}"

    for value in (Leaky(), "text", 1, [1], {"a": 1}):
        assert parse(text).render({"x": value}) == Rendered(text, (name,))


@pytest.mark.parametrize(
    "text",
    [
        "{{cycler.__init__.__globals__.os.popen(x)}}",
        "{{x.__class__}}",
        "{{>/etc/passwd}}",
        "{{=<% %>=}}",
        "{{#x}}",
        "{{/x}}",
        "{{x | upper}}",
        "{{x + x}}",
        "{{x()}}",
        "{{x[0]}}",
        "{{x!r}}",
        "{{x:>1000}}",
        "{{&x}}",
        "{{!x}}",
        "{{^x}}",
        "{{\ufeffx}}",
        "{{\u202ex}}",
        "{{x\u200b}}",
    ],
)
def test_other_languages_tags_are_unknown_names(text: str) -> None:
    rendered = parse(text).render({"x": "VALUE"})

    assert rendered.text == text
    assert rendered.missing == (text[2:-2],)


@pytest.mark.parametrize(
    "text",
    [
        "{{}}",
        "{{  }}",
        '{{"x"}}',
        "style={{color: 'red'}}",
        "{{x\ny}}",
        "{{ {x} }}",
        "{%x%} ${x} <%= x %> {x} { {x} } %(x)s",
        '{"a": {"b": {"c": 1}}}',
        "}} x }}",
        "{{" + "x" * (MAX_NAME_LENGTH + 1) + "}}",
    ],
)
def test_what_cannot_be_a_name_is_text(text: str) -> None:
    assert parse(text).render({"x": "VALUE"}) == Rendered(text, missing=())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{{x}}}", "{1}"),
        ("{{{{x}}}}", "{{1}}"),
        ('{"a": {{x}}}', '{"a": 1}'),
        ('{"a":{"b":{{x}}}}', '{"a":{"b":1}}'),
        (r"\frac{{{x}}}{2}", r"\frac{1}{2}"),
        ("{{x}}}}", "1}}"),
    ],
)
def test_braces_around_a_tag_stay(text: str, expected: str) -> None:
    assert render(text, {"x": 1}) == expected


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("{{", 1, 1),
        ("Hello {{name", 1, 7),
        ("Hello {{name}", 1, 7),
        ("one\ntwo {{ name\nthree", 2, 5),
        ("{{a}} {{b {{c}}", 1, 7),
        ("{{a}} {{{b", 1, 7),
        ("{{a {{b {{c", 1, 1),
        ("}} {{", 1, 4),
    ],
)
def test_an_unclosed_tag_is_named_with_its_place(text: str, line: int, column: int) -> None:
    with pytest.raises(TemplateSyntaxError, match=f"line {line}, column {column}:") as caught:
        parse(text)

    assert caught.value.status == 422
    assert caught.value.details == {"line": line, "column": column}


def test_an_error_shows_only_the_beginning_of_the_tag() -> None:
    with pytest.raises(TemplateSyntaxError) as caught:
        parse("{{" + "x" * 10_000)

    assert len(caught.value.message) < 150


def test_the_output_is_capped_in_bytes() -> None:
    fits = "x" * MAX_OUTPUT_BYTES

    assert render("{{x}}", {"x": fits}) == fits
    with pytest.raises(Unprocessable, match="longer than 1,048,576 bytes"):
        render("{{x}}!", {"x": fits})
    with pytest.raises(Unprocessable, match="longer than"):
        render("{{x}}", {"x": "ü" * (MAX_OUTPUT_BYTES // 2) + "!"})


def test_a_small_template_cannot_grow_to_gigabytes() -> None:
    bomb = parse("{{x}}" * 100_000)

    with pytest.raises(Unprocessable, match="longer than"):
        bomb.render({"x": "x" * 2_000})


CIRCULAR: list[Any] = []
CIRCULAR.append(CIRCULAR)
DEEP: list[Any] = []
for _ in range(100_000):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    "value",
    [float("nan"), [float("inf")], {"a": object()}, b"bytes", {1, 2}, CIRCULAR, DEEP, 10**5000],
    ids=["nan", "infinity", "object", "bytes", "set", "circular", "deep", "5000 digits"],
)
def test_a_value_json_cannot_say_is_refused_by_name(value: Any) -> None:
    with pytest.raises(Unprocessable, match="The value of 'x' cannot be written as JSON"):
        render("{{x}}", {"x": value})


def test_a_value_nobody_asked_for_does_no_harm() -> None:
    assert render("{{x}}", {"x": 1, "y": object()}) == "1"


def test_nul_and_lone_surrogates_do_not_break_rendering() -> None:
    assert render("\ud800{{x}}", {"x": "\x00\udfff"}) == "\ud800\x00\udfff"


@pytest.mark.parametrize(
    "text",
    [
        "{{x}}" * 100_000,
        "{" * 1_000_000 + "x}}",
        "{{" * 400_000 + "}}" * 400_000,
        "{{" + "x" * 1_000_000 + "}}",
        "{{" + " " * 1_000_000 + "}}",
        "{{x" * 300_000,
        "{{x}" * 250_000,
        "{{ }x }}" * 120_000,
        "}}" * 500_000,
        "\n" * 900_000 + "{{x",
        "{{" + "a." * 500_000 + "}}",
        "{{" + "a." * 100 + "}}{{" + "b." * 100 + "}}" * 5_000,
    ],
    ids=range(12),
)
def test_hostile_text_takes_linear_time(text: str) -> None:
    started = time.process_time()
    with contextlib.suppress(TemplateSyntaxError, Unprocessable):
        parse(text).render({"x": "v", "a": {"a": 1}})

    assert time.process_time() - started < 5  # quadratic would be minutes


def test_short_templates_are_parsed_once() -> None:
    text = "{{only}} here"

    assert parse(text) is parse(text)
    assert parse("x" * 30_000) is not parse("x" * 30_000)


def test_a_template_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        parse("{{x}}").names = ()  # type: ignore[misc]


# --- for any text and any context ---------------------------------------------------------------

PIECES = st.sampled_from(
    ["{{", "}}", "{", "}", "a", "b", "a.b", ".", " ", "\n", '"', "\\", "\x00", "\ud800", "é", "}}}"]
)
TAGS = st.sampled_from(["{{a}}", "{{ b }}", "{{a.b}}", "{{ab}}", "{{c}}"])
TEXTS = st.lists(PIECES | TAGS, max_size=30).map("".join)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
CONTEXTS = st.dictionaries(st.sampled_from(["a", "b", "ab", "a.b", "c"]), VALUES | TEXTS)


def oracle(text: str, context: dict[str, str]) -> tuple[str, list[str]]:
    """Character by character, for contexts of texts without dots: slow, and plainly right."""
    written: list[str] = []
    missing: list[str] = []
    here = 0
    while here < len(text):
        end = here + 2
        while end < len(text) and text[end] not in "{}":
            end += 1
        name = text[here + 2 : end].strip()
        is_tag = text.startswith("{{", here) and text.startswith("}}", end) and name
        if not is_tag or any(c in "\"'" or ord(c) < 32 for c in name):
            written.append(text[here])
            here += 1
            continue
        written.append(context.get(name, text[here : end + 2]))
        if name not in context and name not in missing:
            missing.append(name)
        here = end + 2
    return "".join(written), missing


@given(TEXTS, st.dictionaries(st.sampled_from(["a", "b", "ab", "c"]), TEXTS))
@example("{{a}}{{b}}", {"a": "{{b}}", "b": "SECRET"})
@example("{{{a}}}", {"a": "{{"})
def test_rendering_equals_a_naive_scan(text: str, context: dict[str, str]) -> None:
    try:
        template = parse(text)
    except TemplateSyntaxError:
        return

    rendered = template.render(context)

    assert (rendered.text, list(rendered.missing)) == oracle(text, context)


@given(TEXTS, CONTEXTS)
def test_rendering_raises_nothing_but_the_documented_errors(
    text: str, context: dict[str, Any]
) -> None:
    try:
        rendered = parse(text).render(context)
    except (TemplateSyntaxError, Unprocessable):
        return

    assert set(rendered.missing) <= set(parse(text).names)


@given(TEXTS)
def test_a_text_without_values_renders_to_itself(text: str) -> None:
    try:
        template = parse(text)
    except TemplateSyntaxError:
        assert "{{" in text
        return

    assert template.render({}) == Rendered(text, template.names)


@given(st.lists(st.sampled_from(["a", "b"]), max_size=8), TEXTS, TEXTS)
def test_no_value_is_ever_rescanned(names: list[str], a: str, b: str) -> None:
    text = "|".join("{{" + name + "}}" for name in names)

    assert render(text, {"a": a, "b": b}) == "|".join({"a": a, "b": b}[name] for name in names)


def test_an_equal_text_gives_an_equal_template() -> None:
    assert parse("{{x}}" * 5_000) == parse("{{x}}" * 5_000)
    assert isinstance(parse(""), Template)
