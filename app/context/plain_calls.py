"""Fetchers as plain calls, outside any job: `context_fetchers.user_profile(user_id)`."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

from app.context.fetchers import FetchContext, Source
from app.context.values import json_value
from app.plugins import Registry, registry


class PlainCalls:
    """Each registered fetcher as a method: the user's id, then the fetcher's own arguments.

    `source` is asked for on the first call. For trusted code: it names any user. Raises
    ContextUnavailable like the fetcher itself, AttributeError for a fetcher there is not.
    """

    def __init__(self, source: Callable[[], Source], *, among: Registry | None = None) -> None:
        self._source = source
        self._among = among

    def __getattr__(self, name: str) -> Callable[..., Any]:
        function = (self._among or registry()).context_fetchers.get(name)
        if name.startswith("_") or function is None:
            raise AttributeError(f"there is no context fetcher {name!r}")

        def call(user_id: int | None = None, /, **args: Any) -> Any:
            value = function(FetchContext(user_id, self._source()), **args)
            return json_value(asyncio.run(value) if inspect.iscoroutine(value) else value)

        return call
