"""WebSockets: JSON objects both ways, over the connection that a request came on.

The library `websockets` keeps the protocol, its pings and its closing; here is only what a request
of ours needs: who it is was found out before, as for any request, and at most as many are held open
as `api.holding` has places for.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from flask import Response, request
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request as Handshake
from websockets.server import ServerProtocol
from websockets.sync.connection import Connection

from api import body
from api.body import ORDINARY, BodyLimits
from api.replies import as_json
from app.errors import InvalidRequest, LLMJobsError, Unavailable

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

CLOSE_SECONDS = 2.0
"""How long the other side may take to say goodbye."""

Message = dict[str, Any]


class Gone(Exception):
    """The other side has hung up."""


class Socket:
    """One open WebSocket. Any thread may send."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def gone(self) -> bool:
        """Whether the other side has hung up."""
        return self._connection.close_code is not None

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a JSON object. Raises Gone."""
        try:
            self._connection.send(as_json(message))
        except (ConnectionClosed, OSError):
            raise Gone from None

    def receive(self, seconds: float, limits: BodyLimits = ORDINARY) -> Message | None:
        """The next JSON object, checked as a request's body is; None when none comes in time.

        Raises Gone, and InvalidRequest for anything else.
        """
        try:
            raw = self._connection.recv(timeout=seconds)
        except TimeoutError:
            return None
        except (ConnectionClosed, OSError):
            raise Gone from None
        if isinstance(raw, bytes):
            raise InvalidRequest("Messages are JSON texts", pointer="")
        document = body.parse(raw.encode())
        body.check(document, limits)
        return body.an_object(document)


Talk = Callable[[Socket], None]


def serve(
    talk: Talk,
    *,
    tell: Callable[[Exception], Mapping[str, Any]],
    on_close: Callable[[], None] = lambda: None,
) -> Response:
    """Answer the current request, a WebSocket's, with a conversation. What `talk` raises is sent as
    `tell` words it; then the socket is closed, and `on_close` called.

    Raises InvalidRequest for a handshake that is none, Unavailable where the server of this process
    does not hand out its connections.
    """
    try:
        found: socket.socket | None = request.environ.get("gunicorn.socket")
        if found is None:
            raise Unavailable("This server speaks no WebSocket")
        response = _Conversation(found, _shaken_hands(), talk, tell)
    except LLMJobsError:
        on_close()
        raise
    response.call_on_close(on_close)
    return response


class _Conversation(Response):
    """Takes its request's connection over, and gives it back closed."""

    def __init__(
        self,
        connection: socket.socket,
        protocol: ServerProtocol,
        talk: Talk,
        tell: Callable[[Exception], Mapping[str, Any]],
    ) -> None:
        super().__init__(status=101)
        self._socket = connection
        self._protocol = protocol
        self._talk = talk
        self._tell = tell

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Talk until it is over. Ends with StopIteration: gunicorn's word for "it is answered"."""
        try:
            with suppress(OSError):  # lost before it was open
                self._socket.sendall(b"".join(self._protocol.data_to_send()))
                connection = Connection(self._socket, self._protocol, close_timeout=CLOSE_SECONDS)
                connection.start_keepalive()
                self._converse(connection)
        finally:
            self.close()
        raise StopIteration

    def _converse(self, connection: Connection) -> None:
        open_socket = Socket(connection)
        try:
            self._talk(open_socket)
        except Gone:
            pass
        except Exception as error:
            with suppress(Gone):
                open_socket.send(self._tell(error))
        connection.close()


def _shaken_hands() -> ServerProtocol:
    """The protocol after the handshake that the current request is. Raises InvalidRequest."""
    protocol = ServerProtocol(max_size=body.MEGABYTE)
    headers = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    protocol.receive_data(f"GET / HTTP/1.1\r\n{headers}\r\n".encode("latin-1", "replace"))
    shakes = [event for event in protocol.events_received() if isinstance(event, Handshake)]
    response = protocol.accept(shakes[0]) if shakes else None
    if response is None or response.status_code != 101:
        raise InvalidRequest("The WebSocket handshake is incomplete")
    protocol.send_response(response)
    return protocol
