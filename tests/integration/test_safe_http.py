"""Pages over real sockets: what is sent, what is read, and what a server cannot make us do."""

from __future__ import annotations

import asyncio
import gzip
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from app.context import safe_http
from app.context.safe_http import MAX_PAGE_BYTES, Page, get
from app.dev.ports import free_port
from app.errors import ContextUnavailable

CERTIFICATE = Path(__file__).parent / "page_test.pem"
"""Signed by nobody, for page.test."""


@dataclass
class Server:
    """Where it listens, and the head of each request it read."""

    url: str = ""
    requests: list[bytes] = field(default_factory=list)


@asynccontextmanager
async def serving(
    reply: bytes, *, tls: ssl.SSLContext | None = None, drip_seconds: float | None = None
) -> AsyncIterator[Server]:
    """Answer each request with exactly these bytes and hang up; or never, byte after byte."""
    running = Server()
    conversations: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversations.add(asyncio.current_task())
        try:
            running.requests.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(reply)
            await writer.drain()
            while drip_seconds is not None:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(drip_seconds)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client has heard enough
        finally:
            writer.close()
            with suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    running.url = f"http{'s' if tls else ''}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield running
    finally:
        server.close()
        for task in conversations:
            if task is not None and drip_seconds is not None:
                task.cancel()
        await asyncio.gather(*(task for task in conversations if task), return_exceptions=True)


def http(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    """A whole reply with this body."""
    length = b"Content-Length: %d" % len(body)
    return b"\r\n".join([b"HTTP/1.1 " + status, *headers, length, b"", body])


def page_from(reply: bytes, *, path: str = "/") -> tuple[Page, Server]:
    """The page a server with this reply gives, and what the server saw."""

    async def fetch() -> tuple[Page, Server]:
        async with serving(reply) as server:
            return await get(server.url + path, internal=True), server

    return asyncio.run(fetch())


def failure_from(reply: bytes, *, requests: int = 1) -> str:
    """Why there is no page from a server with this reply, which gets so many requests."""

    async def fetch() -> str:
        async with serving(reply) as server:
            with pytest.raises(ContextUnavailable) as caught:
                await get(server.url, internal=True)
            assert len(server.requests) == requests
            return caught.value.message

    return asyncio.run(fetch())


def test_the_page_is_read_and_the_request_is_bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")

    page, server = page_from(
        http(b'{"price": 3}', b"Content-Type: application/json"), path="/a%20b?q=1#part"
    )

    assert (page.content_type, page.json) == ("application/json", {"price": 3})
    line, *headers = server.requests[0].decode().split("\r\n")
    assert line == "GET /a%20b?q=1 HTTP/1.1"
    assert {header.partition(":")[0].lower() for header in headers if header} == {
        "host",
        "accept",
        "accept-encoding",
        "user-agent",
    }
    assert "Accept-Encoding: identity" in headers


def test_cookies_are_neither_kept_nor_sent() -> None:
    async def twice() -> Server:
        async with serving(http(b"x", b"Set-Cookie: a=b")) as server:
            for _ in range(2):
                await get(server.url, internal=True)
            return server

    assert all(b"cookie" not in head.lower() for head in asyncio.run(twice()).requests)


@pytest.mark.parametrize("status", [b"301 Moved", b"302 Found", b"303 See", b"307 T", b"308 P"])
def test_a_redirect_is_never_followed(status: bytes) -> None:
    location = b"Location: http://169.254.169.254/latest/meta-data"

    assert "redirect, which is never followed" in failure_from(http(b"", location, status=status))


@pytest.mark.parametrize("status", [b"400 Bad", b"404 Not Found", b"500 Broken", b"503 Busy"])
def test_a_failing_page_is_a_failure(status: bytes) -> None:
    assert f"answered with status {status[:3].decode()}" in failure_from(http(b"x", status=status))


def test_a_page_of_just_the_limit_is_read_and_one_byte_more_is_not() -> None:
    page, _ = page_from(http(b"x" * MAX_PAGE_BYTES))

    assert len(page.text) == MAX_PAGE_BYTES
    assert "more than 1,048,576 bytes" in failure_from(http(b"x" * (MAX_PAGE_BYTES + 1)))


def test_an_endless_page_is_left_at_the_limit() -> None:
    endless = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        + (b"10000\r\n" + b"x" * 65536 + b"\r\n") * 200
    )

    assert "more than 1,048,576 bytes" in failure_from(endless)


