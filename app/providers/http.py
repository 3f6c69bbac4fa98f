"""The wire under every adapter: one HTTP client factory, with the limits every call needs.

Gives an `httpx2` client (both SDKs take one) whose transport is aiohttp: no redirects, no proxies
from the environment, no cookies, no cap on calls in flight, a cap on what one answer may weigh
*after* decompression, and a check of the address really connected to. Failures of the network
leave as `app.errors.CallError`s. Deadlines are the caller's: nothing here bounds a read.

Why not the transport the SDKs carry: theirs is a private module, differs between the two, reports
a lost connection as a time-out, and offers no place for the address check.
"""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import AsyncIterator
from functools import cache
from typing import Any

import aiohttp
import httpx2
from yarl import URL

from app.addresses import refusal
from app.errors import CallError, ConnectionFailed, InvalidResponse, ProviderRejected
from app.providers.events import MAX_STREAM_BYTES

MAX_BODY_BYTES = 8 * 1024 * 1024
"""A whole JSON answer or error body, decompressed."""

CONNECT_SECONDS = 5.0

KEEP_ALIVE_SECONDS = 4.0
"""Shorter than the 5 s after which common model servers hang up: a POST sent on a connection that
is just being closed would be lost, and nobody could say whether it was billed."""

_DROPPED_HEADERS = (b"content-encoding", b"content-length", b"set-cookie")


def new_client(provider: str, *, internal: bool) -> httpx2.AsyncClient:
    """A client for one provider and key, to be used from one event loop and closed by its owner.

    `provider` names it in error messages; `internal` allows loopback and private addresses.
    """
    return httpx2.AsyncClient(
        transport=AiohttpTransport(provider, internal=internal),
        timeout=httpx2.Timeout(None, connect=CONNECT_SECONDS),
        follow_redirects=False,
        trust_env=False,
    )


class AiohttpTransport(httpx2.AsyncBaseTransport):
    """Sends httpx2 requests over one aiohttp session, opened on first use (after the fork)."""

    def __init__(self, provider: str, *, internal: bool) -> None:
        self._provider = provider
        self._internal = internal
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send once. Raises a CallError; `billed` is False only if nothing was sent."""
        try:
            reply = await self._opened().request(
                request.method,
                URL(str(request.url), encoded=True),
                headers=request.headers,
                data=await request.aread() or None,
                allow_redirects=False,
            )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _failure(error, self._provider) from error
        return _response(request, reply)

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=0,  # the worker bounds its calls; aiohttp's 100 would queue the rest unseen
                keepalive_timeout=KEEP_ALIVE_SECONDS,
                ssl=_trust(),
                socket_factory=self._socket,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
                auto_decompress=False,  # done below, in bounded steps
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    def _socket(self, address: Any) -> socket.socket:
        """Make the socket for one resolved address, unless we may not connect there."""
        family, kind, protocol, _, endpoint = address
        if reason := refusal(str(endpoint[0]), internal=self._internal):
            raise PermissionError(errno.EACCES, reason)  # aiohttp keeps the number, not the class
        made = socket.socket(family, kind, protocol)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # a silent peer may be dead
        return made


@cache
def _trust() -> ssl.SSLContext:
    """The certificates this machine trusts; reading them takes 20 ms, so once per process."""
    return httpx2.create_ssl_context()


class _Body(httpx2.AsyncByteStream):
    """The decompressed bytes of a reply, at most `limit` of them."""

    def __init__(self, reply: aiohttp.ClientResponse, limit: int) -> None:
        self._reply = reply
        self._limit = limit

    async def __aiter__(self) -> AsyncIterator[bytes]:
        seen = 0
        async for piece in _decoded(self._reply):
            seen += len(piece)
            if seen > self._limit:
                self._reply.close()
                raise InvalidResponse(
                    f"the answer is longer than {self._limit:,} bytes",
                    http_status=self._reply.status,
                    billed=None,
                )
            yield piece

    async def aclose(self) -> None:
        """Close the connection, unless the answer was read to its end (then it is reused)."""
        self._reply.close()


def _response(request: httpx2.Request, reply: aiohttp.ClientResponse) -> httpx2.Response:
    streamed = reply.status == 200 and reply.content_type == "text/event-stream"
    headers = [pair for pair in reply.raw_headers if pair[0].lower() not in _DROPPED_HEADERS]
    return httpx2.Response(
        reply.status,
        headers=headers,
        stream=_Body(reply, MAX_STREAM_BYTES if streamed else MAX_BODY_BYTES),
        request=request,
    )


async def _decoded(reply: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """The body without its content encoding, at most 1 MiB a step whatever the compression."""
    encoding = reply.headers.get("content-encoding")
    try:
        if encoding is None:
            async for piece in reply.content.iter_any():
                yield piece
            return
        plain = httpx2.Response(200, headers={"content-encoding": encoding}, stream=_Raw(reply))
        async for piece in plain.aiter_bytes():
            yield piece
    except (aiohttp.ClientError, OSError, httpx2.DecodingError, httpx2.StreamError) as error:
        raise InvalidResponse(
            f"the answer was cut off: {_words(error)}", http_status=reply.status, billed=None
        ) from error


class _Raw(httpx2.AsyncByteStream):
    def __init__(self, reply: aiohttp.ClientResponse) -> None:
        self._reply = reply

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._reply.content.iter_any()


def _failure(error: Exception, provider: str) -> CallError:
    """The one error for a request that brought no reply."""
    words = _words(error)
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return ConnectionFailed(f"{provider}: no connection within {CONNECT_SECONDS:g} seconds")
    if isinstance(error, aiohttp.ClientSSLError) and not isinstance(_inner(error), _PEER_LEFT):
        return ProviderRejected(f"{provider}: TLS failed: {words}")
    if isinstance(error, aiohttp.ClientConnectorError):
        if getattr(error, "errno", None) == errno.EACCES:
            return ProviderRejected(f"{provider} may not be called: {words}")
        return ConnectionFailed(f"{provider} cannot be reached: {words}")
    if isinstance(error, aiohttp.ClientResponseError):
        return InvalidResponse(f"{provider} does not answer in HTTP: {words}", billed=None)
    if isinstance(error, aiohttp.NonHttpUrlClientError | ValueError):
        return ProviderRejected(f"{provider}: the request cannot be sent: {words}")
    return ConnectionFailed(f"{provider} closed the connection: {words}", billed=None)


_PEER_LEFT = (ssl.SSLEOFError, ssl.SSLZeroReturnError)
"""TLS ended because the peer went away, which says nothing about certificates or settings."""


def _inner(error: BaseException) -> BaseException:
    """What aiohttp wrapped, or the error itself."""
    for name in ("os_error", "certificate_error"):
        if isinstance(wrapped := getattr(error, name, None), BaseException):
            return wrapped
    return error


def _words(error: BaseException) -> str:
    """A short cause in words, without URLs."""
    inner = _inner(error)
    for name in ("verify_message", "strerror", "message"):
        if isinstance(text := getattr(inner, name, None), str) and text:
            return text[:200]
    return str(inner).partition(":")[0][:200] or type(inner).__name__
