"""The simulator without its server: the grammar, the answers, schema values, the log's bounds."""

from __future__ import annotations

import json
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.simulator import witness as witnesses
from app.simulator.answers import say
from app.simulator.anthropic_wire import AnthropicWire
from app.simulator.behaviour import (
    FAILURES,
    HEALTHY,
    WORDS,
    Behaviour,
    Takes,
    UnknownBehaviour,
    of_model,
    read,
)
from app.simulator.control import StandingOrder
from app.simulator.faults import FAULTS, retry_after
from app.simulator.openai_wire import OpenAIWire
from app.simulator.question import End, Question, Rejected, tokens
from app.simulator.schema_value import value_for
from app.simulator.witness import Outcome, Witness

# --- the grammar ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "model",
    ["gpt-4", "claude-3-opus", "llama-3.2", "simulator/text", "simulation-500", "qwen3", "gpt-500"],
)
def test_an_ordinary_name_is_a_healthy_model(model: str) -> None:
    assert of_model(model) is HEALTHY


@pytest.mark.parametrize(
    ("model", "failure", "argument"),
    [
        ("gpt-sim-500", "500", ""),
        ("claude-sim-429-7", "429", "7"),
        ("sim-429-date-30", "429", "date-30"),
        ("ollama/llama-sim-html", "html", ""),
        ("simulator/503", "503", ""),
        ("simulator/choices-null", "choices-null", ""),
        ("hang", "hang", ""),
        ("GPT-SIM-RESET-BODY", "reset-body", ""),
        ("o1-sim-overloaded-2", "529", "2"),
        ("sim-redirect", "redirect", "302"),
        ("sim-redirect-307", "redirect", "307"),
        ("sim-drip", "drip", "0.5"),
    ],
)
def test_a_name_carries_one_failure(model: str, failure: str, argument: str) -> None:
    behaviour = of_model(model)

    assert (behaviour.failure, behaviour.argument) == (failure, argument)


@pytest.mark.parametrize("separator", ["+", "--"])
def test_words_are_joined(separator: str) -> None:
    behaviour = of_model("gpt-sim-" + separator.join(["slow-1.5", "rate-20", "echo", "503-2"]))

    assert behaviour == Behaviour(
        told=behaviour.told,
        latency_seconds=1.5,
        tokens_per_second=20,
        answers=frozenset({"echo"}),
        failure="503",
        argument="2",
    )


@pytest.mark.parametrize(
    "told",
    [
        "oops",
        "500+oops",
        "",
        "429-soon",
        "429--1",
        "hang-1",
        "redirect-200",
        "500+503",
        "latency-x",
    ],
)
def test_a_typing_error_is_not_a_healthy_model(told: str) -> None:
    with pytest.raises(UnknownBehaviour):
        read(told)


def test_the_refusal_of_an_unknown_word_names_the_known_ones() -> None:
    with pytest.raises(UnknownBehaviour, match=r"'50o'.*context-length.*wrong-types"):
        of_model("gpt-sim-50O")


@pytest.mark.parametrize(
    ("told", "failures"),
    [
        ("fail-2", ["500", "500", "", ""]),
        ("fail-2+429-1", ["429", "429", "", ""]),
        ("429-once", ["429", "", "", ""]),
        ("once+reset", ["reset", "", "", ""]),
        ("500", ["500", "500", "500", "500"]),
    ],
)
def test_a_failure_can_be_limited_to_the_first_calls_of_a_job(
    told: str, failures: list[str]
) -> None:
    assert [read(told).for_call(number).failure for number in (1, 2, 3, 4)] == failures


def test_once_limits_a_bad_answer_but_not_a_manner() -> None:
    behaviour = read("empty-once+echo")

    assert behaviour.for_call(1).answers == {"empty", "echo"}
    assert behaviour.for_call(2).answers == {"echo"}
    assert not behaviour.failure


def test_every_failure_word_is_played_and_every_wire_knows_every_error() -> None:
    assert {word.name for word in WORDS.values() if word.kind in FAILURES} == set(FAULTS)
    for name, word in WORDS.items():
        if word.kind == "error" and name != "overloaded":
            assert 400 <= OpenAIWire().failure(name, 1).status < 600
            assert 400 <= AnthropicWire().failure(name, 1).status < 600


@pytest.mark.parametrize(
    ("argument", "headers"),
    [
        ("", {}),
        ("7", {"Retry-After": "7"}),
        ("0.5", {"Retry-After": "0.5"}),
        ("negative", {"Retry-After": "-1"}),
        ("garbage", {"Retry-After": "abc"}),
        ("huge", {"Retry-After": "1000000000"}),
        ("ms-250", {"retry-after-ms": "250"}),
    ],
)
def test_an_error_carries_the_retry_after_it_is_told(
    argument: str, headers: dict[str, str]
) -> None:
    assert retry_after(argument) == headers


