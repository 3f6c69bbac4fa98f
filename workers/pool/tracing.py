"""Running one task: its request context, and what its end is called.

Celery's own tracer is synchronous. `trace` is the part of it that coroutine tasks need:
`task.request`, the signals task_prerun and task_postrun, and one of our ends. Left out on purpose:
result backends, callbacks, chains and chords, before_start and its relatives, time limits (a
deadline belongs to the call, where it can end it), the other task signals, `current_task`, and
tracebacks: what an exception says leaves the worker, its frames do not. `trace_in_thread` runs an
ordinary function with all of these, as Celery does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from contextvars import ContextVar
from typing import Any

import structlog
from celery import signals, states
from celery.app.task import Context
from celery.exceptions import Ignore, Reject, Retry
from celery.utils.saferepr import saferepr

from workers.pool.delivery import Delivery, End, Outcome, enter

log = structlog.get_logger(__name__)

_STATES = {
    End.SUCCEEDED: states.SUCCESS,
    End.FAILED: states.FAILURE,
    End.RETRIED: states.RETRY,
    End.IGNORED: states.IGNORED,
    End.TERMINATED: states.REVOKED,
}


class RequestStack:
    """What `task.request` looks into, kept per context.

    Celery keeps it per thread, where the coroutines of one loop would see each other's.
    """

    def __init__(self, name: str) -> None:
        self._stack: ContextVar[tuple[Any, ...]] = ContextVar(f"request of {name}", default=())

    def push(self, request: Any) -> None:
        self._stack.set((*self._stack.get(), request))

    def pop(self) -> Any:
        *below, top = self._stack.get() or (None,)
        self._stack.set(tuple(below))
        return top

    @property
    def top(self) -> Any:
        stack = self._stack.get()
        return stack[-1] if stack else None

    @property
    def stack(self) -> list[Any]:
        return list(self._stack.get())

    def __len__(self) -> int:
        return len(self._stack.get())


async def trace(delivery: Delivery) -> Outcome:
    """Run a coroutine task to its end.

    Raises CancelledError, and nothing else, when the delivery was cancelled.
    """
    enter(delivery)
    delivery.task.request_stack.push(_context(delivery.request))
    if not getattr(delivery.task, "claims_first", False):
        delivery.accept()
    outcome = await _between_signals(delivery)
    if outcome.end is not End.IGNORED:
        delivery.accept()  # it should have, and an end needs a beginning
    return outcome


async def trace_in_thread(
    delivery: Delivery, *, threads: Executor, tracer: Callable[[], Any]
) -> Outcome:
    """Run Celery's own `tracer` of a synchronous task in one of `threads`."""

    def run() -> Any:
        delivery.accept()
        return tracer()

    try:
        result = await asyncio.get_running_loop().run_in_executor(threads, run)
    except asyncio.CancelledError:
        raise
    except BaseException as error:
        return _failed(delivery, error)
    return Outcome(End.TRACED, result=result)


async def _between_signals(delivery: Delivery) -> Outcome:
    task, request = delivery.task, delivery.request
    about = {"sender": task, "task_id": request.id, "task": task}
    about |= {"args": request.args, "kwargs": request.kwargs}
    if signals.task_prerun.receivers:
        signals.task_prerun.send(**about)
    outcome = Outcome(End.TERMINATED)
    try:
        outcome = await _perform(delivery)
    finally:
        if signals.task_postrun.receivers:
            state, retval = _STATES[outcome.end], outcome.error or outcome.result
            signals.task_postrun.send(**about, retval=retval, state=state)
    return outcome


async def _perform(delivery: Delivery) -> Outcome:
    task, request = delivery.task, delivery.request
    began = time.monotonic()
    try:
        result = await task.run(*request.args, **request.kwargs)
        text = "None" if result is None else saferepr(result, task.resultrepr_maxsize)
        return Outcome(End.SUCCEEDED, result=text, runtime=time.monotonic() - began)
    except (Ignore, Reject):
        return Outcome(End.IGNORED)
    except Retry as retry:
        return Outcome(End.RETRIED, error=_bare(retry))
    except asyncio.CancelledError as error:
        if delivery.cancelled_as:
            raise
        return _failed(delivery, error)
    except BaseException as error:
        return _failed(delivery, error)


def _failed(delivery: Delivery, error: BaseException) -> Outcome:
    facts = {"task": delivery.task.name, "task_id": delivery.id, "where": _where(error)}
    log.warning("task_failed", error=type(error).__name__, **facts)
    if not isinstance(error, Exception) or isinstance(error, MemoryError):
        # Celery would raise these in its own thread, and end the worker.
        error = RuntimeError(f"the task raised {type(error).__name__}")
    return Outcome(End.FAILED, error=_bare(error))


def _where(error: BaseException) -> str:
    """The line that raised, without anything of its values."""
    step, place = error.__traceback__, ""
    while step:
        code = step.tb_frame.f_code
        place = f"{code.co_filename}:{step.tb_lineno} in {code.co_qualname}"
        step = step.tb_next
    return place


def _bare(error: BaseException) -> BaseException:
    """The exception without its frames, whose locals hold prompts."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def _context(request: Any) -> Any:
    return Context(
        request.request_dict, args=request.args, kwargs=request.kwargs, called_directly=False
    )
