"""The event loop of the tasks, in a thread of its own. It knows nothing of Celery or tasks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import structlog

log = structlog.get_logger(__name__)

_LEFTOVERS_SECONDS = 0.2


class LoopThread:
    """One asyncio loop that runs from `start` to `stop`."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._stopping = False
        # A daemon: a task that blocks the loop for good must not keep the process.
        self._thread = threading.Thread(target=self._run, name="asyncio-pool", daemon=True)

    def start(self) -> None:
        """Returns when the loop runs."""
        running = threading.Event()
        self.loop.call_soon(running.set)
        self._thread.start()
        running.wait()

    def call(self, function: Callable[..., Any], *args: Any) -> None:
        """Have `function(*args)` run on the loop; safe in signal handlers, void after the end."""
        with suppress(RuntimeError):  # closed
            self.loop.call_soon_threadsafe(function, *args)

    def stop(self, timeout: float) -> bool:
        """End the loop; says whether it did within `timeout` seconds."""
        self._stopping = True
        self.call(self.loop.stop)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping:
            try:
                self.loop.run_forever()
            except (SystemExit, KeyboardInterrupt):  # some callback's: not the loop's to obey
                log.exception("loop_interrupted")
        self.loop.run_until_complete(self._end_leftovers())
        self.loop.close()

    async def _end_leftovers(self) -> None:
        leftovers = asyncio.all_tasks() - {asyncio.current_task()}
        for task in leftovers:
            task.cancel()
        if leftovers:
            await asyncio.wait(leftovers, timeout=_LEFTOVERS_SECONDS)
        await self.loop.shutdown_asyncgens()
