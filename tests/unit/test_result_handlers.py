"""Result handlers: how an answer is read, what is stored beside it, and what a failing one does."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, date, datetime
from typing import Any

import pytest
from structlog.testing import capture_logs

from app.errors import ConfigurationError, InferenceFailed, Unavailable
from app.plugins import Registry
from app.plugins import registry as process_registry
from app.prompts.hooks import (
    RESULT,
    AnswerUnreadable,
    ResultEvent,
    ResultItems,
    known_result_event,
    read_result,
    result_handler,
)
from app.prompts.material import WorkItem
from app.prompts.result_handlers import built_in


@pytest.fixture
def registry() -> Registry:
    """The built-in handlers and nothing else."""
    registry = Registry()
    built_in.register(registry)
    return registry


def read(
    name: str,
    text: str,
    registry: Registry,
    *,
    result_item: str | None = None,
    timeout_seconds: float = 5,
) -> ResultItems:
    event = ResultEvent(text, WorkItem({"known": 1}), result_item)
    return asyncio.run(read_result(name, event, timeout_seconds=timeout_seconds, among=registry))


def declare(result: Any, registry: Registry, *, name: str = "MINE") -> None:
    result_handler(name)(lambda _event: result).register(registry)


def fail_with(error: BaseException, registry: Registry) -> None:
    def fail(_event: ResultEvent) -> None:
        raise error

    result_handler("MINE")(fail).register(registry)


# --- the built-in ones ---------------------------------------------------------------------------


def test_the_built_in_ones_are_known_to_every_process() -> None:
    assert set(process_registry().result_handlers.names()) >= {"JSON", "XML", "BOOLEAN", "TEXT"}


@pytest.mark.parametrize("name", ["JSON", "json", " Json ", "xml", "Boolean", "text"])
def test_names_are_told_apart_without_case(name: str, registry: Registry) -> None:
    assert known_result_event(name)
    assert known_result_event(name, among=registry)
    assert not known_result_event("YAML", among=registry)


def test_json_and_xml_give_items_and_warnings(registry: Registry) -> None:
    assert read("json", 'So: {"a": 1, "b": null}', registry) == ResultItems(
        {"a": [1]}, ("Ignored, because null is no value: b",)
    )
    assert read("xml", "So: <r><a>1</a></r>", registry) == ResultItems({"a": ["1"]})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        (" FALSE \n", False),
        ("True.", True),
        ('"true"', True),
        ("'false.'", False),
        ("“True”.", True),
        ("„false“", False),
    ],
)
def test_boolean_gives_true_or_false(text: str, value: bool, registry: Registry) -> None:
    (found,) = read("BOOLEAN", text, registry, result_item="approved").items["approved"]

    assert found is value


@pytest.mark.parametrize(
    "text",
    [
        "", "yes", "1", "true, because", "not true", "true false", "**true**", "true..",
        '""true""', "t",
    ],
)  # fmt: skip
def test_boolean_forgives_nothing_else(text: str, registry: Registry) -> None:
    with pytest.raises(AnswerUnreadable, match="true or false"):
        read("BOOLEAN", text, registry)


def test_text_is_trimmed(registry: Registry) -> None:
    assert read("TEXT", "\n a  b \n", registry, result_item="summary").items == {
        "summary": ["a  b"]
    }


@pytest.mark.parametrize(("name", "value"), [("BOOLEAN", True), ("TEXT", "true")])
def test_without_a_result_item_the_value_is_in_ai_result(
    name: str, value: Any, registry: Registry
) -> None:
    assert read(name, "true", registry).items == {RESULT: [value]} == {"ai.result": [value]}


# --- the result item -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"), [("JSON", 'So: {"a": "x"}'), ("XML", "So: <r><a>x</a></r>")]
)
def test_the_answers_text_is_stored_in_the_result_item_beside_the_items(
    name: str, text: str, registry: Registry
) -> None:
    found = read(name, f" {text}\n", registry, result_item="ai.text")

    assert found == ResultItems({"a": ["x"], "ai.text": [text]})


def test_the_text_is_stored_after_the_items_and_says_when_it_replaces_one(
    registry: Registry,
) -> None:
    found = read("JSON", '{"Category": "x"}', registry, result_item="category")

    assert found.items == {"category": ['{"Category": "x"}']}
    assert found.warnings == ("The item category holds the whole answer, being the result item",)


def test_a_handler_that_sets_the_result_item_is_left_alone(registry: Registry) -> None:
    result_handler("SCORE", sets_result_item=True)(
        lambda event: {event.result_item: len(event.text)}
    ).register(registry)

    assert read("score", " four ", registry, result_item="n").items == {"n": [4]}


# --- handlers of others --------------------------------------------------------------------------


def test_a_declared_handler_is_still_its_function_and_enters_by_one_call(
    registry: Registry,
) -> None:
    @result_handler("known")
    def known(event: ResultEvent) -> dict[str, Any]:
        """What it does."""
        return {"both": [event.text, event.workitem.first("known")]}

    known.register(registry)

    event = ResultEvent("x", WorkItem({"known": 1}))
    assert known(event) == {"both": ["x", 1]}
    assert known.__doc__ == "What it does."
    assert read("KNOWN", " x ", registry).items == {"both": ["x", 1]}


def test_no_handler_hides_another_in_whatever_case(registry: Registry) -> None:
    with pytest.raises(ConfigurationError, match="registered twice"):
        declare({}, registry, name="json")


def test_an_async_handler_is_awaited_on_the_loop(registry: Registry) -> None:
    @result_handler("here")
    async def here(_event: ResultEvent) -> dict[str, Any]:
        await asyncio.sleep(0)
        return {"main": threading.current_thread() is threading.main_thread()}

    here.register(registry)

    assert read("here", "", registry).items == {"main": [True]}


def test_a_sync_handler_runs_in_a_thread(registry: Registry) -> None:
    result_handler("there")(
        lambda _event: {"main": threading.current_thread() is threading.main_thread()}
    ).register(registry)

    assert read("there", "", registry).items == {"main": [False]}


@pytest.mark.parametrize(
    ("result", "items"),
    [
        (None, {}),
        ({"a": 1}, {"a": [1]}),
        ({"a": None, "b": []}, {"a": [], "b": []}),
        ({"a": ("x", "y"), "b": {"c": 1}}, {"a": ["x", "y"], "b": [{"c": 1}]}),
        ({"A": 1, "a": 2}, {"a": [2]}),
        ({"day": date(2024, 5, 1)}, {"day": ["2024-05-01"]}),
        ({"at": datetime(2024, 5, 1, tzinfo=UTC)}, {"at": ["2024-05-01T00:00:00+00:00"]}),
        ({"a": "x\x00\ud800"}, {"a": ["x\ufffd\ufffd"]}),
        (ResultItems({"a": 1}), {"a": [1]}),
    ],
)
def test_items_become_lists_of_plain_values(
    result: Any, items: dict[str, list[Any]], registry: Registry
) -> None:
    declare(result, registry)

    assert read("MINE", "", registry).items == items


@pytest.mark.parametrize(
    ("result", "problem"),
    [
        (["a"], "it must return an object of items: name and value, or values"),
        ({1: "x"}, "it must return an object of items: name and value, or values"),
        ({" ": "x"}, "it must return an object of items: name and value, or values"),
        ({"a": {1, 2}}, "its value cannot be written as JSON: set is not plain data"),
        ({"a": "x" * 2_000_000}, "its value is longer than 1,048,576 characters"),
    ],
    ids=["list", "number", "blank", "set", "long"],
)
def test_what_are_no_items_fails_the_step(result: Any, problem: str, registry: Registry) -> None:
    declare(result, registry)

    with pytest.raises(InferenceFailed) as caught:
        read("MINE", "", registry)

    assert caught.value.message == f"Result handler MINE failed: {problem}"
    assert caught.value.billed is True


def test_a_handler_may_say_that_the_model_should_be_asked_again(registry: Registry) -> None:
    fail_with(AnswerUnreadable("The answer must be a number"), registry)

    with pytest.raises(AnswerUnreadable, match=r"^The answer must be a number$"):
        read("mine", "x", registry)


def test_a_failing_handler_tells_no_secrets(registry: Registry) -> None:
    fail_with(RuntimeError("password=hunter2"), registry)

    with capture_logs() as logs, pytest.raises(InferenceFailed) as caught:
        read("mine", "x", registry)

    assert caught.value.message == "Result handler MINE failed: RuntimeError"
    assert [(entry["event"], entry["hook"]) for entry in logs] == [
        ("prompt hook failed", "result handler MINE")
    ]


def test_an_error_of_ours_is_quoted(registry: Registry) -> None:
    fail_with(Unavailable("the database is away"), registry)

    with pytest.raises(InferenceFailed, match=r"^Result handler MINE failed: the database is away"):
        read("mine", "x", registry)


def test_a_slow_handler_fails_the_step(registry: Registry) -> None:
    @result_handler("slow")
    async def slow(_event: ResultEvent) -> None:
        await asyncio.Event().wait()

    slow.register(registry)

    with pytest.raises(InferenceFailed, match=r"it took longer than 0\.05 seconds"):
        read("slow", "x", registry, timeout_seconds=0.05)


def test_a_handler_that_is_gone_since_the_job_was_accepted_fails_the_step(
    registry: Registry,
) -> None:
    with pytest.raises(InferenceFailed, match="Result handler GONE failed: it is not installed"):
        read("gone", "x", registry)
