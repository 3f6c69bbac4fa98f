"""The pure parts of an output's page: masks, reasons, trees, prompts, the story, drafts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.datastructures import MultiDict

from api.web import drafts, json_tree, reasons
from api.web.addresses import own
from api.web.comparison import asked_differently, compared
from api.web.drafts import Draft
from api.web.json_tree import Node, tree
from api.web.masks import masked, unmasked
from api.web.prompt_parts import prompt_of
from api.web.timeline import KINDS, OUTCOMES, steps, wait_in_words
from app.errors import InvalidContext, MissingVariables, UnsupportedModel
from app.log import REDACTED
from app.retry import RetryPolicy, backoff_seconds
from models import Kind, Outcome

KEYS = st.sampled_from(["name", "password", "api_key", "topic", "x"])
SECRETS = st.sampled_from(["plain", "sk-abcdefgh12345", "Bearer abcdefgh1234", "", REDACTED])
VALUES = st.recursive(
    st.none() | st.integers() | SECRETS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=10,
)
POLICY = RetryPolicy(5, 300)


def row(**changes: Any) -> dict[str, Any]:
    return {
        "template_name": "Explain {{concept}}",
        "messages": None,
        "system": None,
        "context": {"concept": "bees"},
        "definition": None,
        "workitem": None,
        "fetchers": None,
        "format": "text",
        "response_schema": None,
        "prompt": None,
        "model_name": "gpt-4",
        "options": None,
        "raw_response": "They dance.",
        "parsed_output": None,
        "queue": "default",
        "status": "completed",
        "created_at": "2026-01-01T00:00:00.000Z",
        "finished_at": "2026-01-01T00:00:09.000Z",
        "attempts": [],
        **changes,
    }


def attempt(**changes: Any) -> dict[str, Any]:
    numbers = ("exchange", "http_status", "input_tokens", "output_tokens", "cached_tokens", "cost")
    seconds = ("duration_seconds", "first_token_seconds", "delay_seconds")
    words = ("provider", "provider_model", "provider_request_id", "error_code", "error_message")
    return {
        **dict.fromkeys((*numbers, *seconds, *words)),
        "number": 1,
        "kind": "answer",
        "outcome": "completed",
        "worker": "w1",
        "started_at": "2026-01-01T00:00:01.000Z",
        "finished_at": "2026-01-01T00:00:02.000Z",
        **changes,
    }


# --- masks


@given(VALUES)
def test_a_mask_left_as_it_is_stands_for_the_value(value: Any) -> None:
    assert unmasked(masked(value), value) == value


@pytest.mark.parametrize(
    "secret",
    [
        {"api_key": "k"},
        {"a": [{"password": {"deep": "k"}}]},
        {"note": "use Bearer kkkkkkkkkkkk"},
        {"user": {"access_token": 7}},
    ],
)
def test_secrets_are_masked_by_name_and_look(secret: dict[str, Any]) -> None:
    shown = json.dumps(masked(secret))
    assert REDACTED in shown
    assert "kkk" not in shown
    assert '"k"' not in shown


def test_what_is_changed_beside_a_mask_is_kept() -> None:
    original = {"api_key": "old", "topic": "bees", "list": [{"token": "t"}, 1]}
    edited = {**masked(original), "topic": "ants", "new": 1}
    edited["list"] = [{"token": REDACTED}, 2, 3]
    assert unmasked(edited, original) == {
        "api_key": "old",
        "topic": "ants",
        "list": [{"token": "t"}, 2, 3],
        "new": 1,
    }


def test_a_value_nested_too_deep_shows_no_secret() -> None:
    value: Any = {"password": "k"}
    for _ in range(200):
        value = {"x": value}
    assert '"k"' not in json.dumps(masked(value))


# --- reasons and addresses


@given(
    st.lists(st.sampled_from([r for group in reasons.FOR.values() for r in group]), unique=True),
    st.text(max_size=40).map(str.strip),
)
def test_reasons_and_text_come_back(ticked: list[str], text: str) -> None:
    found = reasons.taken_apart(reasons.joined(ticked, text))
    if ticked:
        assert (list(found.reasons), found.text) == (ticked, text)


@pytest.mark.parametrize(
    "comment", [None, "", "fine", "Reasons: my own", "Reasons: ", "a\nReasons: Unsafe"]
)
def test_a_comment_written_elsewhere_is_all_text(comment: str | None) -> None:
    found = reasons.taken_apart(comment)
    assert (found.reasons, found.text) == ((), comment or "")


@pytest.mark.parametrize(
    "forged", ["", "x", "//evil.test", "/\\evil", "/a\\b", "https://evil.test", "/a\nb", "/\t/x"]
)
def test_only_a_path_of_ours_is_gone_on_to(forged: str) -> None:
    assert own(forged, "/home") == "/home"
    assert own("/llm_outputs?q=a%20b", "/home") == "/llm_outputs?q=a%20b"


# --- trees


def nodes(node: Node) -> int:
    return 1 + sum(nodes(child) for child in node.children)


def test_a_tree_names_keys_and_sizes() -> None:
    found = tree({"a": [1, "x", None], "b": {}})
    assert (found.kind, found.text) == ("object", "2 keys")
    inner = found.children[0]
    assert [(c.name, c.kind, c.text) for c in inner.children] == [
        ("0", "number", "1"),
        ("1", "text", '"x"'),
        ("2", "word", "null"),
    ]


@pytest.mark.parametrize(
    "value",
    [list(range(100_000)), {str(i): [i] * 10 for i in range(10_000)}, [[[0] * 99] * 99] * 99],
)
def test_a_large_value_makes_a_bounded_tree_that_says_so(value: Any) -> None:
    found = tree(value)
    assert nodes(found) < json_tree.MOST_NODES + 200
    assert any(child.kind == "more" for child in found.children) or found.children[-1].children


def test_a_deep_value_makes_a_shallow_tree() -> None:
    value: Any = "bottom"
    for _ in range(5_000):
        value = [value]
    found, depth = tree(value), 0
    while found.children:
        found, depth = found.children[0], depth + 1
    assert depth == json_tree.DEEPEST
    assert "too deep" in found.text


# --- the prompt


def test_values_are_told_from_the_templates_own_words() -> None:
    found = prompt_of(row(prompt="Explain bees"))
    (said,) = found.messages
    assert [(p.text, p.name) for p in said.parts] == [("Explain ", ""), ("bees", "concept")]
    assert (found.missing, found.unused, found.sent) == ((), (), None)


def test_missing_and_unused_variables_are_named() -> None:
    asked = {
        "template_name": "{{a}} {{user.name}} {{gone}}",
        "context": {"a": 1, "user": {}, "b": 2},
    }
    found = prompt_of(row(**asked))
    assert found.missing == ("user.name", "gone")
    assert found.unused == ("b",)


def test_what_fetchers_may_have_filled_is_not_called_missing() -> None:
    found = prompt_of(
        row(template_name="{{who.name}}", context={}, fetchers={"who": {}}, prompt="Ada")
    )
    assert (found.missing, found.sent) == ((), "Ada")


def test_the_formats_own_words_are_shown_as_such() -> None:
    messages = [{"role": "system", "content": "Be {{how}}"}, {"role": "user", "content": "Hi"}]
    found = prompt_of(
        row(messages=messages, format="json", system="Kind", context={"how": "short"})
    )
    assert [(said.role, bool(said.note)) for said in found.messages] == [
        ("system", False),
        ("system", True),
        ("system", False),
        ("user", False),
    ]


def test_a_template_that_does_not_parse_is_shown_as_text() -> None:
    (said,) = prompt_of(row(template_name="{{open")).messages
    assert said.parts[0].text == "{{open"


# --- the story


def test_every_kind_and_outcome_has_its_words() -> None:
    assert set(KINDS) == set(Kind)
    assert set(OUTCOMES) == set(Outcome)


@pytest.mark.parametrize("retried", range(12))
def test_the_formula_of_a_backoff_is_told(retried: int) -> None:
    for _ in range(50):
        said = wait_in_words(backoff_seconds(retried, POLICY), retried, POLICY)
        assert "= 5 s · 2" in said or "= the cap of 300 s ×" in said, said


def test_a_delay_longer_than_any_backoff_was_the_providers_wish() -> None:
    assert wait_in_words(120, 0, POLICY).endswith("as long as the provider asked for")


def test_a_lost_attempt_is_told_apart_from_a_failed_one() -> None:
    story = steps(
        row(
            attempts=[
                attempt(outcome="retried", error_code="overloaded", delay_seconds=5.0),
                attempt(number=2, outcome="lost", error_code="worker_lost"),
                attempt(number=3, kind="repair"),
            ]
        ),
        POLICY,
    )
    assert [step.tone for step in story] == ["plain", "warn", "lost", "good", "good"]
    assert (
        story[1].wait
        == "Waits 5.00 s = 5 s · 2⁰ × 1.00 (chance between 0.5 and 1.5, at most 300 s)"
    )
    assert dict(story[3].facts)["Kind"].startswith("Repair call")


def test_a_wake_up_stands_where_it_belongs() -> None:
    woken = "2026-01-01T00:00:05.000Z"
    waiting = row(status="pending", finished_at=None)
    assert [s.title for s in steps(waiting, POLICY, woken_at=woken)][-1].startswith("Wake-up")
    again = {**waiting, "attempts": [attempt(outcome="retried", delay_seconds=1.0)]}
    assert [s.at for s in steps(again, POLICY, woken_at=woken)][-1] == woken
    assert len(steps(again, POLICY)) == 2


# --- drafts and comparing


def test_a_form_sent_as_it_opened_changes_nothing() -> None:
    for asked in (
        row(),
        row(template_name="a\nb\n", options={"x": 1}, context={"token": "t", "list": [1]}),
        row(messages=[{"role": "user", "content": "Hi"}], context=None),
    ):
        draft = drafts.of_row(asked)
        sent = MultiDict({name: getattr(draft, name) for name in Draft.__slots__})
        typed = MultiDict({name: text.replace("\n", "\r\n") for name, text in sent.items()})
        found = drafts.changes(drafts.of_form(typed), asked)
        assert (found.wanted, found.errors) == ({}, {})


def test_another_model_wins_and_an_emptied_option_is_an_empty_object() -> None:
    draft = Draft("T", "{}", "gpt-4", "vllm/mine", "")
    found = drafts.changes(draft, row(options={"a": 1}))
    assert found.wanted == {"template": "T", "model": "vllm/mine", "context": {}, "options": {}}


@pytest.mark.parametrize("text", ["{", "[]", "7", '"x"', "null", '{"a": NaN}', "[" * 100_000])
def test_a_context_that_is_no_object_is_refused(text: str) -> None:
    found = drafts.changes(Draft("T", text, "gpt-4"), row())
    assert set(found.errors) == {"context"}


def test_true_instead_of_one_is_a_change() -> None:
    found = drafts.changes(
        Draft("Explain {{concept}}", '{"a": true}', "gpt-4"), row(context={"a": 1})
    )
    assert found.wanted["context"]["a"] is True


def test_refusals_stand_beside_their_field() -> None:
    assert set(drafts.errors_of(UnsupportedModel("x"))) == {"model"}
    assert set(drafts.errors_of(MissingVariables(["a"]))) == {"context"}
    assert set(drafts.errors_of(InvalidContext())) == {"context"}


def test_only_what_was_asked_differently_is_listed() -> None:
    changed = drafts.changed_row(row(), {"model": "gpt-5", "context": {"concept": "ants"}})
    assert [s.title for s in asked_differently(row(), changed)] == ["Context", "Model"]
    both = compared(
        row(format="json", parsed_output={"a": 1}), row(format="json", parsed_output=[])
    )
    assert both[-1].value is not None
    assert both[-1].differs
