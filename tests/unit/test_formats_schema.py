"""A response schema is refused at submit when it cannot work, and never costs more than it may."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from app.errors import InvalidParameter
from app.formats import Parsed, check_schema, parse, validation
from app.formats.schemas import MAX_SCHEMA_BYTES, MAX_SCHEMA_DEPTH, MAX_SCHEMA_OBJECTS, mismatch

PERSON: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "age": {"type": "integer", "minimum": 0},
        "born": {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}$"},
        "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}, "uniqueItems": True},
    },
    "required": ["name"],
    "additionalProperties": False,
    "$defs": {"tag": {"enum": ["a", "b"]}},
}


@pytest.fixture
def short_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit of CPU time, made small: the tests that reach it need not wait for the real one."""
    monkeypatch.setattr(validation, "CPU_SECONDS", 0.3)


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"not": schema}
    return schema


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object"},
        PERSON,
        {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object"},
        {"$schema": "http://json-schema.org/draft-07/schema#", "$id": "https://x.test/a.json"},
        {"$schema": "http://json-schema.org/draft-07/schema", "definitions": {"a": {}}},
        {"$ref": "#/$defs/a", "$defs": {"a": {"$anchor": "here"}}},
        {"$ref": "#here", "$defs": {"a": {"$anchor": "here"}}},
        {"properties": {"children": {"type": "array", "items": {"$ref": "#"}}}},
        {"properties": {"$ref": {}, "pattern": {}, "$id": {}, "required": {}, "type": {}}},
        {"pattern": r"\u00e9\d+\p{L}"},
        {"format": "email"},
        nested(MAX_SCHEMA_DEPTH - 2),
    ],
)
def test_a_usable_schema_is_accepted(schema: dict[str, Any]) -> None:
    before = copy.deepcopy(schema)

    check_schema(schema)

    assert schema == before


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        (None, "must be a JSON Schema object, not NoneType"),
        (True, "not bool"),
        ("object", "not str"),
        ([], "not list"),
        ({"type": "strnig"}, "not a valid JSON Schema: 'strnig'"),
        ({"properties": []}, "not a valid JSON Schema"),
        ({"properties": {"a": {"minimum": "1"}}}, "not a valid JSON Schema"),
        ({"$schema": "http://json-schema.org/draft-04/schema#"}, "use one of https://json-schema"),
        ({"$schema": 7}, "use one of"),
        ({"items": {"$schema": "http://json-schema.org/draft-07/schema#"}}, "at the top only"),
        ({"$defs": {"a": {"$id": "https://x.test/a"}}}, "$id is allowed at the top only"),
        ({"$ref": "https://evil.test/schema.json"}, "leaves the schema"),
        ({"$ref": "file:///etc/passwd"}, "leaves the schema"),
        ({"items": {"$ref": "other.json#/$defs/a"}}, "leaves the schema"),
        ({"$ref": "https://json-schema.org/draft/2020-12/schema"}, "leaves the schema"),
        ({"$ref": "#/$defs/absent"}, "leads nowhere"),
        ({"$ref": "#absent"}, "leads nowhere"),
        ({"$ref": "#/enum", "enum": ["a"]}, "does not lead to a schema"),
        ({"$ref": "#"}, "leads back to itself"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"allOf": [{"$ref": "#"}]}}}, "leads back to itself"),
        ({"unevaluatedProperties": False}, "use additionalProperties"),
        ({"unevaluatedItems": False}, "use items"),
        ({"$dynamicRef": "#a"}, "use $ref"),
        ({"pattern": "(?=a)b"}, "RE2"),
        ({"pattern": r"(a)\1"}, "RE2"),
        ({"pattern": "("}, "RE2"),
        ({"pattern": "(a{1000}){1000}"}, "RE2"),
        ({"items": {"patternProperties": {"(?<!a)b": {}}}}, "RE2"),
        ({"pattern": "(" * 5000 + ")" * 5000}, "10000 characters; at most 500"),
        ({"required": [1, "a"]}, "required must be a list of strings"),
        ({"type": ["string", {}]}, "type must be a list of strings"),
        ({"dependentRequired": {"a": [[]]}}, "dependentRequired must be a list of strings"),
        ({"description": "x" * MAX_SCHEMA_BYTES}, "at most 65,536 are allowed"),
        ({"minimum": float("nan")}, "cannot be written as JSON"),
        ({"title": "\ud800"}, "cannot be written as JSON"),
        ({"title": object()}, "cannot be written as JSON"),
        (nested(MAX_SCHEMA_DEPTH + 1), "more than 32 levels"),
        (nested(100_000), "cannot be written as JSON"),
        (
            {"properties": {str(i): {} for i in range(MAX_SCHEMA_OBJECTS)}},
            "more than 2,000 objects",
        ),
    ],
)
def test_a_schema_that_cannot_work_is_refused_with_the_reason(schema: Any, reason: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        check_schema(schema)

    assert reason in caught.value.message
    assert caught.value.message.startswith("response_schema: ")
    assert caught.value.pointer == "/response_schema"
    assert len(caught.value.message) < 500


def test_a_schema_of_another_name_is_refused_by_that_name() -> None:
    with pytest.raises(InvalidParameter, match=r"^output_schema: ") as caught:
        check_schema([], name="output_schema")

    assert caught.value.pointer == "/output_schema"


def test_no_reference_is_ever_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: Any, **__: Any) -> None:
        raise AssertionError("something was fetched")

    monkeypatch.setattr("urllib.request.urlopen", no_network)
    schema = {"properties": {"a": {"$ref": "https://evil.test/schema.json"}}}

    with pytest.raises(InvalidParameter):
        check_schema(schema)
    assert mismatch({"a": 1}, schema)


