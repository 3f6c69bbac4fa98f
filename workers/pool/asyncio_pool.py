"""The pool as Celery sees it: everything here runs on Celery's main thread.

See the package's docstring for the threads and the order of things.
"""

from __future__ import annotations

import inspect
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from typing import Any

import structlog
from celery import signals
from celery.concurrency.base import BasePool
from celery.worker import state

from workers.pool.delivery import Callbacks, Delivery, End, Outcome
from workers.pool.last_resort import LastResort
from workers.pool.loop_thread import LoopThread
from workers.pool.mailbox import Mailbox
from workers.pool.queue_order import ReservedSlotOrder
from workers.pool.reception import Reception
from workers.pool.runner import Runner
from workers.pool.services import Service, equipment_of
from workers.pool.tracing import RequestStack, trace, trace_in_thread

log = structlog.get_logger(__name__)

# Linux gives out no process id above 2**22: ours must not name a process, even by mistake.
_FIRST_PID = 2**22 + 1
_SYNCHRONOUS_THREADS = 8

# After the grace, in this order: cancelled tasks clean up, services end, the process is gone.
_CLEANUP_SECONDS = 0.7
_SERVICES_SECONDS = 1.2
_LOOP_SECONDS = 0.3
_EXIT_SECONDS = 1.7
_POLL_SECONDS = 0.01


