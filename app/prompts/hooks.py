"""Hooks of prompts: what may rewrite a message before it is sent, and what reads an answer.

A hook is a function, sync or async, that takes one event. This room declares hooks and runs them;
which handlers come with the platform is said in `result_handlers`. (Imixs-AI's CDI events.)

    @prompt_builder("order-id")
    def order_id(event: PromptEvent) -> str | None: ...

    @result_handler("JSON")
    def read_json(event: ResultEvent) -> dict[str, Any] | None: ...

Each makes a part for the registry (`app.plugins`): an entry point of the group `llm_jobs.plugins`
names it, or a module whose own `register(registry)` calls `order_id.register(registry)`.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial, update_wrapper
from typing import Any, TypeVar

import structlog

from app.context.threads import in_thread
from app.context.values import json_value
from app.errors import InferenceFailed, LLMJobsError, PromptRefused
from app.plugins import Registry, registry
from app.prompts.material import WorkItem
from app.prompts.templating import MAX_OUTPUT_BYTES
from app.providers.contract import Message
from app.text import clean_text

log = structlog.get_logger(__name__)

RESULT = "ai.result"
"""The item of an answer's value where a step names no `result_item` (Imixs-AI)."""

Function = Callable[..., Any]
T = TypeVar("T")


class AnswerUnreadable(Exception):
    """A handler cannot read the answer; the sentence tells the model why when it is asked again.

    Not in the tree of `app.errors`: it ends no job. Twice in a row is an InferenceFailed.
    """


@dataclass(frozen=True, slots=True)
class PromptEvent:
    """One message that is about to be sent, and for whom (None: a job without a user).

    `output_id` is the output that is made; None for a preview.
    """

    text: str
    role: str
    workitem: WorkItem
    user_id: int | None = None
    output_id: int | None = None


@dataclass(frozen=True, slots=True)
class ResultEvent:
    """An answer. Handlers get its text trimmed; `result_item` is the item the step names for it."""

    text: str
    workitem: WorkItem
    result_item: str | None = None


@dataclass(frozen=True, slots=True)
class ResultItems:
    """What a handler read: items as name → values, or name → value. `warnings` are sentences."""

    items: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


class PromptBuilder:
    """A declared builder: called like its function, and able to enter a registry."""

    def __init__(self, name: str, function: Function) -> None:
        self.name = name
        update_wrapper(self, function)
        self._function = function

    def __call__(self, event: PromptEvent) -> Any:
        return self._function(event)

    def register(self, registry: Registry) -> None:
        """Enter. Raises ConfigurationError when the name is taken."""
        registry.prompt_builders.add(self.name, self)


class ResultHandler:
    """A declared handler: called like its function, and able to enter a registry.

    One that `sets_result_item` decides itself what is stored there; for the others it is the text.
    """

    def __init__(self, name: str, function: Function, *, sets_result_item: bool) -> None:
        self.name = _handler_name(name)
        update_wrapper(self, function)
        self._function = function
        self.sets_result_item = sets_result_item

    def __call__(self, event: ResultEvent) -> Any:
        return self._function(event)

    def register(self, registry: Registry) -> None:
        """Enter. Raises ConfigurationError when the name is taken, in whatever case."""
        registry.result_handlers.add(self.name, self)


def prompt_builder(name: str) -> Callable[[Function], PromptBuilder]:
    """Declare the function below it as the builder `name`: it gets each message in turn and returns
    its new text, or None to leave it. Builders run in the order they were registered in.
    """
    return partial(PromptBuilder, name)


def result_handler(
    name: str, *, sets_result_item: bool = False
) -> Callable[[Function], ResultHandler]:
    """Declare the function below it as the handler of the result event `name`, in any case.

    It returns items (a dict, or ResultItems), or None for none; it raises AnswerUnreadable when the
    model should be asked once more.
    """
    return partial(ResultHandler, name, sets_result_item=sets_result_item)


def known_result_event(name: str, *, among: Registry | None = None) -> bool:
    """Whether a handler of this name is registered; names are told apart without case."""
    return (among or registry()).result_handlers.get(_handler_name(name)) is not None


def result_events(*, among: Registry | None = None) -> list[str]:
    """The names a definition's result event may have."""
    return (among or registry()).result_handlers.names()


def _handler_name(name: str) -> str:
    return name.strip().upper()


