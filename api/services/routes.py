"""The addresses of the services, and what they answer."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import Any

from flask import Flask, Response, request

from api import holding, request_log, sockets, sse
from api.replies import as_json
from api.routing import runtime
from api.services import asking
from api.services.narrating import READMES, VERSION, known, narrate, problem
from api.services.stream import Event
from api.sockets import Socket
from api.web.render import POLICY
from app.operations.health import NoticeCode, health
from app.providers.registry import known_models
from app.services import ServiceError

KEEPALIVE_LOOKS = 5
"""After so many looks, a second each, that brought nothing."""

_LIST = "<!doctype html><title>LLM Jobs</title><h1>Services</h1><ul>{}</ul>"
_VERSIONED = ("/livez",)


def install(app: Flask) -> None:
    """Serve them."""
    app.add_url_rule(  # before the plain one: a WebSocket is a GET, too
        "/services/<name>",
        "service_talk",
        _service(talk_with_service),
        websocket=True,
        strict_slashes=False,
    )
    for path, view, methods in (
        ("/status", show_status, ["GET"]),
        ("/services/<name>/README.md", show_readme, ["GET"]),
        ("/services/<name>", call_service, ["GET", "POST"]),
        ("/services/<name>/stream", stream_service, ["POST"]),
    ):
        name = f"service_{view.__name__}"
        app.add_url_rule(path, name, _service(view), methods=methods, strict_slashes=False)
    app.before_request(_show_list_to_probes)
    app.after_request(_name_version)


def show_status() -> Response:
    """What the service stands on, as far as is known; no model is called for it."""
    here = runtime()
    usable = {model.provider for model in known_models(here.settings) if model.configured}
    away = any(notice.code is NoticeCode.DATABASE_AWAY for notice in health(here))
    parts = {
        "openai": "openai" in usable,
        "pinecone": False,
        "anthropic": "anthropic" in usable,
        "postgres": not away,
    }
    return _json({name: "working" if fine else "not working" for name, fine in parts.items()})


def show_readme(name: str) -> Response:
    """What a service is for."""
    return Response(READMES[known(name)], content_type="text/markdown; charset=utf-8")


def call_service(name: str) -> Response:
    """A service's answer, whole."""
    here = runtime()
    if request.method in ("GET", "HEAD"):
        known(name)
        if request.method == "HEAD":
            return Response(status=200)
        raise ServiceError(405, "BAD_REQUEST", f"POST to /services/{name}")
    payload, caller = asking.read(here)
    asking.admit(here, caller)
    known(name)
    give_back = holding.take_service(caller.user_id)
    try:
        stopping, traced = holding.held().stopping.is_set, request_log.traceparent()
        told = narrate(here, caller, name, payload, stopping=stopping, traceparent=traced)
        last = list(told)[-1]
    finally:
        give_back()
    assert last is not None  # noqa: S101 - the last event is an end
    return _json(last.data, status=last.data["code"] if last.type == "error" else 200)


def stream_service(name: str) -> Response:
    """The same as it is written. Once it is known who asks, whatever is wrong is an event."""
    here = runtime()
    payload, caller = asking.read(here)
    try:
        asking.admit(here, caller)
        known(name)
        give_back = holding.take_service(caller.user_id)
    except Exception as error:
        refusal = problem(error, name).to_json()
        return sse.stream_response(iter([sse.encode("error", refusal)]))
    stopping, traced = holding.held().stopping.is_set, request_log.traceparent()

    def body() -> Iterator[bytes]:
        told = narrate(here, caller, name, payload, stopping=stopping, traceparent=traced)
        yield from _bytes(told)

    return sse.stream_response(body(), on_close=give_back)


def talk_with_service(name: str) -> Response:
    """The same over a WebSocket: `start` with a payload, events, `complete` on every outcome. The
    key comes with the address or in a header; a client of LLM_JOBS_COMPAT_USER needs none.
    """
    here = runtime()
    caller = asking.who_opens(here)
    asking.admit(here, caller)
    known(name)
    give_back = holding.take_service(caller.user_id)
    stopping, traced = holding.held().stopping.is_set, request_log.traceparent()

    def talk(socket: Socket) -> None:
        payload = asking.started(socket)
        told = narrate(here, caller, name, payload, stopping=stopping, traceparent=traced)
        with closing(told):  # whoever hangs up is answered no more
            for event in told:
                if event is not None:
                    socket.send(_message(event))
                elif socket.gone:
                    return

    return sockets.serve(talk, tell=lambda error: _over(problem(error, name)), on_close=give_back)


def _bytes(told: Iterator[Event | None]) -> Iterator[bytes]:
    """As an event stream, with a sign of life where nothing is told. The bytes are strict, because
    the readers of these streams stumble over anything else.
    """
    quiet = 0
    for event in told:
        quiet = quiet + 1 if event is None else 0
        if event is not None:
            yield sse.encode(event.type, event.data)
        elif quiet % KEEPALIVE_LOOKS == 0:
            yield sse.KEEPALIVE


def _message(event: Event) -> dict[str, Any]:
    """As a message of the WebSocket, where an error is a result like any."""
    if event.type in ("complete", "error"):
        return {"event": "complete", "data": event.data}
    return {"event": "event", "type": event.type, "data": event.data}


def _over(error: ServiceError) -> dict[str, Any]:
    return _message(Event("error", error.to_json()))


def _service(view: Callable[..., Response]) -> Callable[..., Response]:
    """A view whose refusals are error objects."""

    @functools.wraps(view)
    def answer(**arguments: Any) -> Response:
        try:
            return view(**arguments)
        except Exception as error:
            found = problem(error, arguments.get("name", ""))
            return _json(found.to_json(), status=found.code)

    return answer


def _name_version(response: Response) -> Response:
    """Every answer to a client of the services names our version."""
    if (request.endpoint or "").startswith("service_") or request.path in _VERSIONED:
        response.headers["X-Api-Version"] = VERSION
    return response


def _show_list_to_probes() -> Response | None:
    """`GET /` of whoever is no browser: a probe takes a redirect for a service that is away."""
    if request.path != "/" or request.method not in ("GET", "HEAD"):
        return None
    if "text/html" in request.headers.get("Accept", ""):
        return None
    lines = "".join(f"<li>{name}</li>" for name in READMES)
    response = Response(_LIST.format(lines), content_type="text/html; charset=utf-8")
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["X-Api-Version"] = VERSION
    return response


def _json(body: Mapping[str, Any], *, status: int = 200) -> Response:
    return Response(as_json(body), status, content_type="application/json")
