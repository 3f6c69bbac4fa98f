"""Finding the provider of a model beside an event loop, where nothing may block.

Working out a route may ask an Ollama server for its list, and making an adapter imports a vendor's
SDK (over a second of CPU): both happen in a thread, once for all jobs that wait for them. Which
provider serves a model is said in `app.providers.registry`; here it is only asked and remembered.
"""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass
from functools import partial

from app.context.threads import in_thread
from app.providers.contract import Provider
from app.providers.registry import Providers, Route, resolve
from app.settings import Settings

FRESH_SECONDS = 10.0
"""How long an answer stands: endpoints and Ollama's models may change while a worker runs."""

MOST_KEPT = 1000
"""Models remembered. Names are the callers' to choose, so they must not gather for ever."""


@dataclass(frozen=True, slots=True)
class _Found:
    route: Route
    provider: Provider
    fresh_until: float


class Routes:
    """The routes and adapters of one worker. Used from one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._providers = Providers(settings)
        self._found: dict[str, _Found] = {}
        self._asking = asyncio.Lock()
        self._making = threading.Lock()

    async def find(self, model: str) -> tuple[Route, Provider]:
        """Where the model a job names is served, and the adapter that calls it.

        Raises UnsupportedModel, and ConfigurationError for an endpoint that may not be called.
        """
        found = self._remembered(model) or await self._find_out(model)
        return found.route, found.provider

    async def close(self) -> None:
        """Close every adapter."""
        self._found.clear()
        await self._providers.close()

    async def _find_out(self, model: str) -> _Found:
        async with self._asking:  # the first asks, the others find its answer
            found = self._remembered(model)
            if found is None:
                found = await in_thread(partial(self._ask, model))
                self._remember(model, found)
            return found

    def _remembered(self, model: str) -> _Found | None:
        found = self._found.get(model)
        return found if found and time.monotonic() < found.fresh_until else None

    def _remember(self, model: str, found: _Found) -> None:
        if len(self._found) >= MOST_KEPT:
            self._found.clear()
        self._found[model] = found

    def _ask(self, model: str) -> _Found:
        """In a thread. A caller that was cancelled meanwhile leaves its thread behind."""
        with self._making:
            route = resolve(model, self._settings)
            provider = self._providers.get(route)
        return _Found(route, provider, time.monotonic() + FRESH_SECONDS)
