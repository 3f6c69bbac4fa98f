"""The simulator speaks to the vendors' own SDKs, over real sockets.

Its failures are in `test_simulator_faults.py`, its memory in `test_simulator_witness.py`.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import anthropic
import httpx2
import jsonschema
import openai
import pytest
from pydantic import BaseModel

from app.simulator.testing import RunningSimulator, running_simulator
from tests.support.processes import run_process

T = TypeVar("T")

_SCHEMA = {
    "type": "object",
    "properties": {
        "title": {"type": "string", "maxLength": 40},
        "score": {"type": "integer", "minimum": 1, "maximum": 10},
        "tags": {"type": "array", "items": {"type": "string"}, "minItems": 2},
    },
    "required": ["title", "score", "tags"],
    "additionalProperties": False,
}
_CLOCK_SECONDS = 0.01
"""How much too early a loop may wake."""
_FORMAT = {"type": "json_schema", "json_schema": {"name": "review", "schema": _SCHEMA}}


@pytest.fixture(scope="module")
def sim() -> Iterator[RunningSimulator]:
    with running_simulator() as running:
        yield running


@asynccontextmanager
async def _openai(sim: RunningSimulator) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=sim.openai_url, api_key="any", max_retries=0) as client:
        yield client


@asynccontextmanager
async def _anthropic(sim: RunningSimulator) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(
        base_url=sim.anthropic_url, api_key="any", max_retries=0
    ) as client:
        yield client


def _with_openai(sim: RunningSimulator, act: Callable[[openai.AsyncOpenAI], Awaitable[T]]) -> T:
    async def run() -> T:
        async with _openai(sim) as client:
            return await act(client)

    return asyncio.run(run())


def _with_anthropic(
    sim: RunningSimulator, act: Callable[[anthropic.AsyncAnthropic], Awaitable[T]]
) -> T:
    async def run() -> T:
        async with _anthropic(sim) as client:
            return await act(client)

    return asyncio.run(run())


def _user(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


# --- OpenAI ---------------------------------------------------------------------------------------


def _chat(sim: RunningSimulator, prompt: str, **more: Any) -> Any:
    more = {"model": "gpt-4", "messages": _user(prompt), **more}
    return _with_openai(sim, lambda client: client.chat.completions.create(**more))


def _chat_stream(sim: RunningSimulator, prompt: str, **more: Any) -> list[Any]:
    more = {
        "model": "gpt-4",
        "messages": _user(prompt),
        "stream": True,
        "stream_options": {"include_usage": True},
        **more,
    }

    async def read(client: openai.AsyncOpenAI) -> list[Any]:
        return [chunk async for chunk in await client.chat.completions.create(**more)]

    return _with_openai(sim, read)


def _text_of(chunks: list[Any]) -> str:
    return "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)


def test_openai_reads_a_plain_answer(sim: RunningSimulator) -> None:
    answer = _chat(sim, "Know that dragons are large")

    assert "dragons are large" in answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.prompt_tokens == len("Know that dragons are large") // 4
    assert answer.usage.completion_tokens == len(answer.choices[0].message.content) // 4
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


@pytest.mark.parametrize(
    "prompt", ["dragons", "dragons as JSON", "dragons as markdown", "é 🐉 " * 9]
)
def test_openai_streams_what_it_answers(sim: RunningSimulator, prompt: str) -> None:
    answer = _chat(sim, prompt)
    chunks = _chat_stream(sim, prompt)

    assert _text_of(chunks) == answer.choices[0].message.content
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage == answer.usage
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_openai_gets_no_usage_of_a_stream_unless_it_asks(sim: RunningSimulator) -> None:
    chunks = _chat_stream(sim, "dragons", stream_options=openai.omit)

    assert all("usage" not in chunk.model_fields_set and chunk.choices for chunk in chunks)


@pytest.mark.parametrize("stream", [False, True])
def test_openai_gets_json_that_satisfies_its_schema(sim: RunningSimulator, stream: bool) -> None:
    if stream:
        text = _text_of(_chat_stream(sim, "dragons", response_format=_FORMAT))
    else:
        text = _chat(sim, "dragons", response_format=_FORMAT).choices[0].message.content

    jsonschema.validate(json.loads(text), _SCHEMA)


def test_openai_parses_an_answer_into_a_model(sim: RunningSimulator) -> None:
    class Review(BaseModel):
        title: str
        stars: int
        remarks: list[str]

    answer = _with_openai(
        sim,
        lambda client: client.chat.completions.parse(
            model="gpt-4", messages=_user("dragons"), response_format=Review
        ),
    )

    assert isinstance(answer.choices[0].message.parsed, Review)


def test_openai_gets_an_object_in_json_mode(sim: RunningSimulator) -> None:
    answer = _chat(sim, "dragons, in json", response_format={"type": "json_object"})

    assert isinstance(json.loads(answer.choices[0].message.content), dict)


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize("stream", [False, True])
def test_openai_sees_where_the_token_limit_cut(
    sim: RunningSimulator, name: str, stream: bool
) -> None:
    if stream:
        chunks = _chat_stream(sim, "dragons " * 50, **{name: 7})
        finish, usage = chunks[-2].choices[0].finish_reason, chunks[-1].usage
    else:
        answer = _chat(sim, "dragons " * 50, **{name: 7})
        finish, usage = answer.choices[0].finish_reason, answer.usage

    assert (finish, usage.completion_tokens) == ("length", 7)


def test_openai_sees_a_refusal_a_filter_and_a_tool_call(sim: RunningSimulator) -> None:
    refused, filtered, tool = (
        _chat(sim, "x", model=f"gpt-sim-{word}").choices[0]
        for word in ("refusal", "content-filter", "duplicate-tools")
    )

    assert refused.message.content is None
    assert refused.message.refusal
    assert filtered.finish_reason == "content_filter"
    assert tool.finish_reason == "tool_calls"
    assert len({call.id for call in tool.message.tool_calls}) == 1


def test_openai_streams_a_refusal_and_a_tool_call(sim: RunningSimulator) -> None:
    refused = _chat_stream(sim, "x", model="gpt-sim-refusal")
    tool = _chat_stream(sim, "x", model="gpt-sim-tool-calls")

    assert "".join(c.choices[0].delta.refusal or "" for c in refused if c.choices)
    assert not _text_of(refused)
    assert tool[0].choices[0].delta.tool_calls[0].function.name
    assert tool[-2].choices[0].finish_reason == "tool_calls"


def test_openai_reads_cached_tokens_and_rate_limit_news(sim: RunningSimulator) -> None:
    async def act(client: openai.AsyncOpenAI) -> tuple[Any, Any]:
        raw = await client.chat.completions.with_raw_response.create(
            model="gpt-sim-cached-2+remaining-3", messages=_user("dragons are large")
        )
        return raw.headers, raw.parse()

    headers, answer = _with_openai(sim, act)

    assert answer.usage.prompt_tokens_details.cached_tokens == 2
    assert headers["x-ratelimit-remaining-requests"] == "3"
    assert headers["x-request-id"].startswith("req_")


def test_openai_lists_models(sim: RunningSimulator) -> None:
    async def act(client: openai.AsyncOpenAI) -> list[str]:
        return [model.id async for model in client.models.list()]

    assert {"gpt-4", "echo"} <= set(_with_openai(sim, act))


@pytest.mark.parametrize(
    ("more", "about"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "wizard"),
        ({"model": "o1", "max_tokens": 5}, "max_completion_tokens"),
        ({"response_format": {"type": "json_object"}}, "json"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"model": "gpt-sim-50O"}, "50o"),
        ({"extra_headers": {"x-simulator": "nonsense"}}, "nonsense"),
    ],
)
def test_openai_is_told_what_is_wrong_with_a_request(
    sim: RunningSimulator, more: dict[str, Any], about: str
) -> None:
    with pytest.raises(openai.BadRequestError, match=about):
        _chat(sim, "dragons", **more)


def test_a_compatible_server_has_no_traps(sim: RunningSimulator) -> None:
    answer = _chat(sim, "dragons", model="llama-3", response_format={"type": "json_object"})

    assert json.loads(answer.choices[0].message.content)


# --- Anthropic ------------------------------------------------------------------------------------


def _message(sim: RunningSimulator, prompt: str, **more: Any) -> Any:
    more = {"model": "claude-3-opus", "max_tokens": 1000, "messages": _user(prompt), **more}
    return _with_anthropic(sim, lambda client: client.messages.create(**more))


def _message_stream(sim: RunningSimulator, prompt: str, **more: Any) -> tuple[list[Any], Any]:
    """The raw events, and the message the SDK puts together from the same request."""
    more = {"model": "claude-3-opus", "max_tokens": 1000, "messages": _user(prompt), **more}

    async def read(client: anthropic.AsyncAnthropic) -> tuple[list[Any], Any]:
        events = [event async for event in await client.messages.create(**more, stream=True)]
        async with client.messages.stream(**more) as stream:
            return events, await stream.get_final_message()

    return _with_anthropic(sim, read)


def test_anthropic_reads_a_plain_answer(sim: RunningSimulator) -> None:
    answer = _message(sim, "Know that dragons are large")

    assert "dragons are large" in answer.content[0].text
    assert answer.stop_reason == "end_turn"
    assert answer.usage.input_tokens == len("Know that dragons are large") // 4
    assert answer.usage.output_tokens == len(answer.content[0].text) // 4


@pytest.mark.parametrize("prompt", ["dragons", "dragons as JSON", "dragons as html", "é 🐉 " * 9])
def test_anthropic_streams_what_it_answers(sim: RunningSimulator, prompt: str) -> None:
    answer = _message(sim, prompt)
    events, final = _message_stream(sim, prompt)

    assert final.content[0].text == answer.content[0].text
    assert final.stop_reason == answer.stop_reason
    assert final.usage == answer.usage
    kinds = [event.type for event in events]
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert events[0].message.usage.input_tokens == answer.usage.input_tokens
    assert events[-2].usage.output_tokens == answer.usage.output_tokens


@pytest.mark.parametrize("stream", [False, True])
def test_anthropic_gets_json_that_satisfies_its_schema(sim: RunningSimulator, stream: bool) -> None:
    config = {"output_config": {"format": {"type": "json_schema", "schema": _SCHEMA}}}
    if stream:
        answer = _message_stream(sim, "dragons", **config)[1]
    else:
        answer = _message(sim, "dragons", **config)

    jsonschema.validate(json.loads(answer.content[0].text), _SCHEMA)


def test_anthropic_sees_why_the_model_stopped(sim: RunningSimulator) -> None:
    stops = {
        word: (_message(sim, "dragons are large", model=f"claude-sim-{word}"))
        for word in ("refusal", "pause", "window", "length", "tool-calls", "content-filter")
    }

    assert {word: answer.stop_reason for word, answer in stops.items()} == {
        "refusal": "refusal",
        "pause": "pause_turn",
        "window": "model_context_window_exceeded",
        "length": "max_tokens",
        "tool-calls": "tool_use",
        "content-filter": "refusal",
    }
    assert stops["refusal"].stop_details.category
    assert stops["tool-calls"].content[0].name


def test_anthropic_streams_an_empty_answer_and_two_tools(sim: RunningSimulator) -> None:
    empty = _message_stream(sim, "x", model="claude-sim-empty")[1]
    tools = _message_stream(sim, "x", model="claude-sim-duplicate-tools")[1]

    assert (empty.content, empty.stop_reason) == ([], "end_turn")
    assert [block.type for block in tools.content] == ["tool_use", "tool_use"]
    assert len({block.id for block in tools.content}) == 1


def test_anthropic_counts_cached_tokens_apart(sim: RunningSimulator) -> None:
    usage = _message(sim, "dragons are large", model="claude-sim-cached-3").usage

    assert usage.cache_read_input_tokens == 3
    assert usage.input_tokens == len("dragons are large") // 4 - 3


def test_anthropic_reads_rate_limit_news(sim: RunningSimulator) -> None:
    async def act(client: anthropic.AsyncAnthropic) -> Any:
        raw = await client.messages.with_raw_response.create(
            model="claude-sim-remaining-0", max_tokens=5, messages=_user("x")
        )
        return raw.headers

    headers = _with_anthropic(sim, act)

    assert headers["anthropic-ratelimit-requests-remaining"] == "0"
    assert headers["anthropic-ratelimit-requests-reset"].endswith("Z")


def test_anthropic_lists_its_own_models(sim: RunningSimulator) -> None:
    async def act(client: anthropic.AsyncAnthropic) -> list[str]:
        return [model.id async for model in client.models.list()]

    names = _with_anthropic(sim, act)

    assert names
    assert all(name.startswith("claude-") for name in names)


@pytest.mark.parametrize(
    ("more", "about"),
    [
        ({"messages": []}, "messages"),
        ({"extra_body": {"temperature": 0.5}}, "temperature"),
        ({"output_config": {"format": {"type": "json_schema"}}}, "output_config"),
        ({"extra_body": {"max_tokens": None}}, "max_tokens"),
    ],
)
def test_anthropic_is_told_what_is_wrong_with_a_request(
    sim: RunningSimulator, more: dict[str, Any], about: str
) -> None:
    with pytest.raises(anthropic.BadRequestError, match=about):
        _message(sim, "dragons", **more)


def test_a_legacy_api_version_may_set_the_temperature(sim: RunningSimulator) -> None:
    answer = _message(
        sim,
        "dragons",
        extra_body={"temperature": 0.5},
        extra_headers={"anthropic-version": "2023-06-01"},
    )

    assert answer.stop_reason == "end_turn"


# --- pace, Ollama, the process --------------------------------------------------------------------


def test_both_wires_say_and_count_the_same(sim: RunningSimulator) -> None:
    chat, message = _chat(sim, "dragons in markdown"), _message(sim, "dragons in markdown")

    assert chat.choices[0].message.content == message.content[0].text
    assert chat.usage.prompt_tokens == message.usage.input_tokens
    assert chat.usage.completion_tokens == message.usage.output_tokens


def test_the_header_wins_over_the_name(sim: RunningSimulator) -> None:
    answer = _chat(sim, "dragons", model="gpt-sim-500", extra_headers={"x-simulator": "echo"})

    assert answer.choices[0].message.content == "dragons"


def test_an_answer_takes_as_long_as_it_is_told(sim: RunningSimulator) -> None:
    began = time.monotonic()
    _chat(sim, "dragons", model="gpt-sim-latency-0.3")

    assert time.monotonic() - began >= 0.3 - _CLOCK_SECONDS


def test_a_stream_brings_its_tokens_at_their_pace(sim: RunningSimulator) -> None:
    async def act(client: openai.AsyncOpenAI) -> list[float]:
        began = time.monotonic()
        stream = await client.chat.completions.create(
            model="gpt-sim-tokens-20+first-0.2+rate-100", messages=_user("x"), stream=True
        )
        return [time.monotonic() - began async for chunk in stream if chunk.choices]

    at = _with_openai(sim, act)

    assert len(at) == 1 + 20 + 1
    assert at[1] >= 0.2 - _CLOCK_SECONDS
    assert at[-1] >= 0.2 + 20 / 100 - _CLOCK_SECONDS


def test_a_stream_opens_before_its_first_token(sim: RunningSimulator) -> None:
    async def act(client: openai.AsyncOpenAI) -> Any:
        stream = await client.chat.completions.create(
            model="gpt-sim-first-30", messages=_user("x"), stream=True
        )
        async for chunk in stream:
            return chunk.choices[0].delta
        return None

    assert _with_openai(sim, act).role == "assistant"


def test_an_answer_does_not_wait_for_a_delayed_acknowledgement(sim: RunningSimulator) -> None:
    """Headers and body in two sends stall for 40 ms, once the connection is no longer new."""
    body = {"model": "gpt-4", "messages": _user("x")}
    with httpx2.Client(base_url=sim.url) as client:
        for stream in (False, True):
            taken = []
            for _ in range(40):
                began = time.monotonic()
                client.post("/v1/chat/completions", json={**body, "stream": stream})
                taken.append(time.monotonic() - began)
            assert min(taken[20:]) < 0.03


def test_ollama_lists_its_models(sim: RunningSimulator) -> None:
    names = [row["name"] for row in httpx2.get(f"{sim.url}/api/tags").json()["models"]]

    assert "llama-3.2:latest" in names


def test_an_unknown_path_is_404_in_the_vendors_words(sim: RunningSimulator) -> None:
    plain = httpx2.get(f"{sim.url}/v1/nothing")
    anthropics = httpx2.post(f"{sim.url}/v1/nothing", headers={"x-api-key": "any"})

    assert (plain.status_code, anthropics.status_code) == (404, 404)
    assert plain.json()["error"]["type"] == "invalid_request_error"
    assert anthropics.json()["error"]["type"] == "not_found_error"


@pytest.mark.parametrize("body", [b"{", b"[1]", b"\xff\xfe\xff", b"[" * 100_000, b""])
def test_a_body_that_is_no_json_object_is_refused(sim: RunningSimulator, body: bytes) -> None:
    assert httpx2.post(f"{sim.url}/v1/messages", content=body).status_code == 400


def test_the_process_says_where_it_listens_and_ends_when_told() -> None:
    command = [sys.executable, "-m", "app.simulator", "--port", "0"]
    with run_process(command, env={"NO_COLOR": "1"}, tether=False) as process:
        url = process.wait_for(r"simulator_started\s+url=(http://127\.0\.0\.1:\d+)")[1]
        assert httpx2.get(f"{url}/health").status_code == 200

        process.signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0

    assert len(process.output.strip().splitlines()) == 1
