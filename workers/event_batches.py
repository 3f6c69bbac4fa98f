"""Task events leave the worker in batches: a job has four, and publishing one costs like many.

Celery gathers events only until its loop comes round again, which under load is after every few.
Here the first ones after a pause go out at once and those that follow within 5 ms together: a
quiet worker tells Flower everything as it happens, a busy one that is killed keeps a blink's worth.
"""

from __future__ import annotations

import time
from typing import Any

from celery import bootsteps

GATHER_SECONDS = 0.005
MOST = 500
"""So many go out at once, whatever the time."""


class EventBatches(bootsteps.StartStopStep):  # type: ignore[misc]
    """A step of the consumer: begins anew with each connection, as Celery's own event step does."""

    requires = ("celery.worker.consumer.events:Events",)

    def start(self, consumer: Any) -> None:
        """Slow down this connection's dispatcher. All of it happens in the loop's thread."""
        dispatcher, hub = consumer.event_dispatcher, consumer.hub
        if hub is None:  # another pool's loop: Celery does not gather there
            return
        pace = _Pace()

        def flush() -> None:
            pace.flushed()
            dispatcher.flush()

        def flush_soon() -> None:
            if pace.waiting:
                return
            pace.waiting, wait = True, pace.seconds_left()
            if wait > 0:
                hub.call_later(wait, flush)
            else:
                hub.call_soon(flush)

        dispatcher.buffer_limit = MOST
        dispatcher.on_send_buffered = flush_soon

    def stop(self, consumer: Any) -> None:
        """Nothing that has gathered may stay behind."""
        if consumer.event_dispatcher:
            consumer.event_dispatcher.flush()


class _Pace:
    """When the last batch left, and whether the next is on its way."""

    def __init__(self) -> None:
        self.waiting = False
        self._last = float("-inf")

    def flushed(self) -> None:
        self.waiting, self._last = False, time.monotonic()

    def seconds_left(self) -> float:
        return self._last + GATHER_SECONDS - time.monotonic()
