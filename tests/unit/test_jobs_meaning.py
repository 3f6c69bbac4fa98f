"""What a request means, and what it cannot: every check that needs no database."""

from __future__ import annotations

from typing import Any

import pytest

from app.errors import InvalidRequest
from app.jobs import JobRequest
from app.jobs.meaning import Meaning, understand
from app.settings import Settings


def read(**fields: Any) -> Meaning:
    settings = Settings(LLM_JOBS_SIMULATOR_URL="http://127.0.0.1:9/v1")
    usual = {"template": "Hello {{name}}", "model": "simulator/echo", "context": {"name": "A"}}
    return understand(settings, JobRequest(**(usual | fields)))


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"template": " "}, "Missing required parameter: template"),
        ({"model": None}, "Missing required parameter: model"),
        ({"format": "xml"}, "Invalid format. Must be one of: text, json, markdown, html"),
        ({"context": [1]}, "Context must be a hash/object"),
        ({"queue": "urgent"}, "Invalid queue. Must be one of: high, default, low"),
        ({"template": 5}, "Invalid template. Must be a text"),
        ({"system": ["x"]}, "Invalid system. Must be a text"),
        ({"options": [1]}, "Invalid options. Must be an object"),
        ({"metadata": "x"}, "Invalid metadata. Must be an object"),
        ({"strict": "yes"}, "Invalid strict. Must be a boolean"),
        ({"run_at": "tomorrow"}, "Invalid run_at. Must be a time"),
        ({"context": {"a": {1, 2}}}, "Invalid value at /context/a: a value of type set"),
        ({"template": "a\x00b"}, "Invalid value at /template: the character U+0000"),
        ({"context": {"a": "\ud800"}}, "Invalid value at /context/a: the character U+D800"),
        ({"model": "simulator/" + "m" * 250}, "Invalid model"),
        ({"traceparent": "0" * 65}, "Invalid traceparent"),
        ({"response_schema": {"type": "object"}}, "response_schema needs the format json"),
        (
            {"response_schema": {"type": "nothing"}, "format": "json"},
            "response_schema: ",
        ),
        ({"fetchers": ["stock_prices"]}, "Invalid fetchers: unknown fetcher 'stock_prices'"),
        ({"fetchers": "user_profile"}, "Invalid fetchers"),
        ({"fetchers": [["user_profile"]]}, "Invalid fetchers"),
        ({"fetchers": {"user_profile": 5}}, "Invalid fetchers"),
        ({"fetchers": {"user_profile": {"of": 5}}}, "Invalid fetchers"),
        ({"fetchers": {"user_profile": {"required": 5}}}, "Invalid fetchers"),
        ({"messages": [{"role": "user", "content": "x"}]}, "Send template or messages, not both"),
        (
            {"template": None, "messages": [{"role": "tool", "content": "x"}]},
            "Invalid messages. Must be",
        ),
        (
            {"template": None, "messages": [{"role": "system", "content": "x"}]},
            "Invalid messages. One of user or assistant",
        ),
        ({"template": None, "messages": {"role": "user"}}, "Invalid messages"),
    ],
)
def test_a_request_that_cannot_be_is_refused_where_it_is_wrong(
    fields: dict[str, Any], error: str
) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        read(**fields)
    assert refusal.value.message.startswith(error)
    assert refusal.value.pointer


def test_the_checks_come_in_the_seeds_order() -> None:
    wrong: dict[str, Any] = {
        "template": "",
        "model": "",
        "format": "xml",
        "context": 5,
        "queue": "urgent",
    }
    right = {"template": "x", "model": "simulator/echo", "format": "text", "context": {}}
    errors = []
    for name, value in [*right.items(), ("queue", "low")]:
        with pytest.raises(InvalidRequest) as refusal:
            read(**wrong)
        errors.append(refusal.value.pointer)
        wrong[name] = value
    assert errors == ["/template", "/model", "/format", "/context", "/queue"]
    assert read(**wrong).job.queue == "low"


def test_blank_words_mean_nothing_said() -> None:
    job = read(system=" ", options={}, messages=[], fetchers=[]).job
    assert (job.system, job.options, job.messages, job.fetchers) == (None, None, None, None)
    assert (job.format, job.queue) == ("text", "default")
