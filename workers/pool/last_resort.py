"""The promise that a stopping worker is gone in time, whatever hangs.

An orderly stop passes through code that can block for long on a silent broker (Celery's consumer,
the transport's exit hooks) or for ever on a thread that never returns. This ends the process then.
Nothing is lost by it: the rows are the truth, and another worker rescues what was cut.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue

import structlog

log = structlog.get_logger(__name__)

EXIT_STATUS = 1


class LastResort:
    """Exits the process at the earliest deadline it was given."""

    def __init__(self, exit_process: Callable[[int], None] = os._exit) -> None:
        self._exit_process = exit_process
        # put() of a SimpleQueue may interrupt itself, so arm() is safe in signal handlers.
        self._deadlines: SimpleQueue[float] = SimpleQueue()

    def start(self) -> None:
        """Stand by, in a daemon thread."""
        threading.Thread(target=self._watch, name="last-resort", daemon=True).start()

    def arm(self, seconds: float) -> None:
        """Exit `seconds` from now; an earlier deadline stands."""
        self._deadlines.put(time.monotonic() + seconds)

    def _watch(self) -> None:
        deadline = self._deadlines.get()
        while (left := deadline - time.monotonic()) > 0:
            with suppress(Empty):
                deadline = min(deadline, self._deadlines.get(timeout=left))
        # Logging may itself be what hangs (a full pipe), so it gets a moment and no more.
        farewell = threading.Thread(target=log.error, args=("worker_forced_to_exit",), daemon=True)
        farewell.start()
        farewell.join(0.1)
        self._exit_process(EXIT_STATUS)
