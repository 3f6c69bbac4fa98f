"""The slots: which deliveries run, which wait, and who comes next. Lives on the loop's thread.

Only the counts may be read elsewhere. It decides and runs; what an end means to Celery is said by
the pool, to which every end is handed exactly once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from functools import partial

import structlog
from celery.worker import state

from workers.pool.delivery import Delivery, End, Outcome
from workers.pool.waiting_room import Rank, WaitingRoom

log = structlog.get_logger(__name__)


class Runner:
    """At most `limit` deliveries at a time, the others wait in their order."""

    def __init__(self, *, limit: int, on_end: Callable[[Delivery, Outcome], None]) -> None:
        self._limit = limit
        self._on_end = on_end
        self._waiting: WaitingRoom[Delivery] = WaitingRoom()
        self._running: set[Delivery] = set()
        self._running_lower = 0
        self._closed = False
        # Every task starts from a copy of this, so none inherits what another one has set.
        self._pristine = Context()

    @property
    def running(self) -> int:
        return len(self._running)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def idle(self) -> bool:
        """Closed, and nothing runs any more."""
        return self._closed and not self._running

    def reserved_is_free(self) -> bool:
        """Whether the slot kept for default and low messages is not in use. From any thread."""
        return self._limit > 1 and not self._running_lower

    def arrive(self, delivery: Delivery) -> None:
        """Take it in; it starts when it is its turn."""
        self._waiting.add(delivery, delivery.rank)
        if self._closed:
            self._release()
        else:
            self._fill()

    def resize(self, limit: int) -> None:
        """Run at most `limit` from now on; those above it finish."""
        self._limit = limit
        self._fill()

    def close(self) -> None:
        """Start nothing any more; those that wait are released."""
        self._closed = True
        self._release()

    def cancel(self, delivery: Delivery, why: End) -> None:
        """End it as `why`. Once is enough: a second one would cut its cleaning up short."""
        if delivery.cancelled_as:
            return
        if self._waiting.remove(delivery):
            self._on_end(delivery, Outcome(why))
        elif not delivery.cancellable:
            log.warning("thread_cannot_be_cancelled", task_id=delivery.id)
        elif delivery.job:
            delivery.cancelled_as = why
            delivery.job.cancel()

    def cancel_all(self) -> None:
        """The worker stops now."""
        if self._running:
            log.warning("tasks_cut_by_shutdown", running=self.running)
        for delivery in self._running:
            self.cancel(delivery, End.INTERRUPTED)

    def _fill(self) -> None:
        while len(self._running) < self._limit and (delivery := self._next()):
            if delivery.id in state.revoked:
                self._on_end(delivery, Outcome(End.REVOKED))
            else:
                self._start(delivery)

    def _release(self) -> None:
        for delivery in self._waiting.clear():
            self._on_end(delivery, Outcome(End.RELEASED))

    def _next(self) -> Delivery | None:
        return self._waiting.next(reserved_is_free=self.reserved_is_free())

    def _start(self, delivery: Delivery) -> None:
        self._running.add(delivery)
        self._running_lower += delivery.rank is not Rank.HIGH
        loop = asyncio.get_running_loop()
        delivery.job = loop.create_task(delivery.work(delivery), context=self._pristine.copy())
        delivery.job.add_done_callback(partial(self._finish, delivery))

    def _finish(self, delivery: Delivery, job: asyncio.Task[Outcome]) -> None:
        self._running.discard(delivery)
        self._running_lower -= delivery.rank is not Rank.HIGH
        self._fill()
        self._on_end(delivery, _outcome(delivery, job))


def _outcome(delivery: Delivery, job: asyncio.Task[Outcome]) -> Outcome:
    if job.cancelled():
        return Outcome(delivery.cancelled_as or End.INTERRUPTED)
    if error := job.exception():  # a receiver of a signal, say: not the task's own
        return Outcome(End.FAILED, error=error)
    return job.result()