def test_a_retry_after_can_be_a_date() -> None:
    dates = [parsedate_to_datetime(retry_after(f"date-{n}")["Retry-After"]) for n in (0, 60)]

    assert 58 <= (dates[1] - dates[0]).total_seconds() <= 62


def test_the_reference_page_lists_every_word() -> None:
    page = (Path(__file__).parents[2] / "docs/reference/simulator.md").read_text(encoding="utf-8")

    for word in WORDS.values():
        argument = f"{word.takes}" + (f", {word.default}" if word.default else "")
        row = f"| `{word.name}` | {argument if word.takes is not Takes.NOTHING else '–'} |"
        assert f"{row} {word.meaning} |" in page


# --- the answers ----------------------------------------------------------------------------------


def _ask(prompt: str, told: str = "", **more: Any) -> Question:
    return Question(model="m", messages=(("user", prompt),), **more)


def _said(question: Question, told: str = "") -> str:
    return say(question, read(told) if told else HEALTHY, number=1).text


def test_a_text_answer_restates_the_prompt() -> None:
    assert "dragons are large" in _said(_ask("Know that dragons are large"))


def test_a_question_has_one_answer() -> None:
    question = _ask("Write about dragons in markdown")

    assert _said(question) == _said(question)
    assert _said(question) != _said(_ask("Write about gnomes in markdown"))


def test_echo_says_the_last_user_message_exactly() -> None:
    exact = "  first line\n\tsecond – ümläut  "
    messages = (("user", "before"), ("assistant", "yes"), ("user", exact), ("assistant", "no"))

    assert _said(Question(model="m", messages=messages), "echo") == exact


def test_the_format_is_the_one_the_words_mention() -> None:
    assert json.loads(_said(_ask("Answer in JSON: dragons")))["summary"].endswith("dragons")
    markdown = _said(_ask("As Markdown: dragons"))
    assert markdown.startswith("# ")
    assert "\n- **" in markdown
    page = _said(_ask("As HTML: <script>dragons</script>"))
    assert "<h1>" in page
    assert "<script>" not in page


def test_the_system_message_decides_the_format_before_the_prompt() -> None:
    messages = (("system", "Reply in JSON."), ("user", "Explain HTML"))

    assert json.loads(_said(Question(model="m", messages=messages)))


def test_a_json_parameter_gives_json_whatever_the_words() -> None:
    assert json.loads(_said(_ask("As markdown please", json=True)))


def test_the_token_limit_cuts_the_answer() -> None:
    said = say(_ask("dragons " * 50, limit=5), HEALTHY, number=1)

    assert (said.output_tokens, said.end) == (5, End.LENGTH)


def test_an_answer_has_as_many_tokens_as_asked() -> None:
    assert tokens(len(_said(_ask("dragons"), "tokens-1234"))) == 1234


def test_the_repairable_answer_is_mended_when_it_comes_back() -> None:
    broken = _said(_ask("List dragons as JSON"), "repairable")
    with pytest.raises(ValueError, match="Expecting"):
        json.loads(broken)

    for prompt in (f"Mend this: {broken}", f"Mend this: {json.dumps(broken)}"):
        assert json.loads(_said(_ask(prompt), "repairable"))


def test_bad_json_stays_bad_when_it_comes_back() -> None:
    broken = _said(_ask("List dragons as JSON", json=True), "bad-json")
    again = _said(_ask(f"Mend this: {broken}", json=True), "bad-json")

    for text in (broken, again):
        with pytest.raises(ValueError, match="Expecting"):
            json.loads(text)


@pytest.mark.parametrize(("word", "character"), [("surrogate", "\ud800"), ("nul", "\x00")])
def test_an_odd_character_is_in_the_text_and_in_the_parsed_json(word: str, character: str) -> None:
    assert character in _said(_ask("dragons"), word)
    assert character in json.loads(_said(_ask("dragons", json=True), word))["summary"]


def test_a_fence_is_put_around_the_answer() -> None:
    text = _said(_ask("dragons", json=True), "fenced")

    assert json.loads(text.removeprefix("```json\n").removesuffix("\n```"))


# --- values for schemas ---------------------------------------------------------------------------

