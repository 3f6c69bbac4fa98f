"""What crosses the wire, and what is done when it breaks: adapters against a raw socket."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.errors import (
    CallError,
    ConfigurationError,
    ConnectionFailed,
    InvalidResponse,
    ProviderDenied,
    ProviderFailed,
    ProviderRejected,
)
from app.providers.contract import Answer, Message, Provider, Stop, Usage
from app.providers.registry import Providers, resolve
from app.providers.vendors import build_endpoint
from app.settings import Endpoint
from tests.conformance.adapters import ADAPTERS, Adapter
from tests.conformance.raw_server import RawServer, http, raw_server

CERTIFICATE = Path(__file__).parent / "untrusted.pem"
OPENAI, ANTHROPIC, OLLAMA, BEARER, BASIC = ADAPTERS

EVENTS = b"Content-Type: text/event-stream"
CHAT = {"choices": [{"message": {"content": "Hello."}, "finish_reason": "stop"}]}
CHUNK = b'data: {"choices":[{"delta":{"content":%s},"finish_reason":%s}]}\n\n'


def exchange(
    adapter: Adapter,
    reply: bytes | Callable[[int], bytes],
    *,
    calls: int = 1,
    close: bool = True,
    host: str = "127.0.0.1",
    **changes: Any,
) -> tuple[list[Answer | CallError], RawServer]:
    """What some calls come to when the server says `reply`, and what the server saw."""

    async def run() -> tuple[list[Answer | CallError], RawServer]:
        async with raw_server(reply, close=close) as server:
            settings = adapter.settings(server.url.replace("127.0.0.1", host))
            providers = Providers(settings)
            provider = providers.get(resolve(adapter.model.format("echo"), settings))
            call = adapter.call_named("echo", **changes)
            ends = [await end_of(provider, call) for _ in range(calls)]
            await providers.close()
            return ends, server

    return asyncio.run(run())


async def end_of(provider: Provider, call: Any) -> Answer | CallError:
    try:
        return await asyncio.wait_for(provider.call(call), 10)
    except CallError as error:
        return error


def answer(adapter: Adapter, reply: bytes, **changes: Any) -> Answer:
    (end,), _ = exchange(adapter, reply, **changes)
    assert isinstance(end, Answer), end
    return end


def failure(adapter: Adapter, reply: bytes, **changes: Any) -> CallError:
    (end,), server = exchange(adapter, reply, **changes)
    assert isinstance(end, CallError), end
    assert len(server.requests) == 1
    return end


def header(request: bytes, name: str) -> str | None:
    """A header of a raw request."""
    for line in request.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]:
        key, _, value = line.decode("latin-1").partition(": ")
        if key.lower() == name:
            return value
    return None


@pytest.mark.parametrize(
    ("adapter", "expected"),
    [
        (OPENAI, "Bearer secret-openai"),
        (ANTHROPIC, "Bearer secret-anthropic"),
        (OLLAMA, "Bearer none"),
        (BEARER, "Bearer secret-bearer"),
        (BASIC, "Basic " + base64.b64encode(b"ann:secret-basic").decode()),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_request_is_signed_as_configured(adapter: Adapter, expected: str) -> None:
    _, server = exchange(adapter, http(b"{}"))
    assert header(server.requests[0], "authorization") == expected


def test_other_servers_never_see_what_the_environment_says_about_openai(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-mine")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-mine")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "Authorization: Bearer mine")
    _, server = exchange(BEARER, http(b"{}"))
    assert b"mine" not in server.requests[0]
    _, server = exchange(OPENAI, http(b"{}"))
    assert header(server.requests[0], "openai-organization") == "org-mine"


def test_proxies_of_the_environment_are_not_used(
    adapter: Adapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    _, server = exchange(adapter, http(b"{}"))
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("reply", "stop", "tokens"),
    [
        (http(b'{"content": "Hello."}'), Stop.DONE, None),
        (
            http(
                b'{"content": "Hello.", "stop": true, "stop_type": "limit",'
                b' "tokens_evaluated": 7, "tokens_predicted": 3}'
            ),
            Stop.TRUNCATED,
            Usage(input_tokens=7, output_tokens=3),
        ),
        (
            http(
                b'data: {"content": "Hel", "stop": false}\n\n'
                b'data: {"content": "lo.", "stop": false}\n\n'
                b'data: {"content": "", "stop": true, "tokens_predicted": 3}\n\n',
                EVENTS,
            ),
            Stop.DONE,
            Usage(output_tokens=3),
        ),
    ],
    ids=["content alone", "cut by the limit", "stream"],
)
def test_a_llama_that_answers_in_its_own_words_is_understood(
    reply: bytes, stop: Stop, tokens: Usage | None
) -> None:
    heard = answer(BEARER, reply, stream=EVENTS in reply)
    assert (heard.text, heard.stop, heard.usage) == ("Hello.", stop, tokens)


def test_cookies_are_not_kept(adapter: Adapter) -> None:
    # By name: a client that keeps cookies keeps none of a bare address.
    _, server = exchange(adapter, http(b"{}", b"Set-Cookie: a=b"), calls=2, host="localhost")
    assert header(server.requests[1], "cookie") is None


@pytest.mark.parametrize("adapter", [OPENAI, ANTHROPIC], ids=["openai", "anthropic"])
def test_no_error_message_holds_the_key(adapter: Adapter) -> None:
    key = f"secret-{adapter.name}"
    body = {"error": {"message": f"{key} and sk-abcdefghij are wrong", "type": "nobody_knows"}}
    error = failure(adapter, http(json.dumps(body).encode(), status=b"401 Unauthorized"))
    assert isinstance(error, ProviderDenied)
    assert error.message.endswith("[redacted] and [redacted] are wrong")
    assert key not in repr(error)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"error": "model \\"x\\" crashed"}', 'model "x" crashed'),
        (b'{"detail": "no worker"}', "no worker"),
        (b'{"object": "error", "message": "out of memory", "code": 500}', "out of memory"),
        (b"upstream sent nothing", "upstream sent nothing"),
        (b"<html><h1>nginx</h1></html>", ""),
        (b"", ""),
        (b"[1]", ""),
    ],
)
def test_every_shape_of_error_is_read(body: bytes, words: str) -> None:
    error = failure(BEARER, http(body, status=b"500 Internal Server Error"))
    assert isinstance(error, ProviderFailed)
    assert error.message == f"bearer answered 500{': ' if words else ''}{words}"


def test_vendor_decides_whether_to_retry() -> None:
    again = http(b"{}", b"x-should-retry: true", status=b"400 Bad Request")
    assert failure(OPENAI, again).retryable
    never = http(b"{}", b"x-should-retry: false", status=b"500 Internal Server Error")
    assert not failure(OPENAI, never).retryable


def test_refused_connection_was_not_billed(adapter: Adapter) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(ConnectionFailed) as caught:
            adapter.ask(url, adapter.call_named("echo"))
    assert caught.value.billed is False


@pytest.mark.fault("F17", "a host is unknown")
def test_unknown_host_is_a_failed_connection(adapter: Adapter) -> None:
    with pytest.raises(ConnectionFailed) as caught:
        adapter.ask("http://nobody.invalid", adapter.call_named("echo"))
    assert caught.value.billed is False


@pytest.mark.fault("F17", "a certificate cannot be trusted")
def test_untrusted_certificate_is_final(adapter: Adapter) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(CERTIFICATE)

    async def run() -> list[bytes]:
        async with raw_server(http(b"{}"), tls=tls) as server:
            await asyncio.to_thread(refuse, server.url)
            return server.requests

    def refuse(url: str) -> None:
        with pytest.raises(ProviderRejected, match="TLS failed: self-signed certificate"):
            adapter.ask(url, adapter.call_named("echo"))

    assert asyncio.run(run()) == []


def test_server_that_never_completes_a_handshake_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.providers.http.CONNECT_SECONDS", 0.3)

    async def run() -> None:
        async with raw_server(http(b"{}")) as server:
            await asyncio.to_thread(refuse, server.url.replace("http:", "https:"))

    def refuse(url: str) -> None:
        with pytest.raises(ConnectionFailed, match="no connection within") as caught:
            OPENAI.ask(url, OPENAI.call_named("echo"))
        assert caught.value.billed is False

    asyncio.run(run())


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "0.0.0.0", "[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]"]
)
def test_metadata_addresses_are_never_called(adapter: Adapter, host: str) -> None:
    with pytest.raises(ProviderRejected, match="may not be called"):
        adapter.ask(f"http://{host}", adapter.call_named("echo"))


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "2130706433", "[::1]", "0x7f.1"])
def test_registered_endpoint_cannot_reach_the_inside(host: str) -> None:
    endpoint = Endpoint(base_url=f"https://{host}:9/v1")  # type: ignore[arg-type]

    async def run() -> None:
        provider = build_endpoint("theirs", endpoint, trusted=False)
        try:
            await provider.call(BEARER.call_named("echo"))
        finally:
            await provider.close()

    with pytest.raises(ProviderRejected, match="internal address"):
        asyncio.run(run())


def test_registered_endpoint_must_be_encrypted() -> None:
    endpoint = Endpoint(base_url="http://models.example/v1")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="https"):
        build_endpoint("theirs", endpoint, trusted=False)


def test_server_that_does_not_speak_http_is_invalid(adapter: Adapter) -> None:
    assert isinstance(failure(adapter, b"SSH-2.0-OpenSSH\r\n\r\n"), InvalidResponse)


def test_one_enormous_header_is_refused(adapter: Adapter) -> None:
    error = failure(adapter, http(b"{}", b"x-big: " + b"a" * 1_000_000))
    assert isinstance(error, InvalidResponse)


def test_compressed_answer_is_read() -> None:
    body = gzip.compress(json.dumps(CHAT).encode())
    assert answer(OPENAI, http(body, b"Content-Encoding: gzip")).text == "Hello."


def test_broken_compression_is_invalid() -> None:
    error = failure(OPENAI, http(b"not gzip", b"Content-Encoding: gzip"))
    assert isinstance(error, InvalidResponse)


@pytest.mark.parametrize("body", [b"[1]", b'"text"', b"null", b"5", b"\xff", b""])
def test_json_of_another_kind_is_invalid(adapter: Adapter, body: bytes, stream: bool) -> None:
    reply = http(b"data: %s\n\n" % body, EVENTS) if stream else http(body)
    assert isinstance(failure(adapter, reply, stream=stream), InvalidResponse)


def test_nested_json_without_end_is_invalid(adapter: Adapter) -> None:
    assert isinstance(failure(adapter, http(b"[" * 1_000_000)), InvalidResponse)


def test_connection_is_used_again(adapter: Adapter) -> None:
    _, server = exchange(adapter, http(b"{}"), calls=3, close=False)
    assert (server.connections, len(server.requests)) == (1, 3)


def test_finished_stream_gives_its_connection_back() -> None:
    said = CHUNK % (b'"Hi"', b'"stop"') + b"data: [DONE]\n\n"
    ends, server = exchange(OPENAI, http(said, EVENTS), calls=3, close=False, stream=True)
    assert [end.text for end in ends] == ["Hi"] * 3
    assert server.connections == 1


def test_stream_that_is_finished_but_never_closed_is_complete() -> None:
    said = CHUNK % (b'"Hi"', b'"stop"')
    head = b"HTTP/1.1 200 OK\r\n" + EVENTS + b"\r\n\r\n"
    assert answer(OPENAI, head + said, stream=True, close=False).text == "Hi"


def test_stream_lost_after_its_end_is_complete() -> None:
    said = CHUNK % (b'"Hi"', b'"length"')
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n" + EVENTS + b"\r\n\r\n"
    end = answer(OPENAI, head + said, stream=True)
    assert (end.text, end.stop, end.usage) == ("Hi", Stop.TRUNCATED, None)


def test_message_is_complete_only_when_it_says_so() -> None:
    events = (
        b'data: {"type":"message_start","message":{"type":"message"}}\n\n'
        b'data: {"type":"content_block_delta","delta":{"type":"text_delta","text":"Hi"}}\n\n'
        b'data: {"type":"message_delta","delta":{"stop_reason":"end_turn"}}\n\n'
    )
    error = failure(ANTHROPIC, http(events, EVENTS), stream=True)
    assert isinstance(error, InvalidResponse)
    assert error.text == "Hi"
    whole = events + b'data: {"type":"message_stop"}\n\n'
    assert answer(ANTHROPIC, http(whole, EVENTS), stream=True).text == "Hi"


def test_server_that_ignores_streaming_is_understood() -> None:
    assert answer(BEARER, http(json.dumps(CHAT).encode()), stream=True).text == "Hello."


def test_character_cut_in_two_is_one_character() -> None:
    halves = CHUNK % (b'"\\ud83d"', b"null") + CHUNK % (b'"\\ude00"', b'"stop"')
    assert answer(OPENAI, http(halves, EVENTS), stream=True).text == "\U0001f600"


def test_unknown_usage_is_none_not_zero() -> None:
    body = {**CHAT, "usage": {"prompt_tokens": None}}
    assert answer(OPENAI, http(json.dumps(body).encode())).usage is None


def test_text_in_parts_is_joined() -> None:
    parts = [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo."}]
    body = {"choices": [{"message": {"content": parts}, "finish_reason": "stop"}]}
    assert answer(BEARER, http(json.dumps(body).encode())).text == "Hello."


def test_prompt_cut_by_ollama_is_noticed() -> None:
    reply = http(json.dumps({**CHAT, "usage": {"prompt_tokens": 2048}}).encode())
    cut = (Message("user", "word " * 20_000),)
    (warning,) = answer(OLLAMA, reply, messages=cut).warnings
    assert "probably cut" in warning
    assert answer(OLLAMA, reply).warnings == ()
