"""Every adapter keeps the contract, whichever vendor it speaks to: what a good answer is."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from app.errors import Refused
from app.providers.contract import Call, Message, Provider, Stop, Usage
from app.simulator.testing import RunningSimulator
from tests.conformance.adapters import QUESTION, Adapter, job_of

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "degrees": {"type": "integer"}},
    "required": ["city", "degrees"],
    "additionalProperties": False,
}


def sent(simulator: RunningSimulator, call: Call) -> dict[str, Any]:
    """The body of the one request made for `call`."""
    (record,) = simulator.calls(job_of(call))
    body: dict[str, Any] = json.loads(record.body)
    return body


def test_answer_carries_text_usage_and_where_it_came_from(
    adapter: Adapter, simulator: RunningSimulator, stream: bool
) -> None:
    call = adapter.call_named("echo", stream=stream)
    answer = adapter.ask(simulator.url, call)
    assert answer.text == QUESTION[0].content
    assert answer.stop is Stop.DONE
    assert answer.usage is not None
    assert answer.usage.input_tokens > 0
    assert answer.usage.output_tokens > 0
    assert answer.model == call.model
    assert answer.http_status == 200
    assert answer.request_id is not None
    assert answer.request_id.startswith("req_")
    assert answer.warnings == ()
    assert (answer.first_token_seconds is not None) is stream
    assert len(simulator.calls(job_of(call))) == 1


def test_stream_passes_text_on_in_order_and_ends_in_the_same_answer(
    adapter: Adapter, simulator: RunningSimulator
) -> None:
    pieces: list[str] = []

    async def on_text(piece: str) -> None:
        pieces.append(piece)

    plain = adapter.ask(simulator.url, adapter.call_named("tokens-200"))
    streamed = adapter.ask(
        simulator.url, adapter.call_named("tokens-200", stream=True), on_text=on_text
    )
    assert "".join(pieces) == streamed.text == plain.text
    assert streamed.usage == plain.usage
    assert streamed.stop is plain.stop
    assert streamed.service_tier == plain.service_tier


def test_stream_passes_text_on_while_it_arrives(
    adapter: Adapter, simulator: RunningSimulator
) -> None:
    pieces: list[str] = []

    async def on_text(piece: str) -> None:
        pieces.append(piece)

    call = adapter.call_named("tokens-30+rate-300", stream=True)
    adapter.ask(simulator.url, call, on_text=on_text)
    assert len(pieces) > 5


def test_cached_tokens_are_part_of_the_input(
    adapter: Adapter, simulator: RunningSimulator, stream: bool
) -> None:
    fresh = adapter.ask(simulator.url, adapter.call_named("echo", stream=stream)).usage
    cached = adapter.ask(simulator.url, adapter.call_named("echo+cached-5", stream=stream)).usage
    assert fresh is not None
    assert cached == Usage(fresh.input_tokens, fresh.output_tokens, cached_tokens=5)


def test_rate_limit_headers_are_reported(adapter: Adapter, simulator: RunningSimulator) -> None:
    limits = adapter.ask(simulator.url, adapter.call_named("remaining-3")).limits
    names = ("x-ratelimit-remaining-requests", "anthropic-ratelimit-requests-remaining")
    assert limits[names[adapter.wire == "anthropic"]] == "3"


def test_answer_cut_by_the_token_limit_is_returned_as_truncated(
    adapter: Adapter, simulator: RunningSimulator, stream: bool
) -> None:
    answer = adapter.ask(simulator.url, adapter.call_named("length", stream=stream))
    assert answer.stop is Stop.TRUNCATED
    assert answer.text


def test_token_limit_of_the_call_reaches_the_provider(
    adapter: Adapter, simulator: RunningSimulator, stream: bool
) -> None:
    call = adapter.call_named("tokens-200", options={"max_tokens": 20}, stream=stream)
    answer = adapter.ask(simulator.url, call)
    assert answer.stop is Stop.TRUNCATED
    assert answer.usage is not None
    assert answer.usage.output_tokens == 20


@pytest.mark.parametrize("word", ["refusal", "content-filter"])
def test_refusal_is_an_error_that_was_paid_for(
    adapter: Adapter, simulator: RunningSimulator, stream: bool, word: str
) -> None:
    call = adapter.call_named(word, stream=stream)
    with pytest.raises(Refused) as caught:
        adapter.ask(simulator.url, call)
    assert caught.value.billed is True
    assert caught.value.usage.input_tokens > 0
    assert not caught.value.retryable
    assert len(simulator.calls(job_of(call))) == 1


@pytest.mark.parametrize("word", ["nul", "surrogate"])
def test_unstorable_characters_are_replaced(
    adapter: Adapter, simulator: RunningSimulator, stream: bool, word: str
) -> None:
    answer = adapter.ask(simulator.url, adapter.call_named(word, stream=stream))
    assert "\ufffd" in answer.text
    answer.text.encode("utf-8")
    assert "\0" not in answer.text


def test_json_is_asked_for_where_the_vendor_has_a_switch(
    adapter: Adapter, simulator: RunningSimulator
) -> None:
    call = adapter.call_named("latency-0", json=True)
    answer = adapter.ask(simulator.url, call)
    body = sent(simulator, call)
    if adapter.wire == "anthropic":
        assert "output_config" not in body
    else:
        assert body["response_format"] == {"type": "json_object"}
        assert "json" in json.dumps(body["messages"]).lower()
        json.loads(answer.text)


def test_schema_is_held_by_the_vendor(
    adapter: Adapter, simulator: RunningSimulator, stream: bool
) -> None:
    call = adapter.call_named("latency-0", json=True, response_schema=SCHEMA, stream=stream)
    answer = json.loads(adapter.ask(simulator.url, call).text)
    assert set(answer) == {"city", "degrees"}
    body = sent(simulator, call)
    assert [m["content"] for m in body["messages"]] == [m.content for m in QUESTION]
    if adapter.wire == "anthropic":
        assert body["output_config"]["format"]["type"] == "json_schema"
    else:
        form = body["response_format"]["json_schema"]
        assert (form["schema"], form["strict"]) == (SCHEMA, True)


def test_schema_no_vendor_takes_is_told_to_the_model(
    adapter: Adapter, simulator: RunningSimulator
) -> None:
    schema = {"type": "array", "items": {"type": "string"}}
    call = adapter.call_named("latency-0", response_schema=schema)
    adapter.ask(simulator.url, call)
    body = sent(simulator, call)
    assert "JSON Schema" in json.dumps(body)
    assert "output_config" not in body
    assert "response_format" not in body


def test_system_messages_reach_the_model(adapter: Adapter, simulator: RunningSimulator) -> None:
    messages = (
        Message("system", "Be brief."),
        Message("user", "One?"),
        Message("assistant", "One."),
        Message("user", "Two?"),
    )
    call = adapter.call_named("echo", messages=messages)
    assert adapter.ask(simulator.url, call).text == "Two?"
    body = sent(simulator, call)
    roles = [message["role"] for message in body["messages"]]
    if adapter.wire == "anthropic":
        assert body["system"] == "Be brief."
        assert roles == ["user", "assistant", "user"]
    else:
        assert roles == ["system", "user", "assistant", "user"]


def test_instructions_alone_are_a_question(adapter: Adapter, simulator: RunningSimulator) -> None:
    call = adapter.call_named("latency-0", messages=(Message("system", "Greet me."),))
    assert adapter.ask(simulator.url, call).text


def test_attempt_is_named_to_the_provider(adapter: Adapter, simulator: RunningSimulator) -> None:
    call = adapter.call_named("echo")
    adapter.ask(simulator.url, call)
    (record,) = simulator.calls(job_of(call))
    assert f"{record.job_id}/{record.attempt}" == call.attempt_id


def test_option_the_provider_has_no_word_for_is_left_out_and_said(
    adapter: Adapter, simulator: RunningSimulator
) -> None:
    call = adapter.call_named("echo", options={"n": 3, "stream": True, "model": "other"})
    answer = adapter.ask(simulator.url, call)
    assert len(answer.warnings) == 3
    body = sent(simulator, call)
    assert body["model"] == call.model
    assert body["stream"] is False
    assert "n" not in body


def test_models_are_listed(adapter: Adapter, simulator: RunningSimulator) -> None:
    names = adapter.use(simulator.url, lambda provider: provider.models())
    known = {"anthropic": "claude-sonnet-5-5"}.get(adapter.wire, "gpt-4o")
    assert known in names


def test_one_adapter_serves_many_calls_at_once(
    adapter: Adapter, simulator: RunningSimulator
) -> None:
    calls = [adapter.call_named("echo+latency-0.5") for _ in range(150)]

    async def all_at_once(provider: Provider) -> list[str]:
        answers = await asyncio.gather(*(provider.call(call) for call in calls))
        return [answer.text for answer in answers]

    simulator.reset()
    assert adapter.use(simulator.url, all_at_once) == [QUESTION[0].content] * 150
    assert simulator.counts().peak_in_flight == 150
