"""A call's options in each vendor's own words, as the simulator received them."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from app.errors import ProviderRejected
from app.lifecycle import NewJob
from app.prompts import documents
from app.prompts.script import Script, steps_for
from app.providers.contract import Answer, Call, Message
from app.providers.registry import Providers, resolve
from app.settings import Settings
from app.simulator.testing import RunningSimulator
from tests.conformance.adapters import ADAPTERS, QUESTION, Adapter, job_of

OPENAI, ANTHROPIC, OLLAMA, BEARER, BASIC = ADAPTERS
OPEN_SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}


def body_of(adapter: Adapter, simulator: RunningSimulator, call: Call) -> tuple[Answer, Any]:
    """The answer, and the one request made for it."""
    answer = adapter.ask(simulator.url, call)
    (record,) = simulator.calls(job_of(call))
    return answer, json.loads(record.body)


@pytest.mark.parametrize(
    ("adapter", "name"),
    [
        (OPENAI, "max_completion_tokens"),
        (ANTHROPIC, "max_tokens"),
        (OLLAMA, "max_tokens"),
        (BEARER, "max_tokens"),
    ],
    ids=lambda value: getattr(value, "name", value),
)
@pytest.mark.parametrize("given", ["max_tokens", "max_completion_tokens"])
def test_token_limit_has_the_vendors_name(
    simulator: RunningSimulator, adapter: Adapter, name: str, given: str
) -> None:
    _, body = body_of(adapter, simulator, adapter.call_named("echo", options={given: 77}))
    assert body[name] == 77
    assert {"max_tokens", "max_completion_tokens"} & set(body) == {name}


@pytest.mark.parametrize(
    ("adapter", "name"),
    [(OPENAI, "max_completion_tokens"), (ANTHROPIC, "max_tokens"), (BEARER, "n_predict")],
    ids=lambda value: getattr(value, "name", value),
)
def test_the_limit_of_llama_cpp_is_told_to_vendors_in_their_words(
    simulator: RunningSimulator, adapter: Adapter, name: str
) -> None:
    call = replace(adapter.call_named("echo", options={"n_predict": 16}), any_option=True)
    _, body = body_of(adapter, simulator, call)
    assert body[name] == 16
    assert {"n_predict", "max_tokens", "max_completion_tokens"} & set(body) == {name}


@pytest.mark.parametrize("adapter", [OPENAI, OLLAMA, BEARER], ids=lambda adapter: adapter.name)
def test_sampling_options_are_sent_as_they_are(
    simulator: RunningSimulator, adapter: Adapter
) -> None:
    options = {"temperature": 0.2, "top_p": 0.9, "seed": 4, "stop": ["END"]}
    answer, body = body_of(adapter, simulator, adapter.call_named("echo", options=options))
    assert options.items() <= body.items()
    assert answer.warnings == ()


def test_openai_gets_every_option_and_a_compatible_server_only_declared_ones(
    simulator: RunningSimulator,
) -> None:
    options = {"verbosity": "low"}
    answer, body = body_of(OPENAI, simulator, OPENAI.call_named("echo", options=options))
    assert (body["verbosity"], answer.warnings) == ("low", ())
    answer, body = body_of(BEARER, simulator, BEARER.call_named("echo", options=options))
    assert "verbosity" not in body
    assert answer.warnings == ("bearer takes no option verbosity; not sent.",)


IMIXS = {"n_predict": 64, "repeat_last_n": 0, "cache_prompt": True, "max_tokens": 7}


def test_call_may_pass_every_option_on(simulator: RunningSimulator) -> None:
    call = BEARER.call_named("echo", options=IMIXS, any_option=True)
    answer, body = body_of(BEARER, simulator, call)
    assert body.items() >= IMIXS.items()
    assert answer.warnings == ()


def test_endpoint_may_take_every_option(simulator: RunningSimulator) -> None:
    adapter = Adapter("imixs", "imixs/qwen-sim-{}", endpoint={"any_option": True})
    answer, body = body_of(adapter, simulator, adapter.call_named("echo", options=IMIXS))
    assert body.items() >= IMIXS.items()
    assert answer.warnings == ()


@pytest.mark.parametrize("name", ["model", "messages", "n", "stream"])
def test_what_we_say_ourselves_is_never_an_option(simulator: RunningSimulator, name: str) -> None:
    call = BEARER.call_named("echo", options={name: "x"}, any_option=True)
    answer, body = body_of(BEARER, simulator, call)
    assert body.get(name) != "x"
    assert answer.warnings == (f"bearer takes no option {name}; not sent.",)


def test_endpoint_has_parameters_of_its_own(simulator: RunningSimulator) -> None:
    endpoint = {
        "options": {"top_k": 20, "min_p": 0.1},
        "max_tokens": "max_completion_tokens",
        "stream_usage": False,
        "json_schema": False,
    }
    adapter = Adapter("own", "own/qwen-sim-{}", endpoint=endpoint)
    call = adapter.call_named(
        "latency-0",
        stream=True,
        options={"top_k": 5, "max_tokens": 9_000},
        response_schema=OPEN_SCHEMA,
    )
    answer, body = body_of(adapter, simulator, call)
    assert (body["top_k"], body["min_p"], body["max_completion_tokens"]) == (5, 0.1, 9_000)
    assert body["response_format"] == {"type": "json_object"}
    assert "JSON Schema" in body["messages"][0]["content"]
    assert "stream_options" not in body
    assert answer.usage is None
    assert answer.warnings == ()


def test_options_of_an_endpoint_a_block_a_definition_and_a_job_are_merged_in_this_order(
    simulator: RunningSimulator,
) -> None:
    xml = """<imixs-ai name="PROMPT"><options>{"b": 2, "c": 2, "d": 2}</options>
        <PromptDefinition><options>{"c": 3, "d": 3, "deep": {"x": 3}}</options>
        <prompt>Hello</prompt></PromptDefinition></imixs-ai>"""
    definition = documents.read(xml, documents.Source.XML).definitions[0]
    (step,) = steps_for(
        NewJob(
            template_name="t",
            model_name="own/qwen-sim-echo",
            max_tries=1,
            max_age_seconds=60,
            options={"d": 4},
            script=Script(definition=definition, models=("own/qwen-sim-echo",)).to_json(),
        ),
        hook_seconds=1,
    )
    endpoint = {"options": {"a": 1, "b": 1, "c": 1, "d": 1, "deep": {"x": 1, "y": 1}}}
    adapter = Adapter("own", "own/qwen-sim-{}", endpoint=endpoint)
    call = adapter.call_named("echo", options=step.options, any_option=step.any_option)
    _, body = body_of(adapter, simulator, call)
    merged = {name: body[name] for name in ("a", "b", "c", "d", "deep")}
    assert merged == {"a": 1, "b": 2, "c": 3, "d": 4, "deep": {"x": 3}}


def test_open_schema_is_not_sent_as_strict(simulator: RunningSimulator) -> None:
    call = OPENAI.call_named("latency-0", response_schema=OPEN_SCHEMA)
    _, body = body_of(OPENAI, simulator, call)
    assert body["response_format"]["json_schema"]["strict"] is False


def test_json_is_named_once_when_the_prompt_names_it(simulator: RunningSimulator) -> None:
    messages = (Message("user", "Give me JSON."),)
    _, body = body_of(OPENAI, simulator, OPENAI.call_named("echo", json=True, messages=messages))
    assert len(body["messages"]) == 1


def test_anthropic_always_gets_a_token_limit(simulator: RunningSimulator) -> None:
    _, body = body_of(ANTHROPIC, simulator, ANTHROPIC.call_named("echo"))
    assert body["max_tokens"] == 8192


def test_long_anthropic_answer_is_streamed_though_nobody_listens(
    simulator: RunningSimulator,
) -> None:
    call = ANTHROPIC.call_named("echo", options={"max_tokens": 64_000})
    answer, body = body_of(ANTHROPIC, simulator, call)
    assert body["stream"] is True
    assert answer.text == QUESTION[0].content


@pytest.mark.parametrize("name", ["temperature", "top_p", "top_k"])
def test_sampling_options_anthropic_refuses_are_left_out_and_said(
    simulator: RunningSimulator, name: str
) -> None:
    call = ANTHROPIC.call_named("echo", options={name: 1})
    answer, body = body_of(ANTHROPIC, simulator, call)
    assert name not in body
    assert answer.warnings == (f"anthropic takes no option {name}; not sent.",)


def test_template_that_insists_on_sampling_gets_the_older_version(
    simulator: RunningSimulator,
) -> None:
    options = {"anthropic_version": "2023-06-01", "temperature": 0.5}
    answer, body = body_of(ANTHROPIC, simulator, ANTHROPIC.call_named("echo", options=options))
    assert body["temperature"] == 0.5
    assert "anthropic_version" not in body
    assert answer.warnings == ()


def test_anthropic_options_have_their_own_words(simulator: RunningSimulator) -> None:
    options = {"stop": "END", "reasoning_effort": "low", "metadata": {"user_id": "u"}, "seed": 1}
    call = ANTHROPIC.call_named("latency-0", options=options, response_schema=OPEN_SCHEMA)
    answer, body = body_of(ANTHROPIC, simulator, call)
    assert body["stop_sequences"] == ["END"]
    assert body["output_config"]["effort"] == "low"
    assert body["output_config"]["format"]["schema"]["additionalProperties"] is False
    assert body["metadata"] == {"user_id": "u"}
    assert answer.warnings == ("anthropic takes no option seed; not sent.",)


def test_old_claude_is_told_the_schema(simulator: RunningSimulator) -> None:
    call = Call("claude-3-opus-sim-echo", QUESTION, response_schema=OPEN_SCHEMA, attempt_id="old/1")
    _, body = body_of(ANTHROPIC, simulator, call)
    assert "JSON Schema" in body["system"]
    assert body["max_tokens"] == 4096


def test_schema_the_vendor_cannot_hold_is_told(simulator: RunningSimulator) -> None:
    schema = {"type": "object", "properties": {"a": True}}
    call = ANTHROPIC.call_named("latency-0", response_schema=schema)
    _, body = body_of(ANTHROPIC, simulator, call)
    assert "JSON Schema" in body["system"]


def test_simulator_route_answers_for_any_vendor(simulator: RunningSimulator) -> None:
    settings = Settings(  # type: ignore[call-arg]
        simulator_url=simulator.url, simulate_missing=True, ollama_base_url="http://127.0.0.1:1"
    )
    options = {"max_tokens": 50, "temperature": 0.1}

    async def ask(model: str) -> Answer:
        providers = Providers(settings)
        route = resolve(model, settings)
        try:
            return await providers.get(route).call(Call(route.model, QUESTION, options=options))
        finally:
            await providers.close()

    for model in ("gpt-6-astra", "claude-3-opus", "llama-3", "simulator/echo"):
        assert asyncio.run(ask(model)).text


def test_version_of_another_type_is_refused_before_sending(simulator: RunningSimulator) -> None:
    call = ANTHROPIC.call_named("echo", options={"anthropic_version": "a\nb"})
    with pytest.raises(ProviderRejected):
        ANTHROPIC.ask(simulator.url, call)
    assert simulator.calls(job_of(call)) == []
