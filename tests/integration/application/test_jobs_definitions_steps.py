"""A definition's job carried out: what is sent, in which order, and what is read of the answers."""

from __future__ import annotations

from typing import Any

import pytest

from app import lifecycle
from app.accounts import OPERATOR
from app.errors import ProviderFailed
from app.jobs import cancel
from app.lifecycle import Again, Delivery
from app.plugins import registry
from app.prompts.hooks import PromptEvent, prompt_builder
from app.testing import TestBed
from models import Kind, LLMOutput
from tests.integration.application.defined import Desk, ask, defined, imixs

SUMMARY = {"$workflowsummary": "Invoice 7 of ACME"}


@pytest.fixture
def desk(llm_jobs_bed: TestBed) -> Desk:
    return Desk(llm_jobs_bed)


# The seed's documents, as they stand


def test_the_seeds_definition_sends_its_two_messages(desk: Desk) -> None:
    model = desk.says("Eight bits.")
    row = desk.done(prompt_xml=imixs("definition.xml"))
    assert model.asked == [
        [("system", "You are a computer expert."), ("user", "How long is a byte?")]
    ]
    assert (row.status, row.raw_response, row.result_items) == ("completed", "Eight bits.", None)


def test_the_seeds_boolean_prompt_sends_its_options_and_gives_a_boolean(desk: Desk) -> None:
    model = desk.says(" True. ")
    row = desk.done(prompt_xml=imixs("prompt.xml"), workitem=SUMMARY)
    (call,) = model.calls
    assert call.options == {"n_predict": 16, "temperature": 0}
    assert call.any_option
    system, user = model.asked[0]
    assert system[0] == "system"
    assert system[1].startswith("\n       You are a sales expert.")
    assert user == ("user", "\n       Invoice 7 of ACME \n    ")
    assert (row.status, row.result_items) == ("completed", {"ai.result": [True]})


def test_a_system_message_clears_everything_before_it(desk: Desk) -> None:
    model = desk.says("fine")
    messages = [
        {"role": "system", "content": "one"},
        {"role": "user", "content": "two"},
        {"role": "system", "content": "three"},
        {"role": "user", "content": "four"},
    ]
    desk.done({"messages": messages})
    assert model.asked == [[("system", "three"), ("user", "four")]]


def test_the_seeds_suggestions_are_items_without_any_call(desk: Desk) -> None:
    row = desk.done(prompt_xml=imixs("suggest.xml"))
    assert row.status == "completed"
    assert row.result_items == {
        "ai.suggest.items": ["invoice.number", "cdtr.name"],
        "ai.suggest.mode": ["OFF"],
    }
    assert desk.bed.model.calls == []
    assert [a.provider for a in desk.attempts(row)] == [None]


# The answer


def test_an_unreadable_boolean_is_asked_for_once_more_with_the_answer_before_it(
    desk: Desk,
) -> None:
    model = desk.says("I think so", "true")
    row = desk.done(ask("Paid?", result_event="BOOLEAN", result_item="paid"))
    assert (row.status, row.result_items, row.raw_response) == (
        "completed",
        {"paid": [True]},
        "true",
    )
    assert model.asked[1][:2] == [("user", "Paid?"), ("assistant", "I think so")]
    assert "true or false" in model.asked[1][2][1]
    first, second = desk.attempts(row)
    assert (first.outcome, first.error_code) == ("continued", "ERROR_LLM_PROMPT_INFERENCE")
    assert (second.kind, second.outcome) == ("ask_again", "completed")


def test_a_boolean_that_is_unreadable_twice_fails_and_is_not_asked_for_a_third_time(
    desk: Desk,
) -> None:
    model = desk.says("perhaps")
    row = desk.done(ask("Paid?", result_event="BOOLEAN"))
    assert (row.status, row.error_code) == ("failed", "ERROR_LLM_PROMPT_INFERENCE")
    assert (len(model.calls), row.tries) == (2, 1)


