"""The simulator's own API under `/_simulator/`: what was seen, and a standing order for all calls.

GET    /_simulator/requests[?job_id=&limit=]   the records, oldest first (the last 1,000)
DELETE /_simulator/requests                    forget them
GET    /_simulator/counts                      sums, per job, model, status and outcome
GET    /_simulator/behaviour                   the standing order, if there is one
POST   /_simulator/behaviour                   {"behaviour": "503", "seconds": 30, "calls": 100}
DELETE /_simulator/behaviour                   back to names and headers
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from aiohttp import web

from app.simulator.behaviour import Behaviour, UnknownBehaviour, read
from app.simulator.question import dumps
from app.simulator.sending import JSON
from app.simulator.witness import Witness

PREFIX = "/_simulator/"
HEALTH_PATH = "/health"
"""Whether the process is up; an outage that is being played does not show here."""


@dataclass(slots=True)
class _Order:
    behaviour: Behaviour
    until: float | None
    calls_left: int | None


class StandingOrder:
    """A behaviour for every call, whatever its model: how an outage is played.

    It ends by time (`seconds`), by number (`calls`) or by `clear`, whichever comes first.
    """

    def __init__(self) -> None:
        self._order: _Order | None = None

    def give(self, told: str, *, seconds: float | None = None, calls: int | None = None) -> None:
        """Raises UnknownBehaviour."""
        until = None if seconds is None else time.monotonic() + seconds
        self._order = _Order(read(told), until, calls)

    def clear(self) -> None:
        self._order = None

    def now(self) -> Behaviour | None:
        """The order in force."""
        order = self._order
        if order is None:
            return None
        if order.calls_left == 0 or (order.until is not None and time.monotonic() >= order.until):
            self._order = None
            return None
        return order.behaviour

    def take(self) -> Behaviour | None:
        """The order in force, counted as used once."""
        behaviour = self.now()
        if behaviour is not None and self._order is not None and self._order.calls_left is not None:
            self._order.calls_left -= 1
        return behaviour

    def refuses(self) -> bool:
        """Whether new connections are reset, as by a server that is down."""
        behaviour = self.now()
        return behaviour is not None and behaviour.failure == "refuse"

    def as_json(self) -> Mapping[str, Any]:
        behaviour, order = self.now(), self._order
        if behaviour is None or order is None:
            return {"behaviour": None}
        left = None if order.until is None else max(0.0, order.until - time.monotonic())
        return {"behaviour": behaviour.told, "seconds": left, "calls": order.calls_left}


class Control:
    """Answers the requests under PREFIX, and for HEALTH_PATH."""

    def __init__(self, witness: Witness, order: StandingOrder) -> None:
        self._witness = witness
        self._order = order

    async def handle(self, request: web.BaseRequest) -> web.Response:
        verbs: dict[tuple[str, str], Callable[[Mapping[str, Any]], Any]] = {
            ("GET", HEALTH_PATH): lambda _: {"status": "ok"},
            ("GET", "requests"): self._requests,
            ("DELETE", "requests"): self._forget,
            ("GET", "counts"): lambda _: asdict(self._witness.counts()),
            ("GET", "behaviour"): lambda _: self._order.as_json(),
            ("POST", "behaviour"): self._give,
            ("DELETE", "behaviour"): self._clear,
        }
        verb = verbs.get((request.method, request.path.removeprefix(PREFIX)))
        if verb is None:
            return _reply({"error": f"no {request.method} {request.path}"}, 404)
        try:
            asked = await request.read() if request.method == "POST" else b""
            return _reply(verb(json.loads(asked) if asked else request.query))
        except (ValueError, TypeError, AttributeError) as error:
            return _reply({"error": str(error)}, 400)

    def _requests(self, query: Mapping[str, Any]) -> Any:
        records = self._witness.requests(query.get("job_id"))
        limit = max(1, int(query.get("limit", 1000)))
        return {"requests": [record.as_json() for record in records[-limit:]]}

    def _forget(self, _: Mapping[str, Any]) -> Any:
        self._witness.reset()
        return {"requests": []}

    def _give(self, body: Mapping[str, Any]) -> Any:
        """`refuse` needs an end, because it shuts this very door too."""
        told, seconds, calls = body.get("behaviour"), body.get("seconds"), body.get("calls")
        if not isinstance(told, str):
            raise UnknownBehaviour("behaviour: expected a text such as '503' or 'latency-2+429-7'")
        if read(told).failure == "refuse" and seconds is None:
            raise UnknownBehaviour("refuse: say for how many seconds")
        self._order.give(
            told,
            seconds=None if seconds is None else float(seconds),
            calls=None if calls is None else int(calls),
        )
        return self._order.as_json()

    def _clear(self, _: Mapping[str, Any]) -> Any:
        self._order.clear()
        return self._order.as_json()


def _reply(value: Any, status: int = 200) -> web.Response:
    return web.Response(status=status, body=dumps(value), headers={"Content-Type": JSON})