@pytest.mark.parametrize(
    "answer",
    [
        {"name": "Ann"},
        {"name": "Ann", "age": 0, "born": "1990-02-28", "tags": ["a", "b"]},
    ],
)
def test_a_matching_answer_is_the_output(answer: dict[str, Any]) -> None:
    assert parse(json.dumps(answer), "json", schema=PERSON) == Parsed(answer)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ([], "at the top: [] is not of type 'object'"),
        ({}, "at the top: 'name' is a required property"),
        ({"name": ""}, "at /name: '' should be non-empty"),
        ({"name": "A", "age": -1}, "at /age: -1 is less than the minimum of 0"),
        ({"name": "A", "age": "1"}, "at /age: '1' is not of type 'integer'"),
        (
            {"name": "A", "born": "1990"},
            r"at /born: '1990' does not match '^\\d{4}-\\d{2}-\\d{2}$'",
        ),
        ({"name": "A", "tags": ["a", "c"]}, "at /tags/1: 'c' is not one of ['a', 'b']"),
        ({"name": "A", "tags": ["a", "a"]}, "at /tags: ['a', 'a'] has non-unique elements"),
        ({"name": "A", "x": 1}, "at the top: Additional properties are not allowed ('x')"),
    ],
)
def test_a_mismatch_is_said_with_its_place(answer: Any, sentence: str) -> None:
    parsed = parse(json.dumps(answer), "json", schema=PERSON)

    assert parsed.output is None
    assert parsed.problem == f"The answer does not match the response schema: {sentence}"


def test_names_in_a_place_are_escaped_as_in_a_json_pointer() -> None:
    schema = {"properties": {"a/b": {"properties": {"~": {"type": "string"}}}}}

    assert "at /a~1b/~0: 1 is not" in str(mismatch({"a/b": {"~": 1}}, schema))


def test_many_mismatches_are_said_shortly() -> None:
    answer = ["x" * 10_000] * 1000

    problem = mismatch(answer, {"items": {"type": "integer"}})

    assert problem
    assert len(problem) < 2000
    assert problem.count("is not of type 'integer'") == 5


