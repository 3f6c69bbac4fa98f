"""The plugin that programs of tests load: context fetchers that misbehave as no honest one does,
and a web process that dies where it was told to.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from app.context.fetchers import FetchContext, context_fetcher
from app.plugins import Registry, registry
from app.queue import Wake, WakeQueue

DIE_BEFORE_PUBLISHING = "TESTS_DIE_BEFORE_PUBLISHING"
"""Names a file. Who finds it there takes it away and dies: rows are committed, messages unsent."""


@context_fetcher("die")
def die(context: FetchContext) -> Any:
    """Takes its worker with it."""
    os._exit(9)


@context_fetcher("stall")
async def stall(context: FetchContext, *, seconds: float) -> dict[str, float]:
    """Takes its time."""
    await asyncio.sleep(seconds)
    return {"stalled": seconds}


@context_fetcher("whisper")
def whisper(context: FetchContext, *, word: str) -> dict[str, str]:
    """Brings a value that no log may hold."""
    return {"whispered": word}


def register(registry: Registry) -> None:
    """What the entry point calls."""
    for fetcher in (die, stall, whisper):
        fetcher.register(registry)
    if DIE_BEFORE_PUBLISHING in os.environ:
        _die_before_publishing(os.environ[DIE_BEFORE_PUBLISHING])


def _die_before_publishing(file: str) -> None:
    publish = WakeQueue.send

    def send(queue: WakeQueue, wakes: Sequence[Wake]) -> int:
        with suppress(FileNotFoundError):
            os.unlink(file)
            os.kill(os.getpid(), signal.SIGKILL)
        return publish(queue, wakes)

    WakeQueue.send = send  # type: ignore[method-assign]


@contextmanager
def known_here() -> Iterator[None]:
    """This process knows the fetchers, too, so that jobs that want them can be submitted."""
    known = registry().context_fetchers._parts
    register(registry())
    try:
        yield
    finally:
        for fetcher in (die, stall, whisper):
            del known[fetcher.name]
