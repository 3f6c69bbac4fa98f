"""Getting a page from a URL somebody named, without letting the URL choose what we connect to.

`check_url` is asked when an administrator registers a URL, `get` when a job wants it. Both apply
the same rules, because a name may lead elsewhere by then: https on port 443, no user or password, a
plain host name or address, every address it resolves to checked and one of those connected to (the
name is kept for TLS and Host), no redirects, no proxies from the environment, no cookies, no
compression, at most 1 MB in at most 5 seconds. Which addresses are public: `app.addresses`.
"""

from __future__ import annotations

import asyncio
import errno
import re
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from app import addresses
from app.context.threads import in_thread
from app.errors import ContextUnavailable, InvalidParameter
from app.formats.json_text import decode
from app.text import clean_text

MAX_URL_LENGTH = 2_048
MAX_PAGE_BYTES = 1024 * 1024
TIMEOUT_SECONDS = 5.0

Lookup = Callable[[str, int], Awaitable[list[str]]]
"""Host and port → its numeric addresses. Raises OSError when there are none."""

_PRINTABLE = re.compile(r"[!-\[\]-~]+")  # ASCII; without the backslash, a slash to some readers
_LABEL = "[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?"
_HOST_NAME = re.compile(rf"({_LABEL}\.)*[a-z]([a-z0-9-]{{0,61}}[a-z0-9])?")
_HEADERS = {"Accept-Encoding": "identity", "User-Agent": "llm-jobs"}
_CHARSETS = ("utf-8", "us-ascii", "iso-8859-1", "iso-8859-15", "windows-1252", "utf-16")


@dataclass(frozen=True, slots=True)
class Page:
    """What a URL answered, as text."""

    text: str
    content_type: str

    @property
    def json(self) -> Any:
        """The text as JSON; None if it is none."""
        with suppress(ValueError):
            return decode(self.text)
        return None


def check_url(url: str, *, internal: bool = False) -> URL:
    """The URL, if its form allows a connection at all; nothing is resolved or sent.

    `internal` (an administrator says it is on our own network) also allows plain http, any port,
    one-word names and private addresses. Raises InvalidParameter saying what would be right.
    """
    if not isinstance(url, str) or len(url) > MAX_URL_LENGTH or not _PRINTABLE.fullmatch(url):
        raise _refused("must be at most 2,048 printable ASCII characters (punycode for the host)")
    try:
        parsed = URL(url, encoded=True)
        scheme, host, port = parsed.scheme, parsed.raw_host, parsed.port
    except ValueError as error:
        raise _refused(f"cannot be read: {error}") from None
    if scheme != "https" and not (internal and scheme == "http"):
        raise _refused("must begin with https://")
    if not host:
        raise _refused("names no host")
    if "@" in parsed.raw_authority:
        raise _refused("must not hold a user or password")
    if port != 443 and not internal:
        raise _refused("must use port 443")
    _check_host(host.lower(), internal=internal)
    return parsed.with_fragment(None)


def _check_host(host: str, *, internal: bool) -> None:
    try:
        reason = addresses.refusal(str(ip_address(host)), internal=internal)
    except ValueError:
        if not _HOST_NAME.fullmatch(host):
            raise _refused(f"must name its host plainly, not as {host[:80]!r}") from None
        reason = None if internal or "." in host else f"{host} is an internal name"
    if reason:
        raise _refused(f"is not public: {reason}")


def _refused(reason: str) -> InvalidParameter:
    return InvalidParameter(f"The URL {reason}", pointer="/url")


async def get(
    url: str,
    *,
    internal: bool = False,
    lookup: Lookup | None = None,
    trust: ssl.SSLContext | None = None,
) -> Page:
    """The page at `url`, which must answer 200 to 299.

    `internal` as in `check_url`; `trust` holds the certificates to accept instead of the machine's.
    Raises InvalidParameter for the URL's form, ContextUnavailable for everything that happens.
    """
    target = check_url(url, internal=internal)
    connector = aiohttp.TCPConnector(
        resolver=_CheckedResolver(lookup or _resolve, internal=internal),
        socket_factory=partial(_socket, internal=internal),
        ssl=trust or True,
    )
    session = aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=_HEADERS,
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(total=None),
    )
    try:
        async with (
            asyncio.timeout(TIMEOUT_SECONDS),
            session,
            session.get(target, allow_redirects=False) as reply,
        ):
            return await _read(reply)
    except TimeoutError:
        raise ContextUnavailable(
            f"{target.host} took longer than {TIMEOUT_SECONDS:g} seconds"
        ) from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise ContextUnavailable(f"{target.host} {_words(error)}") from None


async def _read(reply: aiohttp.ClientResponse) -> Page:
    host = reply.url.host
    if 300 <= reply.status < 400:
        raise ContextUnavailable(f"{host} answered with a redirect, which is never followed")
    if not 200 <= reply.status < 300:
        raise ContextUnavailable(f"{host} answered with status {reply.status}")
    if reply.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise ContextUnavailable(f"{host} sent a compressed page, which nobody asked for")
    body = bytearray()
    async for piece in reply.content.iter_any():
        body += piece
        if len(body) > MAX_PAGE_BYTES:
            raise ContextUnavailable(f"{host} sent more than {MAX_PAGE_BYTES:,} bytes")
    charset = (reply.charset or "").lower()
    text = body.decode(charset if charset in _CHARSETS else "utf-8", errors="replace")
    return Page(clean_text(text), reply.content_type)


class _CheckedResolver(AbstractResolver):
    """Resolves a name, and refuses it when any of its addresses may not be connected to."""

    def __init__(self, lookup: Lookup, *, internal: bool) -> None:
        self._lookup = lookup
        self._internal = internal

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._lookup(host, port)
        for address in found:
            _check_address(address, internal=self._internal)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in found
        ]

    async def close(self) -> None:
        """Nothing is open."""


async def _resolve(host: str, port: int) -> list[str]:
    ask = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in await in_thread(ask)))


def _socket(address: Any, *, internal: bool) -> socket.socket:
    """The socket for the address that is really connected to, however it was come by."""
    family, kind, protocol, _, endpoint = address
    _check_address(str(endpoint[0]), internal=internal)
    return socket.socket(family, kind, protocol)


def _check_address(address: str, *, internal: bool) -> None:
    if reason := addresses.refusal(address, internal=internal):
        raise PermissionError(errno.EACCES, reason)


def _words(error: Exception) -> str:
    """What went wrong, without anything the other side sent."""
    cause = getattr(error, "os_error", error)
    if isinstance(cause, OSError) and cause.errno == errno.EACCES:
        return f"may not be connected to: {cause.strerror}"
    if isinstance(error, aiohttp.ClientSSLError):
        return "has no certificate we trust"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "has no address"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "cannot be connected to"
    return "sent no complete HTTP answer"