_TREE = {
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
                "parent": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
            },
            "required": ["name", "children", "parent"],
            "additionalProperties": False,
        }
    },
    "$ref": "#/$defs/node",
}


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object"},
        {"const": [1, {"a": None}]},
        {"enum": ["red", "blue"]},
        {"type": ["null", "integer"], "minimum": 7},
        {"type": "string", "minLength": 300, "maxLength": 301},
        {"type": "string", "maxLength": 3},
        {"type": "string", "format": "date-time"},
        {"type": "integer", "exclusiveMinimum": 4, "multipleOf": 5},
        {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
        {"type": "number", "maximum": -2.5},
        {"type": "array", "items": {"type": "integer"}, "minItems": 3, "uniqueItems": True},
        {"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 2, "uniqueItems": True},
        {"type": "array", "items": {"type": "string"}, "minItems": 4, "uniqueItems": True},
        {"type": "array", "prefixItems": [{"type": "boolean"}], "items": False},
        {"type": "array", "maxItems": 0},
        {"anyOf": [{"type": "integer"}, {"type": "string"}]},
        {"allOf": [{"type": "object", "required": ["a"]}, {"properties": {"a": {"const": 1}}}]},
        {"type": "object", "required": ["unlisted"], "minProperties": 3},
        {
            "type": "object",
            "properties": {"tags": {"type": "array", "items": {"type": "string"}, "minItems": 2}},
            "required": ["tags"],
            "additionalProperties": False,
        },
        _TREE,
    ],
)
def test_a_schema_gets_a_value_that_validates(schema: dict[str, Any]) -> None:
    value = value_for(schema, "some words")

    jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker()).validate(
        value
    )
    json.dumps(value)


_leaves = st.one_of(
    st.builds(lambda n: {"type": "string", "minLength": n, "maxLength": n + 3}, st.integers(0, 30)),
    st.builds(lambda n: {"type": "integer", "minimum": n, "maximum": n + 3}, st.integers(-9, 9)),
    st.builds(lambda n: {"type": "number", "exclusiveMinimum": n}, st.integers(-9, 9)),
    st.builds(lambda v: {"enum": v}, st.lists(st.integers(), min_size=1, max_size=3, unique=True)),
    st.sampled_from([{"type": "boolean"}, {"type": "null"}, {"const": {"a": [1]}}]),
)
_schemas = st.recursive(
    _leaves,
    lambda inner: st.one_of(
        st.builds(
            lambda i, n: {"type": "array", "items": i, "minItems": n}, inner, st.integers(0, 3)
        ),
        st.builds(lambda a, b: {"anyOf": [a, b]}, inner, inner),
        st.builds(
            lambda p: {"type": "object", "properties": p, "required": sorted(p)[:2]},
            st.dictionaries(st.sampled_from("abcde"), inner, max_size=4),
        ),
    ),
    max_leaves=12,
)


@given(_schemas, st.text(max_size=40))
def test_any_plain_schema_gets_a_value_that_validates(schema: dict[str, Any], text: str) -> None:
    jsonschema.validate(value_for(schema, text), schema)


@pytest.mark.parametrize(
    "schema", [{"type": "array", "minItems": "many"}, {"type": "object", "required": 7}]
)
def test_an_impossible_schema_is_the_callers_mistake(schema: dict[str, Any]) -> None:
    with pytest.raises(Rejected):
        say(_ask("x", schema=schema), HEALTHY, number=1)


# --- the witness and the standing order -----------------------------------------------------------


def test_the_log_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(witnesses, "KEPT_RECORDS", 10)
    monkeypatch.setattr(witnesses, "KEPT_BODIES", 3)
    monkeypatch.setattr(witnesses, "KEPT_BODY_BYTES", 4)
    witness = Witness()

    for number in range(20):
        record = witness.begin("POST", "/", attempt=f"job-{number}/1", is_call=True)
        witness.keep_body(record, b"123456")
        witness.next_call_of(f"job-{number}")
        witness.end(record)

    kept = witness.requests()
    assert [record.job_id for record in kept] == [f"job-{n}" for n in range(10, 20)]
    assert [record.body for record in kept] == [b""] * 7 + [b"1234"] * 3
    assert witness.counts().calls == 20
    assert witness.next_call_of("job-0") == 1
    assert witness.next_call_of("job-19") == 2


def test_a_reset_forgets_all_but_the_calls_in_flight() -> None:
    witness = Witness()
    finished = witness.begin("POST", "/", attempt="", is_call=True)
    witness.end(finished)
    running = witness.begin("POST", "/", attempt="", is_call=True)

    witness.reset()
    running.input_tokens = 5
    running.outcome = Outcome.ANSWERED

    counts = witness.counts()
    assert (counts.requests, counts.in_flight, counts.peak_in_flight) == (0, 1, 1)
    witness.end(running)
    assert (witness.counts().in_flight, witness.counts().input_tokens) == (0, 0)


def test_a_standing_order_ends_after_its_calls() -> None:
    order = StandingOrder()
    order.give("503", calls=2)

    taken = [order.take() for _ in range(3)]

    assert [behaviour and behaviour.failure for behaviour in taken] == ["503", "503", None]


def test_a_standing_order_ends_after_its_time() -> None:
    order = StandingOrder()
    order.give("503", seconds=0)

    assert order.take() is None
    assert order.as_json() == {"behaviour": None}