def test_a_result_event_is_read_and_the_text_is_kept_in_the_result_item(desk: Desk) -> None:
    desk.says('Here: {"total": 4100, "lines": [1, 2.5]}')
    row = desk.done(ask("Read it", result_event="json", result_item="answer"))
    assert row.result_items == {
        "total": [4100],
        "lines": [1, 2.5],
        "answer": ['Here: {"total": 4100, "lines": [1, 2.5]}'],
    }


def test_a_result_item_alone_keeps_the_trimmed_text(desk: Desk) -> None:
    desk.says("  An invoice.\n")
    assert desk.done(ask("What?", result_item="kind")).result_items == {"kind": ["An invoice."]}


# Several steps


TWO = (
    ask("What is it?", result_item="kind"),
    ask("Say more of <itemvalue>kind</itemvalue>", result_item="more", options={"top_k": 4}),
)


def test_steps_run_in_order_each_an_attempt_and_a_later_one_reads_the_earlier_ones_item(
    desk: Desk,
) -> None:
    model = desk.says("invoice", "It is due.")
    row = desk.done(*TWO)
    assert model.asked == [[("user", "What is it?")], [("user", "Say more of invoice")]]
    assert [dict(call.options) for call in model.calls] == [{}, {"top_k": 4}]
    assert row.result_items == {"kind": ["invoice"], "more": ["It is due."]}
    assert (row.raw_response, row.prompt) == ("It is due.", "Say more of invoice")
    kinds = [(a.number, a.kind, a.outcome) for a in desk.attempts(row)]
    assert kinds == [(1, "answer", "continued"), (2, "step", "completed")]


def test_a_job_that_is_tried_again_goes_on_at_the_step_that_failed(desk: Desk) -> None:
    model = desk.says("invoice", ProviderFailed("away"), "It is due.")
    row = desk.done(*TWO)
    assert [messages[0][1] for messages in model.asked] == [
        "What is it?",
        "Say more of invoice",
        "Say more of invoice",
    ]
    assert (row.status, row.result_items) == (
        "completed",
        {"kind": ["invoice"], "more": ["It is due."]},
    )


def test_a_worker_that_dies_between_steps_leaves_the_first_one_done(desk: Desk) -> None:
    output_id = desk.submit(definition=defined(*TWO))
    row = desk.bed.row(output_id)
    with desk.bed.runtime.database.write() as session:
        delivery = Delivery(row.id, row.job_id)
        (claim,) = lifecycle.claim(session, [delivery], worker="w", lease_seconds=60).values()
        step = Again(
            output_id=row.id,
            fence=claim.fence,
            kind=Kind.STEP,
            worker="w",
            lease_seconds=0,
            result_items={"kind": ["invoice"]},
            steps_done=1,
        )
        assert lifecycle.again(session, [step])
    with desk.bed.runtime.database.write() as session:
        assert lifecycle.rescue(session)  # its lease was over at once
    model = desk.says("It is due.")
    row = desk.bed.perform(output_id)
    assert model.asked == [[("user", "Say more of invoice")]]
    assert row.result_items == {"kind": ["invoice"], "more": ["It is due."]}


def test_each_step_goes_to_its_own_model_and_the_jobs_model_to_all(desk: Desk) -> None:
    steps = [ask("One", model="gpt-4"), ask("Two", model="claude-3-5-haiku-latest")]
    model = desk.says("x")
    desk.done(*steps)
    assert [call.model for call in model.calls] == ["gpt-4", "claude-3-5-haiku-latest"]
    model = desk.says("x")
    desk.done(*steps, model="gpt-4o")
    assert [call.model for call in model.calls] == ["gpt-4o", "gpt-4o"]


def test_the_jobs_options_go_over_each_steps_and_its_format_is_the_last_ones(desk: Desk) -> None:
    model = desk.says('{"a": 1}')
    steps = [ask("One", options={"top_k": 1, "seed": 2}), ask("Two", options={"seed": 3})]
    row = desk.done(*steps, options={"seed": 9}, format="json")
    assert [dict(c.options) for c in model.calls] == [{"top_k": 1, "seed": 9}, {"seed": 9}]
    assert [call.json for call in model.calls] == [False, True]
    assert row.parsed_output == {"a": 1}