async def build(
    messages: Sequence[Message],
    *,
    workitem: WorkItem,
    user_id: int | None,
    output_id: int | None,
    timeout_seconds: float,
    among: Registry | None = None,
) -> tuple[Message, ...]:
    """The messages after every registered builder, in order, has seen each of them.

    A builder has `timeout_seconds` for all messages together. Raises PromptRefused when one fails
    or takes longer.
    """
    builders = (among or registry()).prompt_builders
    built = tuple(messages)
    for name in builders.names():
        rewrite = partial(
            _rewritten, builders.get(name), workitem=workitem, user_id=user_id, output_id=output_id
        )
        try:
            built = await _in_time(rewrite(built), f"prompt builder {name}", timeout_seconds)
        except AnswerUnreadable:  # there is no answer yet
            raise PromptRefused(f"Prompt builder {name} failed: AnswerUnreadable") from None
        except _HookFailed as failure:
            raise PromptRefused(str(failure)) from None
    return built


async def _rewritten(
    builder: Any,
    messages: Sequence[Message],
    *,
    workitem: WorkItem,
    user_id: int | None,
    output_id: int | None,
) -> tuple[Message, ...]:
    rewritten = []
    for message in messages:
        event = PromptEvent(message.content, message.role, workitem, user_id, output_id)
        text = await _call(builder, event)
        rewritten.append(message if text is None else replace(message, content=_as_text(text)))
    return tuple(rewritten)


def _as_text(value: Any) -> str:
    if not isinstance(value, str):
        raise PromptRefused(f"it must return a text or None, not {type(value).__name__}")
    if len(value) > MAX_OUTPUT_BYTES:
        raise PromptRefused(f"its text is longer than {MAX_OUTPUT_BYTES:,} characters")
    return clean_text(value)


async def read_result(
    name: str,
    event: ResultEvent,
    *,
    timeout_seconds: float,
    among: Registry | None = None,
) -> ResultItems:
    """What the handler `name` reads, as name → values in JSON's own types (dates as ISO text).

    Then the text itself is stored in `result_item`, as Imixs-AI does, over an item of that name
    the handler read; a handler that sets the result item itself is left alone.

    Raises AnswerUnreadable from the handler, and InferenceFailed when the handler is unknown,
    fails otherwise, takes longer than `timeout_seconds`, or returns what are no items.
    """
    handler = (among or registry()).result_handlers.get(_handler_name(name))
    event = replace(event, text=clean_text(event.text).strip())
    hook = f"result handler {_handler_name(name)}"
    if handler is None:
        raise InferenceFailed(f"{_failed(hook)}: it is not installed here", billed=True)
    try:
        read = await _in_time(_read(handler, event), hook, timeout_seconds)
    except _HookFailed as failure:
        raise InferenceFailed(str(failure), billed=True) from None
    if event.result_item is None or getattr(handler, "sets_result_item", False):
        return read
    return _with_text(read, event.result_item, event.text)


async def _read(handler: Function, event: ResultEvent) -> ResultItems:
    result = await _call(handler, event)
    if not isinstance(result, ResultItems):
        result = ResultItems({} if result is None else result)
    return ResultItems(_normalised(result.items), tuple(result.warnings))


def _normalised(items: Any) -> dict[str, list[Any]]:
    """Items as name → values, without None; of names that differ in case only the later counts."""
    if not isinstance(items, Mapping) or not all(
        isinstance(name, str) and name.strip() for name in items
    ):
        raise InferenceFailed("it must return an object of items: name and value, or values")
    plain = WorkItem(json_value(dict(items)))
    return {name: plain.values(name) for name in plain.as_json()}


def _with_text(read: ResultItems, result_item: str, text: str) -> ResultItems:
    items = WorkItem(read.items)
    warnings = read.warnings
    if items.values(result_item):
        warnings += (f"The item {result_item} holds the whole answer, being the result item",)
    return ResultItems(items.with_items({result_item: [text]}).as_json(), warnings)


class _HookFailed(Exception):
    """The sentence of a failure; only errors of ours are quoted: others may hold secrets."""


async def _in_time(work: Awaitable[T], hook: str, timeout_seconds: float) -> T:
    """The result of a hook's work. Raises AnswerUnreadable as it came, else _HookFailed."""
    failed = _failed(hook)
    try:
        async with asyncio.timeout(timeout_seconds) as limit:
            return await work
    except AnswerUnreadable:
        raise
    except LLMJobsError as error:
        raise _HookFailed(f"{failed}: {error.message}") from None
    except Exception as error:
        if isinstance(error, TimeoutError) and limit.expired():
            raise _HookFailed(
                f"{failed}: it took longer than {timeout_seconds:g} seconds"
            ) from None
        log.warning("prompt hook failed", hook=hook, exc_info=True)
        raise _HookFailed(f"{failed}: {type(error).__name__}") from None


def _failed(hook: str) -> str:
    return f"{hook[0].upper()}{hook[1:]} failed"


async def _call(function: Function, event: PromptEvent | ResultEvent) -> Any:
    if inspect.iscoroutinefunction(inspect.unwrap(function)):
        return await function(event)
    return await in_thread(partial(function, event))
