"""The JSON value in an answer is found when it is plainly there, and never guessed."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.formats import (
    Parsed,
    instruction,
    invalid_json_fallback,
    parse,
    repair_messages,
    with_instruction,
)
from app.formats.json_text import MAX_DEPTH
from app.providers.contract import Message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        (' \n[1, 2.5, null, true, "x"]\n ', [1, 2.5, None, True, "x"]),
        ("42", 42),
        ('"text"', "text"),
        ("null", None),
        ("\ufeff{}", {}),
        ('{"ü": "日本 🎉"}', {"ü": "日本 🎉"}),
        ('{"a": 1, "a": 2}', {"a": 2}),
        ('{"a": "```\\n}"}', {"a": "```\n}"}),
    ],
)
def test_plain_json_is_its_value(text: str, value: Any) -> None:
    assert parse(text, "json") == Parsed(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('```json\n{"a": 1}\n```', {"a": 1}),
        ("```\n[1]\n```", [1]),
        ("```JSON\n42\n```", 42),
        ('Here you are:\n\n```json\n{"a": [1]}\n```\n\nAnything [else]?', {"a": [1]}),
        ('  ```json\n  {"a": 1}\n  ```', {"a": 1}),
        ('~~~\n{"a": 1}\n~~~', {"a": 1}),
        ('````json\n{"a": "\\n```\\n"}\n````', {"a": "\n```\n"}),
        ('```json\n{"a": 1}', {"a": 1}),
        ('```json\r\n{"a": 1}\r\n```\r\n', {"a": 1}),
        ('Like this:\n```python\nprint(x)\n```\nso\n```json\n{"a": 1}\n```', {"a": 1}),
    ],
)
def test_a_fenced_block_is_unwrapped(text: str, value: Any) -> None:
    assert parse(text, "json") == Parsed(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('Sure! {"a": 1} Hope this helps.', {"a": 1}),
        ("The list: [1, 2]", [1, 2]),
        ('[{"a": 1}, {"a": 2}] is all', [{"a": 1}, {"a": 2}]),
        ('{"a": [1, {"b": []}]}.', {"a": [1, {"b": []}]}),
        ('{"a": 1}, see [above]', {"a": 1}),
        ('{"a": 1} }', {"a": 1}),
        ('```{"a": 1}```', {"a": 1}),
        ('{"a": "}]"} end', {"a": "}]"}),
    ],
)
def test_prose_around_one_value_is_ignored(text: str, value: Any) -> None:
    assert parse(text, "json") == Parsed(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "no JSON at all",
        "The answer is 42",
        "{'a': 1}",
        '{"a": 1,}',
        '{"a": [1, 2], }',
        '{"a": [1, 2], "b": ',
        '[{"a": 1}, {"a": 2},',
        '[{"a": 1} {"a": 2}]',
        '{"a": 1',
        "{a: [1]}",
        '```json\n{"a": [1],}\n```',
        '```json\n{"a": [1], "b"',
        '{"a": 1} // {"b": 2}',
        "} {",
        "] [1",
        "{{{",
        "<html>[if IE]<b>{</b></html>",
        'As said [see above]: {"a": 1}',
        "For {name} it is [1]",
        "[[null, null], {}",
    ],
)
def test_what_is_not_one_json_value_is_a_problem_and_no_output(text: str) -> None:
    parsed = parse(text, "json")

    assert parsed.output is None
    assert parsed.problem
    assert parsed.problem.startswith("The answer is not valid JSON: ")


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1} and [2]',
        '```json\n{"a": 1}\n```\nor\n```json\n{"a": 2}\n```',
    ],
)
def test_of_several_values_none_is_taken(text: str) -> None:
    problem = parse(text, "json").problem

    assert problem
    assert "more than one JSON value" in problem


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("NaN", "NaN is not valid JSON"),
        ('{"a": Infinity}', "Infinity is not valid JSON"),
        ("[-Infinity]", "-Infinity is not valid JSON"),
        ('{"a": 1e999}', "1e999 is out of range"),
        ("[-1e999]", "out of range"),
        ("9" * 5000, "4300"),
        ("[" * 100_000, "levels"),
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), f"more than {MAX_DEPTH} levels"),
        ('{"a":' * 200 + "1" + "}" * 200, f"more than {MAX_DEPTH} levels"),
    ],
    ids=[
        "nan",
        "inf",
        "-inf",
        "1e999",
        "-1e999",
        "5000 digits",
        "open",
        "101 lists",
        "200 objects",
    ],
)
def test_values_no_other_reader_takes_are_a_problem(text: str, reason: str) -> None:
    parsed = parse(text, "json")

    assert parsed.output is None
    assert parsed.problem
    assert reason in parsed.problem


def test_the_deepest_allowed_value_is_read() -> None:
    assert parse("[" * MAX_DEPTH + "]" * MAX_DEPTH, "json").problem is None


def test_the_problem_of_a_broken_fenced_block_is_the_blocks() -> None:
    problem = parse('Here:\n```json\n{"a": 1,\n}\n```', "json").problem

    assert problem
    assert problem.startswith("The answer is not valid JSON: ")
    assert "line 1 column 8" in problem or "line 2 column 1" in problem  # 3.13 and later; before


def test_the_problem_of_a_broken_value_in_prose_is_the_values() -> None:
    problem = parse('Here it is: {"a": }', "json").problem

    assert problem == "The answer is not valid JSON: Expecting value: line 1 column 19 (char 18)"


def test_nul_and_lone_surrogates_in_json_become_storable() -> None:
    parsed = parse('{"a\\u0000": ["\\ud800", "\\ud83d\\ude00"]}', "json")

    assert parsed.output == {"a\ufffd": ["\ufffd", "😀"]}


@pytest.mark.parametrize(
    ("format", "text", "output"),
    [
        ("text", "  a\n b \n", "a\n b"),
        ("text", "a\x00\ud800", "a\ufffd\ufffd"),
        ("text", "", ""),
        ("markdown", "    code\n\n", "    code\n\n"),
        ("markdown", "```md\n# x\n```", "```md\n# x\n```"),
        ("html", " <p>x</p><script>1</script> ", " <p>x</p><script>1</script> "),
    ],
)
def test_other_formats_are_kept_and_text_is_stripped(format: str, text: str, output: str) -> None:
    assert parse(text, format) == Parsed(output)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 1_000_000,
        "{" * 1_000_000,
        "[{" * 500_000,
        '{"a":' * 400_000,
        "```\n" * 300_000,
        "`" * 1_000_000,
        "~~~ " * 300_000,
        ("`" * 1000 + "\n") * 1000,
        "x [1] {} " * 100_000,
        '"' * 1_000_000,
        '{"a": "' + "\\" * 1_000_000,
        "\n" * 1_000_000,
        '[{"a":1},' * 100_000,
    ],
    ids=range(13),
)
def test_reading_a_hostile_answer_takes_linear_time(text: str) -> None:
    started = time.perf_counter()
    parsed = parse(text, "json")

    assert time.perf_counter() - started < 5  # quadratic would be minutes
    assert parsed.problem


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@given(JSON_VALUES, st.sampled_from([None, 2]), st.booleans())
def test_every_json_value_is_read_back(value: Any, indent: int | None, ascii: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii)

    assert parse(text, "json") == Parsed(value)
    assert parse(f"Here:\n```json\n{text}\n```\nDone.", "json") == Parsed(value)
    if isinstance(value, (dict, list)):
        assert parse(f"Here it is: {text}. Done.", "json") == Parsed(value)


@given(JSON_VALUES.filter(lambda value: isinstance(value, (dict, list)) and value), st.data())
def test_a_cut_value_is_never_taken_for_a_whole_one(value: Any, data: st.DataObject) -> None:
    text = json.dumps(value)
    cut = text[: data.draw(st.integers(0, len(text) - 1))]

    assert parse(cut, "json").problem
    assert parse(f"Here it is: {cut}", "json").problem


@given(st.text())
def test_reading_never_raises(text: str) -> None:
    parsed = parse(text, "json")

    assert parsed.problem is None or parsed.output is None


def test_the_fallback_has_the_seeds_shape() -> None:
    assert invalid_json_fallback("not\x00 JSON") == {
        "response": "not\ufffd JSON",
        "format_error": "Invalid JSON response",
    }


def test_a_repair_sends_the_text_and_the_error_and_nothing_else() -> None:
    system, user = repair_messages("{'a': 1}", "The answer is not valid JSON: …")

    assert system.role == "system"
    assert "JSON" in system.content
    assert user == Message(
        "user", "What is wrong: The answer is not valid JSON: …\n\nThe text:\n{'a': 1}"
    )


@pytest.mark.parametrize("format", ["json", "markdown", "html"])
def test_every_format_but_text_has_an_instruction(format: str) -> None:
    assert instruction(format)
    assert instruction("text") == ""


def test_json_mode_finds_the_word_it_demands() -> None:
    assert "JSON" in instruction("json")


def test_a_schema_is_told_with_the_instruction() -> None:
    assert instruction("json", {"type": "object", "title": "Ü"}).endswith(
        '{"type":"object","title":"Ü"}'
    )


@pytest.mark.parametrize(
    ("system", "format", "expected"),
    [
        (None, "text", None),
        ("", "text", None),
        ("Be brief.", "text", "Be brief."),
        (None, "markdown", instruction("markdown")),
        (" ", "html", instruction("html")),
        ("Be brief.", "json", "Be brief.\n\n" + instruction("json")),
    ],
)
def test_the_instruction_joins_the_jobs_own_system_text(
    system: str | None, format: str, expected: str | None
) -> None:
    assert with_instruction(system, format) == expected
