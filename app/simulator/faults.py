"""The misbehaviours: replies that are errors, replies that are none, connections that break.

Each function plays one failure word of `behaviour` and returns the response it wrote (or one that
can no longer be written). A failure that would last for ever ends when the client goes, or after
an hour.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
import zlib
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from functools import cache

from aiohttp import web

from app.simulator.behaviour import WORDS, Kind
from app.simulator.question import Script, dumps
from app.simulator.sending import EVENTS, JSON, Exchange, Outgoing, opened, play, whole
from app.simulator.witness import Outcome

REDIRECTED_PATH = "/redirected"

_EVER_SECONDS = 3600.0
_SETTLE_SECONDS = 0.05
"""So that a client has read what was sent before the reset discards it."""
_MIB = 1024 * 1024
_HTML = b"<!doctype html><html><body><h1>It works!</h1><p>Not an API.</p></body></html>"


async def misbehave(exchange: Exchange) -> web.StreamResponse:
    """Play the failure the behaviour names."""
    exchange.record.outcome = Outcome.MISBEHAVED
    return await FAULTS[exchange.behaviour.failure](exchange)


# --- replies ------------------------------------------------------------------------------------


async def _error(exchange: Exchange) -> web.StreamResponse:
    failure = exchange.wire.failure(exchange.behaviour.failure, exchange.record.number)
    headers = retry_after(exchange.behaviour.argument)
    return whole(exchange, failure.status, dumps(failure.body), headers=headers)


def retry_after(argument: str) -> dict[str, str]:
    """The headers an error's argument asks for, as `behaviour` describes them."""
    if not argument:
        return {}
    kind, _, number = argument.rpartition("-")
    if kind == "ms":
        return {"retry-after-ms": number}
    if kind == "date":
        return {"Retry-After": formatdate(time.time() + int(number), usegmt=True)}
    odd = {"negative": "-1", "garbage": "abc", "huge": "1000000000"}
    return {"Retry-After": odd.get(argument, argument)}


async def _malformed(exchange: Exchange) -> web.StreamResponse:
    return _instead(exchange, _half(exchange.document()))


async def _html(exchange: Exchange) -> web.StreamResponse:
    return whole(exchange, 200, _HTML, "text/html; charset=utf-8")


async def _object(exchange: Exchange) -> web.StreamResponse:
    return _instead(exchange, b"{}")


async def _wrong(exchange: Exchange) -> web.StreamResponse:
    word = exchange.behaviour.failure
    return _instead(exchange, dumps(exchange.wire.broken(word, exchange.question, exchange.said)))


def _instead(exchange: Exchange, document: bytes) -> web.StreamResponse:
    """A reply with this document in place of the answer, as a stream where one was asked for."""
    if exchange.question.stream:
        return whole(exchange, 200, exchange.wire.scripted(document), EVENTS)
    return whole(exchange, 200, document)


async def _redirect(exchange: Exchange) -> web.StreamResponse:
    target = f"http://{exchange.request.host}{REDIRECTED_PATH}"
    return whole(exchange, int(exchange.behaviour.argument), b"", headers={"Location": target})