def test_the_same_mismatch_is_said_once() -> None:
    schema = {"allOf": [{"type": "string"}, {"type": "string"}]}

    assert str(mismatch(1, schema)).count("is not of type 'string'") == 1


@pytest.mark.parametrize(
    ("value", "schema", "matches"),
    [
        ([1, 1.0], {"uniqueItems": True}, False),
        ([1, True], {"uniqueItems": True}, True),
        ([0, False, "", None, [], {}], {"uniqueItems": True}, True),
        ([{"a": [1]}, {"a": [1.0]}], {"uniqueItems": True}, False),
        ([{"a": 1, "b": 2}, {"b": 2, "a": 1}], {"uniqueItems": True}, False),
        ([[1, 2], [2, 1]], {"uniqueItems": True}, True),
        ([1, 1], {"uniqueItems": False}, True),
        ("1 1", {"uniqueItems": True}, True),
        ("xay", {"pattern": "a"}, True),
        ("xby", {"pattern": "a"}, False),
        (7, {"pattern": "a"}, True),
        ("é", {"pattern": r"^\u00e9$"}, True),
        (r"\u00e9", {"pattern": r"^\\u00e9$"}, True),
        ({"xa": 1}, {"patternProperties": {"a": {"type": "string"}}}, False),
        ({"xb": 1}, {"patternProperties": {"a": {"type": "string"}}}, True),
        (7, {"patternProperties": {"a": False}}, True),
        ({"a": 1, "b": 2}, {"properties": {"a": {}}, "additionalProperties": False}, False),
        (
            {"a": 1, "b1": 2},
            {
                "properties": {"a": {}},
                "patternProperties": {"^b": {}},
                "additionalProperties": False,
            },
            True,
        ),
        ({"a": 1}, {"additionalProperties": {"type": "string"}}, False),
        ({"a": "1"}, {"additionalProperties": {"type": "string"}}, True),
        ({"a": 1}, {"additionalProperties": True}, True),
        ([], {"additionalProperties": False}, True),
        ("nobody", {"format": "email"}, True),
        ({"c": [{"c": []}]}, {"properties": {"c": {"items": {"$ref": "#"}}}}, True),
        (
            {"c": [{"c": 1}]},
            {"properties": {"c": {"type": "array", "items": {"$ref": "#"}}}},
            False,
        ),
        (
            {"a": 1},
            {
                "$schema": "http://json-schema.org/draft-07/schema#",
                "dependencies": {"a": ["b"]},
            },
            False,
        ),
        (
            [1, "a", True],
            {
                "$schema": "http://json-schema.org/draft-07/schema#",
                "items": [{"type": "integer"}],
                "additionalItems": {"type": "string"},
            },
            False,
        ),
    ],
)
def test_keywords_mean_what_the_standard_says(
    value: Any, schema: dict[str, Any], matches: bool
) -> None:
    check_schema(schema)

    assert (mismatch(value, schema) is None) is matches


def multiplying(levels: int) -> dict[str, Any]:
    """Each level applies the next one twice: 2^levels steps from a page of schema."""
    defs: dict[str, Any] = {
        f"s{i}": {"allOf": [{"$ref": f"#/$defs/s{i + 1}"}] * 2} for i in range(levels)
    }
    return {"$ref": "#/$defs/s0", "$defs": {**defs, f"s{levels}": {}}}


def test_references_that_multiply_are_refused_soon() -> None:
    started = time.thread_time()

    with pytest.raises(InvalidParameter, match="takes too long to apply"):
        check_schema(multiplying(40))

    assert time.thread_time() - started < 2


@pytest.mark.usefixtures("short_limit")
def test_references_that_multiply_with_the_answer_stop_at_the_limit() -> None:
    twice = {"allOf": [{"$ref": "#/$defs/node"}] * 2}
    schema = {"$ref": "#/$defs/node", "$defs": {"node": {"properties": {"a": twice}}}}
    answer: dict[str, Any] = {}
    for _ in range(40):
        answer = {"a": answer}
    check_schema(schema)
    started = time.thread_time()

    problem = mismatch(answer, schema)

    assert problem
    assert "too much CPU time" in problem
    assert time.thread_time() - started < 2