def test_a_cancelled_job_of_several_steps_asks_nothing_more(desk: Desk) -> None:
    model = desk.says("x")
    output_id = desk.submit(definition=defined(*TWO))
    cancel(desk.bed.runtime, OPERATOR, desk.bed.row(output_id).job_id)
    assert (desk.bed.row(output_id).status, model.calls) == ("cancelled", [])


def test_a_value_that_looks_like_a_tag_is_never_expanded(desk: Desk) -> None:
    model = desk.says("x")
    workitem = {"a": "<itemvalue>secret</itemvalue> {{b}}", "secret": "S"}
    desk.done(ask("<itemvalue>a</itemvalue> {{b}}"), workitem=workitem, context={"b": "{{c}}"})
    assert model.asked == [[("user", "<itemvalue>secret</itemvalue> {{b}} {{c}}")]]


# Builders


@pytest.fixture
def build(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Registers a builder for this test."""

    def register(function: Any) -> None:
        builder = prompt_builder("of_the_test")(function)
        monkeypatch.setitem(registry().prompt_builders._parts, "of_the_test", builder)

    return register


def test_a_builder_rewrites_each_message_of_each_step(desk: Desk, build: Any) -> None:
    seen: list[tuple[str, Any, int | None]] = []

    def order_number(event: PromptEvent) -> str:
        seen.append((event.role, event.workitem.first("order"), event.output_id))
        return event.text.replace("{orderid}", "4711")

    build(order_number)
    model = desk.says("x")
    row = desk.done(ask("Order {orderid}"), ask("Again {orderid}"), workitem={"order": "o"})
    assert model.asked == [[("user", "Order 4711")], [("user", "Again 4711")]]
    assert seen == [("user", "o", row.id)] * 2
    assert row.prompt == "Again 4711"


def test_a_failing_builder_fails_the_job_for_good_and_calls_nobody(desk: Desk, build: Any) -> None:
    def broken(event: PromptEvent) -> str:
        raise ValueError("canary")

    build(broken)
    model = desk.says("x")
    row = desk.done(ask("Hello"))
    assert (row.status, row.error_code, row.tries) == ("failed", "PROMPT_ERROR", 1)
    assert (model.calls, "canary" in str(row.error_message)) == ([], False)


def test_a_tag_a_builder_writes_is_sent_as_it_is(desk: Desk, build: Any) -> None:
    build(lambda event: f"{event.text} <itemvalue>secret</itemvalue>")
    model = desk.says("x")
    desk.done(ask("Hello"), workitem={"secret": "S"})
    assert model.asked == [[("user", "Hello <itemvalue>secret</itemvalue>")]]


# Debug


def exchanges(desk: Desk, row: LLMOutput) -> list[Any]:
    return [attempt.exchange for attempt in desk.attempts(row)]


def test_only_a_debugged_job_keeps_what_was_sent_and_heard(desk: Desk) -> None:
    desk.says("maybe", "true")
    steps = [ask("Paid?", result_event="BOOLEAN")]
    assert exchanges(desk, desk.done(*steps)) == [None, None]
    desk.says("maybe", "true")
    first, second = exchanges(desk, desk.done(*steps, debug=True))
    assert first["request"]["messages"] == [{"role": "user", "content": "Paid?"}]
    assert (first["answer"]["text"], second["answer"]["text"]) == ("maybe", "true")


def test_a_definition_may_ask_to_be_debugged_itself(desk: Desk) -> None:
    desk.says("true")
    row = desk.done(prompt_xml=imixs("prompt.xml"), workitem=SUMMARY)
    assert row.debug
    assert exchanges(desk, row)[0]["request"]["options"] == {"n_predict": 16, "temperature": 0}


def test_a_failed_call_of_a_debugged_job_keeps_its_error(desk: Desk) -> None:
    desk.says(ProviderFailed("away"), "fine")
    first, second = exchanges(desk, desk.done(ask("Hello"), debug=True))
    assert (first["answer"], first["error"]["code"]) == (None, "provider_failed")
    assert (second["answer"]["text"], second["error"]) == ("fine", None)
