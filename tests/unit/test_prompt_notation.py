"""JSON and YAML are read strictly: what passes can be stored, and written again."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from app.errors import PayloadTooLarge, PromptParameterInvalid, PromptTemplateInvalid
from app.prompts.definition import Definition
from app.prompts.documents import Source, read, write
from app.prompts.notation import yaml_values

ASKING = {"messages": [{"role": "user", "content": "How long is a byte?"}]}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("~", None),
        ("null", None),
        ("true", True),
        ("False", False),
        ("yes", "yes"),
        ("on", "on"),
        ("007", 7),
        ("-1", -1),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("2024-01-01", "2024-01-01"),
        ("2024-01-01T10:00:00Z", "2024-01-01T10:00:00Z"),
        ("'1'", "1"),
        ("!!str 1", "1"),
        ("[]", []),
        ("{a: }", {"a": None}),
    ],
)
def test_yaml_knows_the_values_of_json_and_everything_else_is_text(text: str, value: Any) -> None:
    assert yaml_values(text) == [value]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: &x 1", "Anchors and aliases are not read: 'x'"),
        ("a: &x [1]\nb: *x", "Anchors and aliases are not read: 'x'"),
        ("*x", "Anchors and aliases are not read: 'x'"),
        ("!!python/object/apply:os.getcwd []", "python/object/apply:os.getcwd' is not read"),
        ("!!binary aGk=", "binary' is not read"),
        ("!!set {a}", "set' is not read"),
        ("a: 1\n'a': 2", "The name 'a' stands twice in an object (line 2, column 1)"),
        ("1: a", "A name must be a text"),
        ("[a]: b", "A name must be a text"),
        ("a: .inf", ".inf is not a number JSON has"),
        ("a: .NaN", ".NaN is not a number JSON has"),
        ("a: 1e999", "1e999 is out of range"),
        ("a: " + "1" * 301, "more than 300 characters"),
        ('"\\0"', "holds a NUL"),
        ("a: [", "not valid YAML"),
        ("a: b: c", "not valid YAML"),
        ("a\x01b", "not valid YAML"),
    ],
)
def test_yaml_that_is_more_than_json_is_refused(text: str, problem: str) -> None:
    with pytest.raises(PromptTemplateInvalid) as caught:
        yaml_values(text)

    assert problem in caught.value.message


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"name": "a",\n}', "not valid JSON"),
        ("", "not valid JSON"),
        ('{"a": 1, "a": 2}', "the name 'a' stands twice"),
        ('{"a": NaN}', "NaN is not a number JSON has"),
        ('{"a": 1e999}', "out of range"),
        ('{"a": ' + "1" * 301 + "}", "more than 300 characters"),
        ('{"a": "\\u0000"}', "holds a NUL"),
        ('{"\\ud800": 1}', "half a surrogate pair"),
        ("\ud800", "not valid UTF-8"),
        (b"\xff\xfe", "not valid UTF-8"),
        ("[]", "holds no prompt definition"),
        (json.dumps([ASKING] * 101), "101 definitions; at most 100"),
    ],
)
def test_json_nobody_could_store_is_refused(text: str | bytes, problem: str) -> None:
    with pytest.raises(PromptTemplateInvalid) as caught:
        read(text, Source.JSON)

    assert problem in caught.value.message


def test_an_error_tells_line_and_column() -> None:
    with pytest.raises(PromptTemplateInvalid) as in_json:
        read('{"name": "a"\n "x"}', Source.JSON)
    with pytest.raises(PromptTemplateInvalid) as in_yaml:
        read("name: a\nb: *c\n", Source.YAML)

    assert in_json.value.details == {"line": 2, "column": 2}
    assert in_yaml.value.details == {"line": 2, "column": 4}


def nested(levels: int) -> str:
    """A definition nested this deep in all."""
    return (
        json.dumps(ASKING)[:-1]
        + ', "options": {"a": '
        + "[" * (levels - 2)
        + "]" * (levels - 2)
        + "}}"
    )


@pytest.mark.parametrize("way", [Source.JSON, Source.YAML])
def test_documents_may_be_nested_32_deep(way: Source) -> None:
    assert read(nested(32), way).definitions
    with pytest.raises(PromptTemplateInvalid, match="at most 32 levels"):
        read(nested(33), way)


def test_options_of_xml_are_no_deeper_than_json_can_say() -> None:
    def in_xml(levels: int) -> Definition:
        options = '{"a": ' + "[" * (levels - 1) + "]" * (levels - 1) + "}"
        block = f'<imixs-ai name="CONDITION"><options>{options}</options></imixs-ai>'
        return read(block * 2, Source.XML).definitions[0]

    deepest = in_xml(29)

    assert read(write(deepest, Source.JSON), Source.JSON).definitions == (deepest,)
    with pytest.raises(PromptTemplateInvalid, match="nested too deep"):
        in_xml(30)


@pytest.mark.parametrize("way", [Source.JSON, Source.YAML])
@pytest.mark.parametrize(
    "document",
    [
        "[" * 500_000,
        '{"a":' * 150_000,
        "[[],[" * 100_000,
        "- " * 400_000,
        "a: &a [x,x]\n" + "".join(f"b{n}: &b{n} [*a,*a]\n" for n in range(30_000)),
        "x" * 1_000_000,
        '"' + "\\" * 999_999,
    ],
)
def test_hostile_documents_are_refused_at_once(way: Source, document: str) -> None:
    began = time.process_time()
    with pytest.raises((PromptTemplateInvalid, PromptParameterInvalid)):
        read(document, way)

    assert time.process_time() - began < 3  # a second, and others' garbage


@pytest.mark.parametrize("way", [Source.JSON, Source.YAML])
def test_a_document_of_more_than_a_megabyte_is_refused(way: Source) -> None:
    with pytest.raises(PayloadTooLarge, match="at most 1,048,576 are read"):
        read("x" * (1024 * 1024 + 1), way)
