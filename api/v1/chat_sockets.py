"""Chats over a WebSocket: what happens in one, and what is done in it, on one line.

Each command is one of the HTTP routes and answers as it does: `{"command", "ref", "data"}` becomes
`{"event": "reply", "ref", "status", "data"}`. What happens comes as on the event stream. OpenAPI
has no words for it; docs/how-to/chats.md tells it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import copy_context
from typing import Any

from flask import Flask, Response

from api import auth, chat_events, errors, holding, sockets
from api.replies import Reply
from api.routing import Endpoint, Routes, perform, runtime
from api.sockets import Gone, Socket
from api.v1.chats import (
    cancel_message,
    create_chat,
    judge_message,
    retry_message,
    routes,
    send_message,
    shown,
)
from app.accounts import Caller
from app.errors import InvalidParameter, LLMJobsError
from app.runtime import Runtime
from models import Scope

WAIT_SECONDS = 1.0
"""How soon a quiet line notices that its process is stopping."""

_CREATE = "create"


def _endpoint(view: Callable[..., Any], among: Routes = routes) -> Endpoint:
    return next(endpoint for endpoint in among if endpoint.view is view)


COMMANDS: Mapping[str, tuple[Endpoint, str | None]] = {
    _CREATE: (_endpoint(create_chat), None),
    "send": (_endpoint(send_message), "chat_id"),
    "retry": (_endpoint(retry_message), "message_id"),
    "cancel": (_endpoint(cancel_message), "message_id"),
    "feedback": (_endpoint(judge_message), "message_id"),
}
"""The routes, and what their address says; a message's number is in the command's data."""


def install(app: Flask) -> None:
    """Serve them."""
    for path in ("/api/v1/chats/ws", "/api/v1/chats/<row:chat_id>/ws"):
        name = f"socket_{'chat' if 'row' in path else 'new_chat'}"
        app.add_url_rule(path, name, talk_in_chat, websocket=True, strict_slashes=False)


def talk_in_chat(chat_id: int | None = None) -> Response:
    """Follow a chat and act in it; without one, `create` it first."""
    here = runtime()
    caller = auth.authenticated(here)
    caller.require(Scope.CHAT_READ)
    if chat_id is not None:
        shown(here, caller, chat_id)
    give_back = holding.take_stream(caller.user_id)
    line = _Line(here, holding.held().stopping.is_set, give_back)

    def talk(socket: Socket) -> None:
        found = chat_id
        while found is None and not line.stopping():
            found = line.act(socket, None)
        if found is not None:
            line.hold(socket, found)

    return sockets.serve(talk, tell=_refused, on_close=give_back)


class _Line:
    """One caller's line. What is done comes in on one thread, what happens goes out on another."""

    def __init__(
        self, here: Runtime, stopping: Callable[[], bool], give_back: Callable[[], None]
    ) -> None:
        self._runtime = here
        self.stopping = stopping
        self._give_back = give_back

    def hold(self, socket: Socket, chat_id: int) -> None:
        """Until either side hangs up, or the chat is not the caller's any more. Raises Gone."""
        over = threading.Event()
        caller = auth.authenticated(self._runtime)
        told = threading.Thread(
            target=copy_context().run,
            args=(self._tell, socket, caller, chat_id, over.is_set),
            daemon=True,
        )
        told.start()
        try:
            while told.is_alive() and not self.stopping():
                self.act(socket, chat_id)
        finally:
            over.set()
            self._give_back()  # the other thread looks up within a second; nobody waits for that
            told.join()

    def act(self, socket: Socket, chat_id: int | None) -> int | None:
        """Do what is asked for next, if anything is in time; the chat that was made, if one was.

        The key is asked again: it may have been revoked meanwhile. Raises Gone.
        """
        ref: Any = None
        try:
            asked = socket.receive(WAIT_SECONDS)
            if asked is None:
                return None
            ref = asked.get("ref")
            reply = self._done(asked, chat_id)
        except LLMJobsError as error:
            socket.send({**_refused(error), "ref": ref})
            return None
        socket.send({"event": "reply", "ref": ref, "status": reply.status, "data": reply.body})
        return reply.body["id"] if chat_id is None else None  # type: ignore[index]

    def _done(self, asked: Mapping[str, Any], chat_id: int | None) -> Reply:
        command, data = asked.get("command"), asked.get("data", {})
        allowed = [name for name in COMMANDS if (name == _CREATE) == (chat_id is None)]
        if command not in allowed:
            raise InvalidParameter(
                f"Invalid command. Must be one of: {', '.join(allowed)}", pointer="/command"
            )
        if not isinstance(data, dict):
            raise InvalidParameter("Invalid data: not an object", pointer="/data")
        endpoint, named = COMMANDS[command]
        arguments = {} if named is None else {named: chat_id}
        if named == "message_id":
            arguments[named] = _number(data.pop(named, None))
        caller = auth.authenticated(self._runtime)
        return perform(endpoint, self._runtime, caller, data, **arguments)

    def _tell(self, socket: Socket, caller: Caller, chat_id: int, over: Callable[[], bool]) -> None:
        events = chat_events.follow(
            self._runtime,
            chat_id,
            lambda: shown(self._runtime, caller, chat_id),
            after=None,
            stopping=lambda: over() or socket.gone or self.stopping(),
        )
        with suppress(Gone):
            for event in events:
                if event is not None:
                    socket.send({"event": event.type, "id": event.id, "data": event.data})


def _number(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidParameter("message_id must be a message's number", pointer="/data/message_id")
    return value


def _refused(error: Exception) -> dict[str, Any]:
    return {"event": "error", "data": errors.body_of(errors.problem_of(error))}
