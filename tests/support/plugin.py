"""The plugin that workers of tests load: context fetchers that misbehave as no honest one does."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from app.context.fetchers import FetchContext, context_fetcher
from app.plugins import Registry, registry


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