class AsyncioPool(BasePool):  # type: ignore[misc]
    """Runs coroutine tasks on one event loop, at most `limit` at a time."""

    task_join_will_block = False

    def __init__(self, limit: int | None = None, *args: Any, **options: Any) -> None:
        super().__init__(limit or 1, *args, **options)
        self._equipment = equipment_of(self.app)
        self._mailbox = Mailbox()
        self._reception = Reception()
        self._thread = LoopThread()
        self._runner = Runner(limit=self.limit, on_end=self._on_end)
        self._threads = ThreadPoolExecutor(_SYNCHRONOUS_THREADS, thread_name_prefix="pool-sync")
        self._last_resort: LastResort | None = None
        self._services: list[Service] = []
        self._pids = count(_FIRST_PID)
        self._deadline: float | None = None
        self._stopping = False

    # --- deliveries -----------------------------------------------------------------------------

    def on_apply(
        self,
        target: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        callback: Callable[..., Any],
        accept_callback: Any,
        error_callback: Callable[..., Any],
        **_: Any,
    ) -> Delivery:
        """Take one request in; returns what Celery holds on to in order to terminate it."""
        request = accept_callback.__self__
        cancellable = is_coroutine_task(request.task)
        tracer = partial(target, *args, **kwargs)
        delivery = Delivery(
            request=request,
            pid=next(self._pids),
            callbacks=Callbacks(
                accepted=accept_callback, succeeded=callback, failed=error_callback
            ),
            work=trace
            if cancellable
            else partial(trace_in_thread, threads=self._threads, tracer=tracer),
            cancellable=cancellable,
            on_accept=self._on_accept,
            on_terminate=self._on_terminate,
        )
        self._reception.admit(delivery)
        self._thread.call(self._runner.arrive, delivery)
        return delivery

    def terminate_job(self, pid: int, signal: int | None = None) -> None:
        """Cancel the task that runs as `pid`; void when it has ended."""
        if delivery := self._reception.find(pid):
            delivery.terminate(signal)

    def _on_accept(self, delivery: Delivery) -> None:
        self._mailbox.post(self._reception.accepted, delivery)

    def _on_end(self, delivery: Delivery, outcome: Outcome) -> None:
        self._mailbox.post(self._reception.ended, delivery, outcome)

    def _on_terminate(self, delivery: Delivery) -> None:
        self._thread.call(self._runner.cancel, delivery, End.TERMINATED)

    # --- size -----------------------------------------------------------------------------------

    def grow(self, n: int = 1) -> None:
        """Run `n` more tasks at a time."""
        self._resize(self.limit + n)

    def shrink(self, n: int = 1) -> None:
        """Run `n` fewer tasks at a time, one at least; nothing that runs is ended."""
        self._resize(max(self.limit - n, 1))

    def _resize(self, limit: int) -> None:
        self.limit = limit
        self._thread.call(self._runner.resize, limit)

    def _get_info(self) -> dict[str, Any]:
        return {
            **super()._get_info(),
            "running": self._runner.running,
            "waiting": self._runner.waiting,
            "accepted": self._reception.accepted_total,
        }

    # --- from start to stop ---------------------------------------------------------------------

    def on_start(self) -> None:
        """Start the loop, then the services, in their order. A service that fails stops all."""
        # Only the command line runs a worker on the main thread; an embedded one must not end
        # its host's process.
        if threading.current_thread() is threading.main_thread():
            self._last_resort = LastResort()
            self._last_resort.start()
            signals.worker_shutting_down.connect(self._on_shutdown_signal)
        ReservedSlotOrder.reserved_is_free = self._runner.reserved_is_free
        self._thread.start()
        try:
            for service in self._equipment.services():
                service.start(self._thread.loop)
                self._services.append(service)
        except BaseException:
            self._stop(at_once=True)  # Celery stops only what has started wholly
            raise

    def register_with_event_loop(self, hub: Any) -> None:
        self._mailbox.attach(hub)

    def on_close(self) -> None:
        """The shutdown begins: nothing starts any more, the grace runs."""
        if self._stopping:
            return
        self._begin_grace()
        self._thread.call(self._runner.close)
        self._tell_services("drain", self._services)

    def on_stop(self) -> None:
        # The handler of SIGQUIT and of a second Ctrl-C sets this, and then stops the pool itself.
        self._stop(at_once=bool(state.should_terminate))

    def on_terminate(self) -> None:
        self._stop(at_once=True)

    def _on_shutdown_signal(self, how: str = "", **_: Any) -> None:
        self._mailbox.ring()  # else the consumer notices after its poll, up to a second later
        if how == "Warm":
            self._begin_grace()
        elif self._last_resort:
            self._last_resort.arm(_EXIT_SECONDS)

    def _begin_grace(self) -> None:
        if self._deadline is None:
            self._deadline = time.monotonic() + self._equipment.grace_seconds
            if self._last_resort:
                self._last_resort.arm(self._equipment.grace_seconds + _EXIT_SECONDS)

    def _stop(self, *, at_once: bool) -> None:
        """Wait for what runs, cut the rest, end the services, then the loop.

        A signal handler may call this inside itself (Ctrl-C twice, SIGQUIT while draining); that
        only ends the waiting of the call below. Hence polling: a lock or an event whose wait was
        interrupted must not be waited for again inside.
        """
        if at_once or self._deadline is None:
            self._deadline = time.monotonic()
        if self._stopping:
            return
        self._stopping = True
        self._thread.call(self._runner.close)
        self._wait_for_tasks(extra=0)
        self._thread.call(self._runner.cancel_all)
        self._wait_for_tasks(extra=_CLEANUP_SECONDS)
        self._stop_services()
        if not self._thread.stop(_LOOP_SECONDS):
            log.error("loop_is_blocked")
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._mailbox.close()  # last: reporting may block on a mute broker

    def _wait_for_tasks(self, *, extra: float) -> None:
        while not self._runner.idle and time.monotonic() < (self._deadline or 0) + extra:
            time.sleep(_POLL_SECONDS)

    def _stop_services(self) -> None:
        """In reverse order, and in a thread: one that hangs must not hold the exit."""
        order = self._services[::-1]
        stopping = threading.Thread(target=self._tell_services, args=("stop", order), daemon=True)
        stopping.start()
        stopping.join(max((self._deadline or 0) - time.monotonic(), 0) + _SERVICES_SECONDS)
        if stopping.is_alive():
            log.error("services_hang")

    def _tell_services(self, what: str, services: list[Service]) -> None:
        for service in services:
            try:
                getattr(service, what)()
            except Exception:
                log.exception("service_failed", service=type(service).__name__, to=what)


def is_coroutine_task(task: Any) -> bool:
    """Whether `task` runs on the loop; if so, its `request` is kept per context from now on."""
    if isinstance(task.request_stack, RequestStack):
        return True
    if not inspect.iscoroutinefunction(task.run):
        return False
    task.request_stack = RequestStack(task.name)
    return True
