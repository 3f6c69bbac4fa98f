"""A server that says exactly the bytes it is given, for what no proper server would say."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class RawServer:
    """Where it listens, and the head and body of each request it read."""

    url: str = ""
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0


@asynccontextmanager
async def raw_server(
    reply: bytes | Callable[[int], bytes], *, tls: ssl.SSLContext | None = None, close: bool = True
) -> AsyncIterator[RawServer]:
    """Answer each request with `reply` (or `reply(number)`), then close unless told not to."""
    running = RawServer()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        running.connections += 1
        try:
            while head := await _request(reader):
                running.requests.append(head)
                said = reply(len(running.requests)) if callable(reply) else reply
                writer.write(said)
                await writer.drain()
                if close:
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client has heard enough
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    running.url = f"http{'s' if tls else ''}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield running
    finally:
        server.close()
        await server.wait_closed()


async def _request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"\ncontent-length: (\d+)", head.lower())
    return head + await reader.readexactly(int(length[1]) if length else 0)


def http(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    """A whole reply with this body."""
    lines = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body
