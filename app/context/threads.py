"""Blocking calls beside an event loop, in threads that cannot hold anything up.

`asyncio.to_thread` shares a handful of threads with name resolution, and the interpreter waits for
them at its end: a few hung fetchers would stop a worker from connecting, and then from stopping.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from threading import BoundedSemaphore, Thread
from typing import TypeVar

MAX_THREADS = 64

T = TypeVar("T")

_slots = BoundedSemaphore(MAX_THREADS)
_LOOK_AGAIN_SECONDS = 0.02


async def in_thread(call: Callable[[], T]) -> T:
    """The result of a blocking call.

    When the caller is cancelled or timed out it goes on at once; the thread ends by itself, keeps
    one of `MAX_THREADS` places until then, and does not outlive the process.
    """
    slots = _slots
    while not slots.acquire(blocking=False):  # noqa: ASYNC110  freed by threads, for any loop
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)
    loop = asyncio.get_running_loop()
    done: asyncio.Future[tuple[list[T], BaseException | None]] = loop.create_future()

    def work() -> None:
        result: list[T] = []
        problem: BaseException | None = None
        try:
            result.append(call())
        except BaseException as error:
            problem = error
        finally:
            slots.release()
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_settle, done, (result, problem))

    try:
        Thread(target=copy_context().run, args=(work,), name="fetch", daemon=True).start()
    except RuntimeError:
        slots.release()
        raise
    result, problem = await done
    if isinstance(problem, Exception):
        raise problem
    if problem is not None:  # SystemExit and the like end a thread, not the process
        raise RuntimeError(f"{type(problem).__name__} in a thread") from problem
    return result[0]


def _settle(done: asyncio.Future[T], outcome: T) -> None:
    if not done.done():
        done.set_result(outcome)
