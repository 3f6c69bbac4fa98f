"""Each misbehaviour of the simulator, seen on the wire by a client that trusts nothing."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import json
import socket
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from app.simulator.testing import RunningSimulator, running_simulator
from app.simulator.witness import Outcome

_OPENAI, _ANTHROPIC = "/v1/chat/completions", "/v1/messages"
_PATHS = pytest.mark.parametrize("path", [_OPENAI, _ANTHROPIC])
_STREAMS = pytest.mark.parametrize("stream", [False, True])


@pytest.fixture(scope="module")
def _server() -> Iterator[RunningSimulator]:
    with running_simulator() as running:
        yield running


@pytest.fixture
def sim(_server: RunningSimulator) -> RunningSimulator:
    _server.reset()
    return _server


def _body(told: str, *, stream: bool = False, prompt: str = "dragons are large") -> dict[str, Any]:
    messages = [{"role": "user", "content": prompt}]
    return {"model": f"sim-{told}", "max_tokens": 9999, "messages": messages, "stream": stream}


def _post(
    sim: RunningSimulator, told: str, path: str = _OPENAI, *, stream: bool = False, **headers: str
) -> httpx2.Response:
    return httpx2.post(
        sim.url + path,
        json=_body(told, stream=stream),
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        timeout=30,
    )


@contextmanager
def _asked(
    sim: RunningSimulator, told: str, path: str = _OPENAI, *, stream: bool = False
) -> Iterator[socket.socket]:
    """A socket on which the request has been sent and nothing was read."""
    host, port = sim.url.removeprefix("http://").split(":")
    body = json.dumps(_body(told, stream=stream)).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n"
        f"x-llm-jobs-attempt: raw/1\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(head.encode() + body)
        yield connection


def _read_all(connection: socket.socket) -> bytes:
    received = b""
    while data := connection.recv(65536):
        received += data
    return received


def _read_until_reset(connection: socket.socket) -> bytes:
    received = b""
    try:
        while data := connection.recv(65536):
            received += data
    except ConnectionResetError:
        return received
    raise AssertionError("the connection ended without a reset")


def _client_gone(sim: RunningSimulator) -> None:
    sim.wait_for(
        lambda seen: [r.outcome for r in seen.calls("raw")] == [Outcome.CLIENT_GONE], timeout=5
    )


# --- error replies --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "status", "code"),
    [
        ("400", 400, None),
        ("401", 401, "invalid_api_key"),
        ("402", 402, "billing_not_active"),
        ("403", 403, "permission_denied"),
        ("404", 404, "model_not_found"),
        ("408", 408, None),
        ("409", 409, None),
        ("413", 413, "request_too_large"),
        ("422", 422, None),
        ("429", 429, "rate_limit_exceeded"),
        ("500", 500, None),
        ("502", 502, None),
        ("503", 503, None),
        ("504", 504, None),
        ("overloaded", 529, "overloaded"),
        ("quota", 429, "insufficient_quota"),
        ("spend-limit", 429, "billing_hard_limit_reached"),
        ("ramp", 429, "slow_down"),
        ("context-length", 400, "context_length_exceeded"),
    ],
)
def test_openai_raises_the_error_of_a_word(
    sim: RunningSimulator, told: str, status: int, code: str | None
) -> None:
    async def call() -> None:
        async with openai.AsyncOpenAI(
            base_url=sim.openai_url, api_key="any", max_retries=0
        ) as client:
            await client.chat.completions.create(**_body(told))

    with pytest.raises(openai.APIStatusError) as raised:
        asyncio.run(call())

    assert (raised.value.status_code, raised.value.code) == (status, code)
    assert raised.value.message
    assert len(sim.calls()) == 1


@pytest.mark.parametrize(
    ("told", "status", "kind", "code"),
    [
        ("400", 400, "invalid_request_error", None),
        ("401", 401, "authentication_error", None),
        ("403", 403, "permission_error", None),
        ("404", 404, "not_found_error", None),
        ("429", 429, "rate_limit_error", None),
        ("500", 500, "api_error", None),
        ("504", 504, "timeout_error", None),
        ("529", 529, "overloaded_error", None),
        ("quota", 402, "billing_error", None),
        ("spend-limit", 429, "rate_limit_error", "enforced_spend_limit_reached"),
        ("ramp", 429, "rate_limit_error", "ramp_limit_exceeded"),
        ("context-length", 400, "invalid_request_error", None),
    ],
)
def test_anthropic_raises_the_error_of_a_word(
    sim: RunningSimulator, told: str, status: int, kind: str, code: str | None
) -> None:
    async def call() -> None:
        async with anthropic.AsyncAnthropic(
            base_url=sim.anthropic_url, api_key="any", max_retries=0
        ) as client:
            await client.messages.create(**_body(told))

    with pytest.raises(anthropic.APIStatusError) as raised:
        asyncio.run(call())

    error = raised.value
    assert (error.status_code, error.type, error.error_code) == (status, kind, code)
    assert str(error.request_id).startswith("req_")


@_PATHS
@pytest.mark.parametrize(
    ("told", "header", "value"),
    [
        ("429-7", "retry-after", "7"),
        ("503-300", "retry-after", "300"),
        ("429-negative", "retry-after", "-1"),
        ("429-garbage", "retry-after", "abc"),
        ("429-huge", "retry-after", "1000000000"),
        ("429-ms-250", "retry-after-ms", "250"),
        ("429", "retry-after", None),
    ],
)
def test_a_reply_says_when_to_come_back(
    sim: RunningSimulator, path: str, told: str, header: str, value: str | None
) -> None:
    assert _post(sim, told, path).headers.get(header) == value


# --- only the first calls of a job ----------------------------------------------------------------


def test_the_first_calls_of_each_job_fail(sim: RunningSimulator) -> None:
    def statuses(job: str, calls: int) -> list[int]:
        return [
            _post(sim, "fail-2+503", x_llm_jobs_attempt=f"{job}/{n}").status_code
            for n in range(1, calls + 1)
        ]

    assert statuses("job-a", 4) == [503, 503, 200, 200]
    assert statuses("job-b", 3) == [503, 503, 200]


def test_without_a_job_the_prompt_tells_calls_apart(sim: RunningSimulator) -> None:
    def status(prompt: str) -> int:
        body = _body("429-once", prompt=prompt)
        return httpx2.post(sim.url + _OPENAI, json=body).status_code

    assert [status("one"), status("two"), status("one"), status("two")] == [429, 429, 200, 200]


# --- replies that are none ------------------------------------------------------------------------


@_PATHS
@_STREAMS
def test_html_and_half_a_document_come_with_status_200(
    sim: RunningSimulator, path: str, stream: bool
) -> None:
    page = _post(sim, "html", path, stream=stream)
    broken = _post(sim, "malformed", path, stream=stream)

    assert (page.status_code, broken.status_code) == (200, 200)
    assert page.headers["content-type"].startswith("text/html")
    data = [line[6:] for line in broken.text.splitlines() if line.startswith("data: ")]
    with pytest.raises(ValueError, match=r"Expecting|Unterminated|delimiter"):
        json.loads(data[0] if stream else broken.text)


@pytest.mark.parametrize(
    ("path", "told", "expected"),
    [
        (_OPENAI, "object", {}),
        (_ANTHROPIC, "object", {}),
        (_OPENAI, "choices-null", {"choices": None}),
        (_ANTHROPIC, "choices-null", {"content": None}),
        (_OPENAI, "wrong-types", {"usage": "many", "id": 1}),
        (_ANTHROPIC, "wrong-types", {"usage": "many", "id": 1}),
    ],
)
@_STREAMS
def test_a_document_of_the_wrong_shape_comes_with_status_200(
    sim: RunningSimulator, path: str, told: str, expected: dict[str, Any], stream: bool
) -> None:
    reply = _post(sim, told, path, stream=stream)

    text = reply.text
    if stream:
        assert reply.headers["content-type"].startswith("text/event-stream")
        text = next(line[6:] for line in text.splitlines() if line.startswith("data: "))
    document = json.loads(text)
    if stream and path == _ANTHROPIC:
        document = document["message"]
    assert {name: document[name] for name in expected} == expected
    assert expected or document == {}


@_PATHS
@pytest.mark.parametrize(("told", "escaped"), [("surrogate", b"\\ud800"), ("nul", b"\\u0000")])
@_STREAMS
def test_an_odd_character_travels_as_an_escape(
    sim: RunningSimulator, path: str, told: str, escaped: bytes, stream: bool
) -> None:
    assert escaped in _post(sim, told, path, stream=stream).content


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_leads_to_a_path_that_is_logged(sim: RunningSimulator, status: int) -> None:
    headers = {"x-llm-jobs-attempt": "job/1"}
    body = _body(f"redirect-{status}")

    refused = httpx2.post(sim.url + _OPENAI, json=body, headers=headers)
    assert refused.status_code == status
    assert [record.path for record in sim.requests("job")] == [_OPENAI]

    httpx2.post(sim.url + _OPENAI, json=body, headers=headers, follow_redirects=True)
    assert [r.path for r in sim.requests("job")] == [_OPENAI, _OPENAI, "/redirected"]
    assert len(sim.calls("job")) == 2


def test_a_reply_can_have_a_megabyte_of_headers(sim: RunningSimulator) -> None:
    with _asked(sim, "headers") as connection:
        head, _, body = _read_all(connection).partition(b"\r\n\r\n")

    assert 1_000_000 <= len(head) < 1_010_000
    assert json.loads(body)["choices"]


@_STREAMS
def test_a_huge_body_is_sent_until_the_client_has_enough(
    sim: RunningSimulator, stream: bool
) -> None:
    with _asked(sim, "huge", stream=stream) as connection:
        received = 0
        while received < 8 * 1024 * 1024:
            received += len(connection.recv(1024 * 1024))

    _client_gone(sim)
    sent = sim.calls("raw")[0].bytes_out
    assert 8 * 1024 * 1024 <= sent < 300 * 1024 * 1024


def test_a_huge_body_is_as_long_as_it_says_and_valid(sim: RunningSimulator) -> None:
    reply = _post(sim, "huge-3")

    assert 3 * 1024 * 1024 < len(reply.content) < 3 * 1024 * 1024 + 100
    assert reply.json()


@_PATHS
@_STREAMS
def test_a_gzip_bomb_is_small_on_the_wire_and_valid_when_blown_up(
    sim: RunningSimulator, path: str, stream: bool
) -> None:
    with _asked(sim, "gzip-bomb-64", path, stream=stream) as connection:
        response = http.client.HTTPResponse(connection)
        response.begin()
        packed = response.read()

    assert response.headers["Content-Encoding"] == "gzip"
    assert len(packed) < 128 * 1024
    blown_up = gzip.decompress(packed)
    assert 64 * 1024 * 1024 < len(blown_up) < 65 * 1024 * 1024
    if stream:
        assert blown_up.rstrip().endswith((b"[DONE]", b'"message_stop"}'))
    else:
        assert json.loads(blown_up)["model"] == "sim-gzip-bomb-64"


def test_a_gzip_bomb_of_a_gibibyte_costs_a_client_a_mebibyte_to_fetch(
    sim: RunningSimulator,
) -> None:
    blown_up, unpack = 0, zlib.decompressobj(31)
    with _asked(sim, "gzip-bomb") as connection:
        response = http.client.HTTPResponse(connection)
        response.begin()
        packed = response.read()
    for start in range(0, 100_000, 1000):
        blown_up += len(unpack.decompress(packed[start : start + 1000]))

    assert len(packed) < 1.5 * 1024 * 1024
    assert blown_up > 80 * 1024 * 1024


# --- connections that break -----------------------------------------------------------------------


@_PATHS
def test_a_hanging_call_sends_nothing_and_notices_that_the_client_went(
    sim: RunningSimulator, path: str
) -> None:
    with _asked(sim, "hang", path) as connection:
        sim.wait_for(lambda seen: seen.in_flight == 1, timeout=5)
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)

    _client_gone(sim)
    assert sim.counts().in_flight == 0
    assert sim.calls("raw")[0].status == 0


@_STREAMS
def test_a_dripping_body_comes_byte_by_byte(sim: RunningSimulator, stream: bool) -> None:
    with _asked(sim, "drip-0.05", stream=stream) as connection:
        head = connection.recv(65536)
        pieces = [connection.recv(65536) for _ in range(6)]

    assert head.partition(b"\r\n\r\n")[2] in (b"", b"d", b"{")
    assert [len(piece) for piece in pieces] == [1] * 6
    _client_gone(sim)


def test_a_drip_ends_as_a_valid_answer(sim: RunningSimulator) -> None:
    assert _post(sim, "drip-0.0001").json()["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize(("stream", "sign"), [(True, b": keep-alive"), (False, b" ")])
def test_keep_alives_come_for_ever(sim: RunningSimulator, stream: bool, sign: bytes) -> None:
    with _asked(sim, "comments-0.01", stream=stream) as connection:
        received = b""
        while received.count(sign) < 20:
            received += connection.recv(65536)

    assert b"data:" not in received
    _client_gone(sim)


@_PATHS
@_STREAMS
def test_a_truncated_body_ends_before_its_promised_end(
    sim: RunningSimulator, path: str, stream: bool
) -> None:
    with _asked(sim, "truncated", path, stream=stream) as connection:
        response = http.client.HTTPResponse(connection)
        response.begin()
        with pytest.raises(http.client.IncompleteRead) as raised:
            response.read()

    assert response.status == 200
    assert raised.value.partial


@_PATHS
def test_a_cut_stream_ends_politely_without_a_terminal_event(
    sim: RunningSimulator, path: str
) -> None:
    whole = _post(sim, "tokens-20", path, stream=True).text
    cut = _post(sim, "tokens-20+cut", path, stream=True).text

    assert "drag" in cut
    assert cut.count("data: ") <= whole.count("data: ") - 10
    for terminal in ("[DONE]", "message_stop", '"finish_reason":"', '"stop_reason":"'):
        assert terminal not in cut


@_PATHS
def test_a_cut_plain_answer_is_half_a_document(sim: RunningSimulator, path: str) -> None:
    with pytest.raises(ValueError, match=r"Expecting|Unterminated|delimiter"):
        _post(sim, "cut", path).json()


def test_openai_raises_an_error_amid_a_stream(sim: RunningSimulator) -> None:
    texts: list[str] = []

    async def read() -> None:
        async with openai.AsyncOpenAI(
            base_url=sim.openai_url, api_key="any", max_retries=0
        ) as client:
            stream: Any = await client.chat.completions.create(**_body("mid-error", stream=True))
            async for chunk in stream:
                texts.append(chunk.choices[0].delta.content or "")  # noqa: PERF401 - kept on error

    with pytest.raises(openai.APIError) as raised:
        asyncio.run(read())

    assert "".join(texts)
    assert raised.value.type == "server_error"


def test_anthropic_raises_an_error_amid_a_stream(sim: RunningSimulator) -> None:
    kinds: list[str] = []

    async def read() -> None:
        async with anthropic.AsyncAnthropic(
            base_url=sim.anthropic_url, api_key="any", max_retries=0
        ) as client:
            stream: Any = await client.messages.create(**_body("mid-error", stream=True))
            async for event in stream:
                kinds.append(event.type)  # noqa: PERF401 - kept on error

    with pytest.raises(anthropic.APIStatusError) as raised:
        asyncio.run(read())

    assert "content_block_delta" in kinds
    assert (raised.value.status_code, raised.value.type) == (200, "overloaded_error")


@_PATHS
def test_a_plain_answer_can_be_an_error_with_status_200(sim: RunningSimulator, path: str) -> None:
    reply = _post(sim, "mid-error", path)

    assert reply.status_code == 200
    assert reply.json()["error"]["message"]


@_PATHS
@_STREAMS
@pytest.mark.parametrize(
    ("told", "head", "body"),
    [("reset", False, False), ("reset-headers", True, False), ("reset-body", True, True)],
)
def test_a_connection_is_reset_where_it_is_told(
    sim: RunningSimulator, path: str, stream: bool, told: str, head: bool, body: bool
) -> None:
    with _asked(sim, told, path, stream=stream) as connection:
        received = _read_until_reset(connection)

    got_head, _, got_body = received.partition(b"\r\n\r\n")
    assert (bool(got_head), bool(got_body)) == (head, body)
    assert sim.calls("raw")[0].outcome is Outcome.MISBEHAVED


def test_a_latency_comes_before_a_failure(sim: RunningSimulator) -> None:
    with _asked(sim, "latency-30+500") as connection:
        sim.wait_for(lambda seen: seen.in_flight == 1, timeout=5)
        connection.settimeout(0.1)
        with pytest.raises(TimeoutError):
            connection.recv(1)

    _client_gone(sim)