@pytest.mark.parametrize("encoding", [b"gzip", b"br", b"deflate", b"gzip, gzip"])
def test_a_compressed_page_is_not_unpacked(encoding: bytes) -> None:
    bomb = gzip.compress(b"\x00" * 50_000_000)

    assert "compressed page" in failure_from(http(bomb, b"Content-Encoding: " + encoding))


@pytest.mark.parametrize(
    "reply",
    [
        b"hello\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1_000_000 + b"\r\n\r\n",
    ],
    ids=["no HTTP", "cut", "bad chunk", "many headers", "long header"],
)
def test_an_answer_that_is_no_whole_page_is_a_failure(reply: bytes) -> None:
    assert "sent no complete HTTP answer" in failure_from(reply)


def test_a_server_that_hangs_up_without_a_word_is_asked_once_more() -> None:
    assert "sent no complete HTTP answer" in failure_from(b"", requests=2)


def test_a_server_that_drips_is_left_when_the_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safe_http, "TIMEOUT_SECONDS", 0.3)

    async def fetch() -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
        async with serving(head, drip_seconds=0.05) as server:
            await get(server.url, internal=True)

    started = time.perf_counter()
    with pytest.raises(ContextUnavailable, match=r"took longer than 0\.3 seconds"):
        asyncio.run(fetch())
    assert time.perf_counter() - started < 3


def test_nobody_listening_is_a_failure() -> None:
    with pytest.raises(ContextUnavailable, match="cannot be connected to"):
        asyncio.run(get(f"http://127.0.0.1:{free_port()}/", internal=True))


@pytest.mark.parametrize(
    ("content_type", "body", "text"),
    [
        (b"text/plain", "grüße".encode(), "grüße"),
        (b"text/plain; charset=iso-8859-1", "grüße".encode("latin-1"), "grüße"),
        (b"text/plain; charset=UTF-16", "grüße".encode("utf-16"), "grüße"),
        (b"text/plain; charset=punycode", b"abc", "abc"),
        (b"text/plain; charset=zlib", b"abc", "abc"),
        (b"text/plain; charset=nonsense", b"abc", "abc"),
        (b"text/plain", b"a\xffb\x00c", "a\ufffdb\ufffdc"),
    ],
)
def test_text_is_decoded_by_known_charsets_only(
    content_type: bytes, body: bytes, text: str
) -> None:
    page, _ = page_from(http(body, b"Content-Type: " + content_type))

    assert page.text == text


async def _loopback(_host: str, _port: int) -> list[str]:
    return ["127.0.0.1"]


def over_tls(*, trust: ssl.SSLContext | None) -> tuple[Page, Server, list[str | None]]:
    """The page of https://page.test, which leads here; also the name TLS was asked for."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(CERTIFICATE)
    names: list[str | None] = []
    tls.sni_callback = lambda _socket, name, _context: names.append(name)

    async def fetch() -> tuple[Page, Server, list[str | None]]:
        async with serving(http(b"secure"), tls=tls) as server:
            url = server.url.replace("127.0.0.1", "page.test")
            return await get(url, internal=True, lookup=_loopback, trust=trust), server, names

    return asyncio.run(fetch())


def test_the_checked_address_is_connected_to_under_the_name() -> None:
    page, server, names = over_tls(trust=ssl.create_default_context(cafile=str(CERTIFICATE)))

    assert page.text == "secure"
    assert names == ["page.test"]
    assert b"\r\nHost: page.test:" in server.requests[0]


def test_a_certificate_nobody_trusts_is_refused() -> None:
    with pytest.raises(ContextUnavailable, match=r"page\.test has no certificate we trust"):
        over_tls(trust=None)


def test_the_resolver_finds_what_the_machine_knows() -> None:
    async def fetch() -> Page:
        async with serving(http(b"found")) as server:
            lookup: Callable[[str, int], Awaitable[list[str]]] = safe_http._resolve
            assert "127.0.0.1" in await lookup("localhost", 80)
            url = server.url.replace("127.0.0.1", "localhost")
            return await get(url, internal=True)

    assert asyncio.run(fetch()).text == "found"
