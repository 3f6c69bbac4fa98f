"""How an answer reaches the socket: whole or streamed, at the pace the behaviour asks for.

Headers and the first bytes go out in one send, so that no Nagle delay is measured as ours.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from app.simulator.behaviour import Behaviour
from app.simulator.question import Question, Said, Script, Wire, dumps
from app.simulator.witness import Outcome, Record

JSON = "application/json"
EVENTS = "text/event-stream; charset=utf-8"

_PIECES_PER_SEND = 1024
_NONE: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request under way, with all that is needed to answer it well or badly.

    `listing` is the document of a request that is no call of a model.
    """

    request: web.BaseRequest
    record: Record
    wire: Wire
    behaviour: Behaviour
    question: Question
    said: Said
    listing: Any = None

    def document(self) -> bytes:
        """The body of a plain answer."""
        if self.listing is not None:
            return dumps(self.listing)
        return dumps(self.wire.reply(self.question, self.said))

    def script(self) -> Script:
        """The events of a streamed answer."""
        return self.wire.script(self.question, self.said)

    def headers(self, content_type: str) -> dict[str, str]:
        return {
            "Content-Type": content_type,
            **self.wire.headers(self.record.number, self.behaviour),
        }


class Outgoing:
    """A response being written in pieces; counts the bytes of its body."""

    def __init__(
        self, exchange: Exchange, content_type: str, length: int | None, headers: Mapping[str, str]
    ) -> None:
        self._exchange = exchange
        self.response = web.StreamResponse(headers={**exchange.headers(content_type), **headers})
        self.response.content_length = length

    async def open(self) -> Outgoing:
        """Prepare the headers, which leave with the first bytes."""
        self._exchange.record.status = self.response.status
        await self.response.prepare(self._exchange.request)
        return self

    async def write(self, data: bytes) -> None:
        self._exchange.record.bytes_out += len(data)
        await self.response.write(data)

    async def end(self, data: bytes = b"") -> web.StreamResponse:
        self._exchange.record.bytes_out += len(data)
        await self.response.write_eof(data)
        return self.response


async def answered(exchange: Exchange) -> web.StreamResponse:
    """A good answer, in full; its tokens are billed."""
    if exchange.question.stream:
        response = await _streamed(exchange, exchange.script())
    else:
        response = whole(exchange, 200, exchange.document())
    exchange.record.outcome = Outcome.ANSWERED
    if exchange.record.is_call:
        exchange.record.input_tokens = exchange.said.input_tokens
        exchange.record.output_tokens = exchange.said.output_tokens
    return response


def whole(
    exchange: Exchange,
    status: int,
    body: bytes,
    content_type: str = JSON,
    *,
    headers: Mapping[str, str] = _NONE,
) -> web.Response:
    """A complete reply, sent at once when the handler returns it."""
    exchange.record.status = status
    exchange.record.bytes_out = len(body)
    return web.Response(
        status=status, body=body, headers={**exchange.headers(content_type), **headers}
    )


async def opened(
    exchange: Exchange,
    content_type: str = EVENTS,
    length: int | None = None,
    *,
    headers: Mapping[str, str] = _NONE,
) -> Outgoing:
    """A 200 whose body is still to come."""
    return await Outgoing(exchange, content_type, length, headers).open()


async def play(out: Outgoing, script: Script, behaviour: Behaviour) -> None:
    """Write the opening and the pieces of a stream at their pace; the closing is the caller's."""
    await out.write(script.opening)
    if behaviour.first_token_seconds:
        await asyncio.sleep(behaviour.first_token_seconds)
    if not behaviour.tokens_per_second:
        for data in _joined(script.pieces):
            await out.write(data)
        return
    loop = asyncio.get_running_loop()
    due = loop.time()
    for piece in script.pieces:
        due += 1 / behaviour.tokens_per_second
        await out.write(piece)
        await asyncio.sleep(due - loop.time())


async def _streamed(exchange: Exchange, script: Script) -> web.StreamResponse:
    out = await opened(exchange)
    behaviour = exchange.behaviour
    if behaviour.first_token_seconds or behaviour.tokens_per_second:
        await play(out, script, behaviour)
        return await out.end(script.closing)
    *sends, last = _joined([script.opening, *script.pieces, script.closing])
    for data in sends:
        await out.write(data)
    return await out.end(last)


def _joined(pieces: list[bytes]) -> Iterator[bytes]:
    remaining = iter(pieces)
    while batch := list(itertools.islice(remaining, _PIECES_PER_SEND)):
        yield b"".join(batch)