@pytest.mark.usefixtures("short_limit")
@pytest.mark.parametrize(
    ("value", "schema"),
    [
        ("a" * 99_999 + "!", {"pattern": "^(a+)+$"}),
        ("x" * 99_999, {"pattern": "(x+x+)+y"}),
        ("1,2,3,4,5,6,7,8,9,10,11,12,13" * 3_000, {"pattern": "^(.*?,){15}P"}),
        ("ab" * 50_000, {"pattern": "(a|b)*a(a|b){400}$"}),
        ("ab" * 4_000_000, {"pattern": "(a|b)*a(a|b){400}$"}),
        (
            {f"{i}aaaaaaaaaaaaaaaaaaaaaaaaaaaaa!": 1 for i in range(2_000)},
            {"patternProperties": {f"^{i}(a+)+$": {} for i in range(500)}},
        ),
        (
            {f"a{i}": 1 for i in range(50_000)},
            {
                "patternProperties": {f"b{i}": {} for i in range(1_000)},
                "additionalProperties": False,
            },
        ),
        ([["a", None, i] for i in range(20_000)] + [1], {"uniqueItems": True}),
        (["v1999"] * 100_000, {"items": {"enum": [f"v{i}" for i in range(2_000)]}}),
    ],
    ids=range(9),
)
def test_no_answer_keeps_a_worker_busy_for_long(value: Any, schema: dict[str, Any]) -> None:
    check_schema(schema)
    started = time.thread_time()

    mismatch(value, schema)

    assert time.thread_time() - started < 3


def test_a_long_text_under_a_pattern_is_a_problem_not_a_match() -> None:
    problem = mismatch("a" * 100_001, {"pattern": "a"})

    assert problem == (
        "The answer could not be checked against the response schema:"
        " a pattern is searched in at most 100,000 characters"
    )


@pytest.mark.parametrize(
    "schema",
    [
        {"required": [f"a{i}" for i in range(4_000)] + [1]},
        {"dependentRequired": {"a": [{}] * 1_500}},
        {"enum": [*(f"a{i}" for i in range(4_000)), 1]},
        {"allOf": [{"title": str(i)} for i in range(1_500)]},
    ],
    ids=["required", "dependentRequired", "enum", "allOf"],
)
def test_checking_a_schema_is_quick(schema: dict[str, Any]) -> None:
    started = time.thread_time()
    try:
        check_schema(schema)
    except InvalidParameter as error:
        assert "list of strings" in error.message  # noqa: PT017

    assert time.thread_time() - started < 3


def test_a_schema_is_compiled_once() -> None:
    schema = {"properties": {f"p{i}": {"type": "string"} for i in range(1_500)}}
    check_schema(schema)
    started = time.thread_time()

    for _ in range(5):
        check_schema(dict(reversed(schema.items())))

    assert time.thread_time() - started < 0.2  # compiling takes about as long as 20 of these


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.sampled_from(["name", "age", "tags", "x"]), inner, max_size=4)
        ),
        max_leaves=8,
    )
)
def test_what_passes_is_what_standard_jsonschema_passes(value: Any) -> None:
    assert (mismatch(value, PERSON) is None) is Draft202012Validator(PERSON).is_valid(value)


def test_the_refused_pattern_is_not_printed(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InvalidParameter):
        check_schema({"pattern": "(secret"})

    assert capfd.readouterr() == ("", "")


def test_importing_the_room_loads_none_of_its_packages() -> None:
    code = (
        "import sys, app.formats as f; f.parse('{}', 'json'); f.instruction('json');"
        "print([m for m in ('jsonschema', 're2', 'nh3', 'markdown_it') if m in sys.modules])"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert printed.stdout.strip() == "[]"
