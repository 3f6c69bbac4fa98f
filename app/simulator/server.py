"""The simulator as a process: one asyncio loop, one socket, no router.

The way of a call: begin its record, read the question, settle the behaviour (standing order, then
header, then model name), wait as told, answer or misbehave, end the record.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import structlog
from aiohttp import web

from app.simulator import behaviour as behaviours
from app.simulator.answers import say
from app.simulator.anthropic_wire import AnthropicWire
from app.simulator.behaviour import HEALTHY, Behaviour, UnknownBehaviour
from app.simulator.control import HEALTH_PATH, PREFIX, Control, StandingOrder
from app.simulator.faults import REDIRECTED_PATH, misbehave, reset
from app.simulator.openai_wire import OpenAIWire
from app.simulator.question import End, Question, Rejected, Said, Wire, dumps
from app.simulator.sending import Exchange, answered
from app.simulator.witness import Outcome, Record, Witness

ATTEMPT_HEADER = "x-llm-jobs-attempt"
BEHAVIOUR_HEADER = "x-simulator"

_OPENAI, _ANTHROPIC = OpenAIWire(), AnthropicWire()
_CALLS: dict[str, Wire] = {"/v1/chat/completions": _OPENAI, "/v1/messages": _ANTHROPIC}
_OPENAI_MODELS = (
    "echo", "gpt-4", "gpt-4o", "gpt-4o-mini", "gpt-6-astra", "o1",
    "llama-3", "llama-3.1", "llama-3.2", "qwen3",
)  # fmt: skip
_ANTHROPIC_MODELS = ("claude-sonnet-5-5", "claude-3-opus")

_LARGEST_REQUEST = 64 * 1024 * 1024
_IDLE_SECONDS = 600.0
"""Longer than any client keeps a connection: the server must not be the one to close it."""
_BACKLOG = 4096

log = structlog.get_logger(__name__)


def run(host: str, port: int, *, on_ready: Callable[[str], None] | None = None) -> None:
    """Serve until SIGINT or SIGTERM. `on_ready` is told the address; port 0 takes a free one."""
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve_until_told(host, port, on_ready))


@contextlib.asynccontextmanager
async def serving(host: str, port: int) -> AsyncIterator[Simulator]:
    """A simulator that listens for as long as the block runs. Raises OSError for a taken port."""
    loop = asyncio.get_running_loop()
    simulator = Simulator()
    server = _Server(simulator)
    listening = await loop.create_server(server, host, port, backlog=_BACKLOG)
    address = listening.sockets[0].getsockname()
    name = f"[{address[0]}]" if listening.sockets[0].family is socket.AF_INET6 else address[0]
    simulator.url = f"http://{name}:{address[1]}"
    try:
        yield simulator
    finally:
        listening.close()
        await server.shutdown(timeout=0.05)


async def _serve_until_told(host: str, port: int, on_ready: Callable[[str], None] | None) -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told.set)
    async with serving(host, port) as simulator:
        log.info("simulator_started", url=simulator.url)
        if on_ready is not None:
            on_ready(simulator.url)
        await told.wait()


class Simulator:
    """The vendor: its witness, its standing order, and what it does with a request."""

    def __init__(self) -> None:
        self.url = ""
        self.witness = Witness()
        self.order = StandingOrder()
        self.gate = asyncio.Event()
        self.gate.set()
        self._control = Control(self.witness, self.order)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request, and remember it unless it is about the simulator itself."""
        path = request.path
        if path.startswith(PREFIX) or path == HEALTH_PATH:
            return await self._control.handle(request)
        wire = _CALLS.get(path) if request.method == "POST" else None
        attempt = request.headers.get(ATTEMPT_HEADER, "")
        record = self.witness.begin(request.method, path, attempt=attempt, is_call=wire is not None)
        try:
            if wire is None:
                return await self._look_up(request, record)
            return await self._call(request, wire, record)
        except (asyncio.CancelledError, ConnectionError):
            record.outcome = Outcome.CLIENT_GONE
            raise
        finally:
            self.witness.end(record)

    async def _call(
        self, request: web.BaseRequest, wire: Wire, record: Record
    ) -> web.StreamResponse:
        try:
            exchange = await self._exchange(request, wire, record)
        except Rejected as why:
            return _rejected(wire, record, why)
        await self.gate.wait()
        return await _act(exchange)

    async def _exchange(self, request: web.BaseRequest, wire: Wire, record: Record) -> Exchange:
        """What is asked and how it will be answered. Raises Rejected."""
        body = await request.read()
        self.witness.keep_body(record, body)
        question = wire.read(_parsed(body), request.headers)
        record.model, record.stream = question.model, question.stream
        behaviour = self._behaviour(request.headers, question.model)
        record.behaviour = behaviour.told
        if behaviour.first_calls:
            job = record.job_id or f"{hash((question.model, question.messages)):x}"
            behaviour = behaviour.for_call(self.witness.next_call_of(job))
        said = say(question, behaviour, number=record.number)
        return Exchange(request, record, wire, behaviour, question, said)

    def _behaviour(self, headers: Mapping[str, str], model: str) -> Behaviour:
        ordered = self.order.take()
        if ordered is not None:
            return ordered
        told = headers.get(BEHAVIOUR_HEADER)
        try:
            return behaviours.read(told) if told else behaviours.of_model(model)
        except UnknownBehaviour as error:
            raise Rejected(str(error), code="unknown_behaviour", param="model") from None

    async def _look_up(self, request: web.BaseRequest, record: Record) -> web.StreamResponse:
        """Everything that is no call of a model: the lists of models, and what does not exist."""
        is_anthropic = "anthropic-version" in request.headers or "x-api-key" in request.headers
        wire: Wire = _ANTHROPIC if is_anthropic else _OPENAI
        listing = _listing(request, wire)
        try:
            if listing is None:
                raise Rejected(f"Invalid URL ({request.method} {request.path})", status=404)
            behaviour = self._behaviour(request.headers, "")
        except Rejected as why:
            return _rejected(wire, record, why)
        record.behaviour = behaviour.told
        nothing = Question(model="", messages=())
        said = Said(record.number, "", End.DONE, input_tokens=0)
        return await _act(Exchange(request, record, wire, behaviour, nothing, said, listing))