async def _headers(exchange: Exchange) -> web.StreamResponse:
    lines = max(1, round(float(exchange.behaviour.argument)) // 1000)
    filler = {f"x-filler-{number:04}": "a" * 983 for number in range(lines)}
    return whole(exchange, 200, exchange.document(), headers=filler)


async def _huge(exchange: Exchange) -> web.StreamResponse:
    """A valid answer whose text never seems to end."""
    mebibytes = round(float(exchange.behaviour.argument))
    before, after = _around_text(exchange)
    length = len(before) + mebibytes * _MIB + len(after)
    out = await opened(exchange, EVENTS if exchange.question.stream else JSON, length)
    await out.write(before)
    block = b"x" * (_MIB // 4)
    for _ in range(mebibytes * 4):
        await out.write(block)
    return await out.end(after)


def _around_text(exchange: Exchange) -> tuple[bytes, bytes]:
    if exchange.question.stream:
        return b'data: {"choices":[{"index":0,"delta":{"content":"', b'"}}]}\n\n'
    return b'{"id":"', b'"}'


async def _gzip_bomb(exchange: Exchange) -> web.StreamResponse:
    """A valid answer behind a great deal of white space that compresses to almost nothing.

    A deflate block that ends in a full flush refers to nothing before it: one is made and sent as
    often as asked, and only the checksum grows.
    """
    mebibytes = round(float(exchange.behaviour.argument))
    tail = exchange.script().closing if exchange.question.stream else exchange.document()
    content_type = EVENTS if exchange.question.stream else JSON
    out = await opened(exchange, content_type, headers={"Content-Encoding": "gzip"})
    await out.write(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff")
    spaces, block = _spaces()
    checksum = 0
    for _ in range(mebibytes):
        await out.write(block)
        checksum = zlib.crc32(spaces, checksum)
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    last = deflate.compress(tail) + deflate.flush()
    size = (mebibytes * _MIB + len(tail)) & 0xFFFFFFFF
    return await out.end(last + struct.pack("<II", zlib.crc32(tail, checksum), size))


@cache
def _spaces() -> tuple[bytes, bytes]:
    spaces = b" " * (_MIB - 2) + b"\n\n"
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    return spaces, deflate.compress(spaces) + deflate.flush(zlib.Z_FULL_FLUSH)


# --- connections --------------------------------------------------------------------------------


async def _hang(exchange: Exchange) -> web.StreamResponse:
    await asyncio.sleep(_EVER_SECONDS)
    return _reset(exchange)


async def _drip(exchange: Exchange) -> web.StreamResponse:
    content_type, body = _body(exchange)
    out = await opened(exchange, content_type, len(body))
    for byte in body:
        await out.write(bytes((byte,)))
        await asyncio.sleep(float(exchange.behaviour.argument))
    return await out.end()


async def _comments(exchange: Exchange) -> web.StreamResponse:
    """Signs of life that are none: comments in a stream, white space before a plain body."""
    alive, content_type = (
        (b": keep-alive\n\n", EVENTS) if exchange.question.stream else (b" ", JSON)
    )
    out = await opened(exchange, content_type)
    until = time.monotonic() + _EVER_SECONDS
    while time.monotonic() < until:
        await out.write(alive)
        await asyncio.sleep(float(exchange.behaviour.argument))
    return await out.end()


async def _truncated(exchange: Exchange) -> web.StreamResponse:
    if exchange.question.stream:
        out = await _half_stream(exchange)
    else:
        body = exchange.document()
        out = await opened(exchange, JSON, len(body))
        await out.write(_half(body))
    _transport(exchange).close()
    return out.response


async def _cut(exchange: Exchange) -> web.StreamResponse:
    if exchange.question.stream:
        return await (await _half_stream(exchange)).end()
    return whole(exchange, 200, _half(exchange.document()))


async def _mid_error(exchange: Exchange) -> web.StreamResponse:
    if exchange.question.stream:
        return await (await _half_stream(exchange)).end(exchange.wire.event_error())
    failure = exchange.wire.failure("500", exchange.record.number)
    return whole(exchange, 200, dumps(failure.body))


async def _half_stream(exchange: Exchange) -> Outgoing:
    script = exchange.script()
    half = Script(script.opening, script.pieces[: (len(script.pieces) + 1) // 2], b"")
    out = await opened(exchange)
    await play(out, half, exchange.behaviour)
    return out


async def _reset_before(exchange: Exchange) -> web.StreamResponse:
    return _reset(exchange)


async def _reset_after_headers(exchange: Exchange) -> web.StreamResponse:
    return await _reset_after(exchange, lambda _: b"")


async def _reset_in_body(exchange: Exchange) -> web.StreamResponse:
    return await _reset_after(exchange, _half)


async def _reset_after(exchange: Exchange, shown: Callable[[bytes], bytes]) -> web.StreamResponse:
    content_type, body = _body(exchange)
    part = shown(body)
    lines = {**exchange.headers(content_type), "Content-Length": str(len(body))}
    head = "HTTP/1.1 200 OK\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items()) + "\r\n"
    exchange.record.status = 200
    exchange.record.bytes_out = len(part)
    _transport(exchange).write(head.encode("latin-1") + part)
    await asyncio.sleep(_SETTLE_SECONDS)
    return _reset(exchange)


def _reset(exchange: Exchange) -> web.StreamResponse:
    reset(_transport(exchange))
    return web.Response()


def reset(transport: asyncio.Transport) -> None:
    """Close a connection so that the peer sees a reset, not an end."""
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _transport(exchange: Exchange) -> asyncio.Transport:
    transport = exchange.request.transport
    if transport is None:
        raise ConnectionResetError("the client has gone")
    return transport


def _body(exchange: Exchange) -> tuple[str, bytes]:
    if not exchange.question.stream:
        return JSON, exchange.document()
    script = exchange.script()
    return EVENTS, b"".join((script.opening, *script.pieces, script.closing))


def _half(body: bytes) -> bytes:
    return body[: len(body) // 2]


Fault = Callable[[Exchange], Awaitable[web.StreamResponse]]

FAULTS: dict[str, Fault] = {
    **{word.name: _error for word in WORDS.values() if word.kind is Kind.ERROR},
    "malformed": _malformed,
    "html": _html,
    "object": _object,
    "choices-null": _wrong,
    "wrong-types": _wrong,
    "redirect": _redirect,
    "headers": _headers,
    "huge": _huge,
    "gzip-bomb": _gzip_bomb,
    "hang": _hang,
    "drip": _drip,
    "comments": _comments,
    "truncated": _truncated,
    "cut": _cut,
    "mid-error": _mid_error,
    "reset": _reset_before,
    "reset-headers": _reset_after_headers,
    "reset-body": _reset_in_body,
    "refuse": _reset_before,
}
