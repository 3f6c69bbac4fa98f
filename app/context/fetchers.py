"""Context fetchers: named functions that bring values for a prompt just before it is rendered.

A fetcher is a function, sync or async, that takes a `FetchContext` and the arguments the job gives
and returns something JSON can say. This room declares them, reads what a job wants, and runs them;
which there are is said in `built_in`, what they read is behind `Source`.

    @context_fetcher("weather")
    def weather(context: FetchContext, *, city: str) -> dict[str, str]: ...

makes a part for the registry (`app.plugins`): an entry point of the group `llm_jobs.plugins` names
it, or a module whose own `register(registry)` calls `weather.register(registry)`.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial, update_wrapper
from typing import Any, Protocol

import structlog

from app.context.threads import in_thread
from app.context.values import json_value
from app.errors import ContextUnavailable, InvalidParameter, LLMJobsError
from app.plugins import Registry, registry

log = structlog.get_logger(__name__)

MAX_FETCHERS = 16

Function = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class UserFacts:
    """What a prompt may know of a user."""

    name: str
    email: str
    created_at: datetime
    plan: str | None = None


@dataclass(frozen=True, slots=True)
class OutputFacts:
    """What a prompt may know of an earlier output of the same user."""

    output_id: int
    template_name: str
    model_name: str
    text: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class RegisteredUrl:
    """A URL an administrator registered. `internal`: it is on our own network, so plain http, any
    port and private addresses are allowed.
    """

    url: str
    internal: bool = False


class Source(Protocol):
    """Where the built-in fetchers read. Each method may block; each is asked in a thread."""

    def user(self, user_id: int) -> UserFacts | None:
        """The user, or None if there is none."""
        ...

    def recent_outputs(self, user_id: int, limit: int) -> Sequence[OutputFacts]:
        """The user's completed outputs, newest first, at most `limit`."""
        ...

    def output_text(self, user_id: int, output_id: int) -> str | None:
        """The text of one output of this user; None if it is unknown or another's."""
        ...

    def registered_url(self, name: str) -> RegisteredUrl | None:
        """The URL registered under a name, or None."""
        ...


@dataclass(frozen=True, slots=True)
class FetchContext:
    """For whom a fetcher works (None: a job without a user), and where it may read."""

    user_id: int | None
    source: Source


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """One fetcher a job wants. If a `required` one fails, the attempt fails."""

    name: str
    args: Mapping[str, Any] = field(default_factory=dict)
    required: bool = False


@dataclass(frozen=True, slots=True)
class Fetched:
    """What was brought: by fetcher (`{{user_profile.name}}`), and flat (`{{name}}`) where nothing
    clashes. `warnings` are sentences. The job's own context goes over both.
    """

    values: dict[str, Any] = field(default_factory=dict)
    flat: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


class Fetcher:
    """A declared fetcher: called like its function, and able to enter a registry."""

    def __init__(self, name: str, function: Function) -> None:
        self.name = name
        update_wrapper(self, function)
        self._function = function

    def __call__(self, context: FetchContext, /, **args: Any) -> Any:
        return self._function(context, **args)

    def register(self, registry: Registry) -> None:
        """Enter. Raises ConfigurationError when the name is taken."""
        registry.context_fetchers.add(self.name, self)


def context_fetcher(name: str) -> Callable[[Function], Fetcher]:
    """Declare the function below it as the fetcher `name`: a word jobs write and templates use."""
    return partial(Fetcher, name)


def normalise(fetchers: Any, *, among: Registry | None = None) -> tuple[FetchRequest, ...]:
    """What a job wants, from a list of names or an object of names and their arguments.

    Among the arguments, `"required": true` is ours. `among` is the process's registry by default.
    Raises InvalidParameter: a wrong shape, an unknown fetcher, arguments it does not take, or more
    than `MAX_FETCHERS`.
    """
    known = (among or registry()).context_fetchers
    wanted = _by_name(fetchers)
    if len(wanted) > MAX_FETCHERS:
        raise _invalid(f"at most {MAX_FETCHERS} fetchers are allowed, not {len(wanted)}")
    for name in wanted:
        if known.get(name) is None:
            names = ", ".join(known.names()) or "none"
            raise _invalid(f"unknown fetcher {name[:80]!r}; known: {names}")
    return tuple(_request(name, args, known.get(name)) for name, args in wanted.items())