class _Server(web.Server):
    """aiohttp's connection handling, with a door that a standing order can shut."""

    def __init__(self, simulator: Simulator) -> None:
        super().__init__(
            simulator.handle,
            request_factory=self._request,
            handler_cancellation=True,
            access_log=None,
            keepalive_timeout=_IDLE_SECONDS,
        )
        self._simulator = simulator

    def __call__(self) -> Any:
        if self._simulator.order.refuses():
            self._simulator.order.take()
            return _ShutDoor()
        return super().__call__()

    def _request(
        self, message: Any, payload: Any, protocol: Any, writer: Any, task: Any
    ) -> web.BaseRequest:
        return web.BaseRequest(
            message, payload, protocol, writer, task, self._loop, client_max_size=_LARGEST_REQUEST
        )


class _ShutDoor(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            reset(transport)


async def _act(exchange: Exchange) -> web.StreamResponse:
    behaviour = exchange.behaviour
    if behaviour.latency_seconds:
        await asyncio.sleep(behaviour.latency_seconds)
    if behaviour is not HEALTHY and behaviour.failure:
        return await misbehave(exchange)
    return await answered(exchange)


def _parsed(body: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise Rejected("We could not parse the JSON body of your request.") from None
    if not isinstance(value, dict):
        raise Rejected("The JSON body of your request must be an object.")
    return value


def _rejected(wire: Wire, record: Record, why: Rejected) -> web.Response:
    reply = wire.rejection(why, record.number)
    record.outcome, record.status = Outcome.REJECTED, reply.status
    body = dumps(reply.body)
    record.bytes_out = len(body)
    headers = {"Content-Type": "application/json", **wire.headers(record.number, HEALTHY)}
    return web.Response(status=reply.status, body=body, headers=headers)


def _listing(request: web.BaseRequest, wire: Wire) -> Any:
    if request.path == REDIRECTED_PATH:
        return {"object": "redirected"}
    if request.method != "GET":
        return None
    match request.path:
        case "/v1/models":
            return wire.models(_ANTHROPIC_MODELS if wire is _ANTHROPIC else _OPENAI_MODELS)
        case "/api/tags":
            return {"models": [_ollama(name) for name in _OPENAI_MODELS]}
    return None


def _ollama(name: str) -> dict[str, Any]:
    """One row of Ollama's own list, where a bare name carries the tag `latest`."""
    return {
        "name": f"{name}:latest",
        "model": f"{name}:latest",
        "modified_at": "2024-01-01T00:00:00Z",
        "size": 1,
        "digest": "0" * 64,
        "details": {"format": "gguf", "family": "simulator", "parameter_size": "1B"},
    }
