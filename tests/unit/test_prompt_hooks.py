"""Prompt builders: what they see, what they may change, and what a failing one does."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from structlog.testing import capture_logs

from app.errors import ConfigurationError, PromptRefused, Unavailable
from app.plugins import Registry
from app.prompts.hooks import AnswerUnreadable, PromptEvent, build, prompt_builder
from app.prompts.material import WorkItem
from app.providers.contract import Message

MESSAGES = (Message("system", "You are {who}"), Message("user", "Say {orderid}"))
ITEM = WorkItem({"order": "4711"})


@pytest.fixture
def registry() -> Registry:
    return Registry()


def built(
    registry: Registry, *, messages: Any = MESSAGES, timeout_seconds: float = 5
) -> tuple[Message, ...]:
    return asyncio.run(
        build(
            messages,
            workitem=ITEM,
            user_id=7,
            output_id=9,
            timeout_seconds=timeout_seconds,
            among=registry,
        )
    )


def declare(result: Any, registry: Registry, *, name: str = "mine") -> None:
    prompt_builder(name)(lambda _event: result).register(registry)


def fail_with(error: BaseException, registry: Registry) -> None:
    def fail(_event: PromptEvent) -> None:
        raise error

    prompt_builder("mine")(fail).register(registry)


def test_without_builders_messages_are_as_they_were(registry: Registry) -> None:
    assert built(registry, messages=list(MESSAGES)) == MESSAGES


def test_a_builder_gets_each_message_once_and_for_whom(registry: Registry) -> None:
    seen: list[PromptEvent] = []
    prompt_builder("watch")(seen.append).register(registry)

    assert built(registry) == MESSAGES
    assert seen == [
        PromptEvent(text=message.content, role=message.role, workitem=ITEM, user_id=7, output_id=9)
        for message in MESSAGES
    ]


def test_a_builder_rewrites_text_and_nothing_else(registry: Registry) -> None:
    @prompt_builder("order-id")
    def order_id(event: PromptEvent) -> str | None:
        if event.role == "system":
            return None
        return event.text.replace("{orderid}", str(event.workitem.first("order")))

    order_id.register(registry)

    assert built(registry) == (MESSAGES[0], Message("user", "Say 4711"))
    assert order_id(PromptEvent("{orderid}", "user", ITEM)) == "4711"


def test_builders_run_in_the_order_they_were_registered_in(registry: Registry) -> None:
    for letter in "abc":
        prompt_builder(letter)(lambda event, letter=letter: event.text + letter).register(registry)

    assert [m.content for m in built(registry)] == ["You are {who}abc", "Say {orderid}abc"]


def test_a_message_may_become_empty(registry: Registry) -> None:
    declare("", registry)

    assert [message.content for message in built(registry)] == ["", ""]


def test_text_becomes_storable(registry: Registry) -> None:
    declare("x\x00\ud800", registry)

    assert built(registry)[0].content == "x\ufffd\ufffd"


def test_no_builder_hides_another(registry: Registry) -> None:
    declare("x", registry)
    with pytest.raises(ConfigurationError, match="registered twice"):
        declare("y", registry)


def test_an_async_builder_is_awaited_on_the_loop_and_a_sync_one_runs_in_a_thread(
    registry: Registry,
) -> None:
    def where() -> str:
        return str(threading.current_thread() is threading.main_thread())

    @prompt_builder("here")
    async def here(event: PromptEvent) -> str:
        await asyncio.sleep(0)
        return where()

    here.register(registry)
    prompt_builder("there")(lambda event: f"{event.text} {where()}").register(registry)

    assert built(registry)[0].content == "True False"


def test_a_failing_builder_refuses_the_prompt_and_tells_no_secrets(registry: Registry) -> None:
    fail_with(RuntimeError("password=hunter2"), registry)

    with capture_logs() as logs, pytest.raises(PromptRefused) as caught:
        built(registry)

    assert caught.value.message == "Prompt builder mine failed: RuntimeError"
    assert caught.value.code == "PROMPT_ERROR"
    assert [(entry["event"], entry["hook"]) for entry in logs] == [
        ("prompt hook failed", "prompt builder mine")
    ]


def test_an_error_of_ours_is_quoted(registry: Registry) -> None:
    fail_with(Unavailable("the orders are away"), registry)

    with pytest.raises(PromptRefused, match=r"^Prompt builder mine failed: the orders are away$"):
        built(registry)


@pytest.mark.parametrize(
    "error",
    [StopIteration(), TimeoutError(), OSError(5, "x"), SystemExit(3), AnswerUnreadable("x")],
)
def test_no_other_error_escapes(error: BaseException, registry: Registry) -> None:
    fail_with(error, registry)

    with pytest.raises(PromptRefused, match=r"^Prompt builder mine failed: "):
        built(registry)


@pytest.mark.parametrize(
    ("result", "problem"),
    [
        (7, "it must return a text or None, not int"),
        ("x" * 2_000_000, "its text is longer than 1,048,576 characters"),
    ],
    ids=["number", "long"],
)
def test_what_is_no_text_refuses_the_prompt(result: Any, problem: str, registry: Registry) -> None:
    declare(result, registry)

    with pytest.raises(PromptRefused) as caught:
        built(registry)

    assert caught.value.message == f"Prompt builder mine failed: {problem}"


def test_a_builder_has_its_time_for_all_messages_together(registry: Registry) -> None:
    @prompt_builder("slow")
    async def slow(event: PromptEvent) -> None:
        if event.role == "user":
            await asyncio.Event().wait()

    slow.register(registry)

    with pytest.raises(PromptRefused, match=r"slow failed: it took longer than 0\.05 seconds"):
        built(registry, timeout_seconds=0.05)