def _by_name(fetchers: Any) -> dict[str, Any]:
    if fetchers is None:
        return {}
    if isinstance(fetchers, Mapping):
        return dict(fetchers)
    if isinstance(fetchers, (list, tuple)) and all(isinstance(name, str) for name in fetchers):
        return dict.fromkeys(fetchers)
    raise _invalid('write a list of names, or an object such as {"user_profile": {}}')


def _request(name: str, args: Any, function: Any) -> FetchRequest:
    args = {} if args is None else args
    if not isinstance(args, Mapping):
        raise _invalid(f"the arguments of {name} must be an object, not {type(args).__name__}")
    required = args.get("required", False)
    if not isinstance(required, bool):
        raise _invalid(f"required of {name} must be true or false")
    args = {key: value for key, value in args.items() if key != "required"}
    try:
        inspect.signature(function).bind(None, **args)
    except TypeError as error:
        raise _invalid(f"the arguments of {name} do not fit: {error}") from None
    return FetchRequest(name, args, required)


def _invalid(reason: str) -> InvalidParameter:
    return InvalidParameter(f"Invalid fetchers: {reason}", pointer="/fetchers")


async def fetch_all(
    requests: Sequence[FetchRequest],
    *,
    context: FetchContext,
    own: Mapping[str, Any],
    timeout_seconds: float,
    among: Registry | None = None,
) -> Fetched:
    """Run the fetchers side by side, each for at most `timeout_seconds`.

    `own` is the job's context. What fails becomes a warning, or, when it was required, raises
    ContextUnavailable.
    """
    known = (among or registry()).context_fetchers
    results = await asyncio.gather(
        *(
            _fetch(known.get(request.name), request, context, timeout_seconds)
            for request in requests
        )
    )
    values: dict[str, Any] = {}
    warnings: list[str] = []
    for request, result in zip(requests, results, strict=True):
        if not isinstance(result, _Failure):
            values[request.name] = result
        elif request.required:
            raise ContextUnavailable(result.sentence)
        else:
            warnings.append(result.sentence)
    warnings += [
        f"The job's own {name} is used, not the fetcher's" for name in values if name in own
    ]
    return Fetched(values, _flat(values, own), tuple(warnings))


@dataclass(frozen=True, slots=True)
class _Failure:
    sentence: str


async def _fetch(
    function: Function | None, request: FetchRequest, context: FetchContext, timeout_seconds: float
) -> Any:
    """The value, or a _Failure. Only our own errors are quoted: others may hold secrets."""
    failed = f"Context fetcher {request.name} failed"
    if function is None:
        return _Failure(f"{failed}: it is not installed here")
    try:
        async with asyncio.timeout(timeout_seconds) as limit:
            return json_value(await _call(function, context, request.args))
    except LLMJobsError as error:
        return _Failure(f"{failed}: {error.message}")
    except Exception as error:
        if isinstance(error, TimeoutError) and limit.expired():
            return _Failure(f"{failed}: it took longer than {timeout_seconds:g} seconds")
        log.warning("context fetcher failed", fetcher=request.name, exc_info=True)
        return _Failure(f"{failed}: {type(error).__name__}")


async def _call(function: Function, context: FetchContext, args: Mapping[str, Any]) -> Any:
    call = partial(function, context, **args)
    if inspect.iscoroutinefunction(inspect.unwrap(function)):
        return await call()
    return await in_thread(call)


def _flat(values: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The members of all results whose name means one thing only."""
    results = [value for value in values.values() if isinstance(value, dict)]
    seen = Counter(name for result in results for name in result)
    return {
        name: value
        for result in results
        for name, value in result.items()
        if name not in own and name not in values and seen[name] == 1
    }
