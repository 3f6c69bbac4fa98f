"""One message in the pool, from its arrival to its end, and what its task may say to the pool.

Celery shows a task as started when its request is accepted. A job's task must not be accepted
before its row is claimed, so a task that sets `claims_first` announces that moment itself:

    @app.task(bind=True, claims_first=True)
    async def run(self, output_id):
        if not await claim(output_id):
            raise Ignore                    # never shown as started, no end is reported
        current_delivery().accept()         # task-started
        ...

Every other coroutine task is accepted when it begins.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from workers.pool.waiting_room import Rank


class End(StrEnum):
    """How a delivery left the pool."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    RETRIED = "retried"
    IGNORED = "ignored"
    """The task raised Ignore or Reject: somebody else's work, or none at all."""
    TERMINATED = "terminated"
    """Cancelled because Celery was asked to terminate it."""
    INTERRUPTED = "interrupted"
    """Cancelled because the worker stops; the work is done elsewhere, later."""
    REVOKED = "revoked"
    """Revoked while it waited; never begun."""
    RELEASED = "released"
    """The worker stops; never begun."""
    TRACED = "traced"
    """A synchronous task, whose end Celery's own tracer has put into words."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """An end with what is reported of it.

    `result` is the text of what the task returned (of a traced one: what Celery's tracer
    returned), `runtime` in seconds, `error` what it raised.
    """

    end: End
    result: Any = None
    runtime: float = 0.0
    error: BaseException | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Callbacks:
    """How Celery wants to be told; methods of its `Request`."""

    accepted: Callable[..., Any]
    succeeded: Callable[..., Any]
    failed: Callable[..., Any]


@dataclass(eq=False, slots=True, weakref_slot=True, kw_only=True)
class Delivery:
    """One message in the pool.

    `pid` stands where Celery expects a process id, and is none: it names this delivery and nothing
    else. `work` is what a slot runs; `cancellable` whether that can be ended from outside. The
    last three fields are the runner's.
    """

    request: Any
    pid: int
    callbacks: Callbacks
    work: Callable[[Delivery], Coroutine[Any, Any, Outcome]]
    cancellable: bool
    on_accept: Callable[[Delivery], None]
    on_terminate: Callable[[Delivery], None]
    accepted_at: float | None = None
    cancelled_as: End | None = None
    job: asyncio.Task[Outcome] | None = None

    @property
    def id(self) -> str:
        """The task id."""
        return str(self.request.id)

    @property
    def task(self) -> Any:
        """The Celery task."""
        return self.request.task

    @property
    def queue(self) -> str:
        """The routing key it came by, which names its queue."""
        return str(self.request.delivery_info.get("routing_key") or "")

    @property
    def rank(self) -> Rank:
        """The line it waits in."""
        return Rank.of(self.queue)

    def accept(self) -> None:
        """The work has begun: Celery shows the task as started. Again has no effect."""
        if self.accepted_at is None:
            self.accepted_at = time.monotonic()
            self.on_accept(self)

    def terminate(self, signal: int | None = None) -> None:
        """End it, whatever it does; Celery's `Request.terminate` calls this before acceptance."""
        self.on_terminate(self)


_current: ContextVar[Delivery] = ContextVar("current_delivery")


def current_delivery() -> Delivery:
    """The delivery of the task that is running here. Raises RuntimeError outside of one."""
    try:
        return _current.get()
    except LookupError:
        raise RuntimeError("no coroutine task is running here") from None


def enter(delivery: Delivery) -> None:
    """Make `delivery` the current one, for the rest of this context."""
    _current.set(delivery)
