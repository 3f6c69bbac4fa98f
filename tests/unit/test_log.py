"""One pipeline: what leaves it is one line, structured, and without secrets."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from app import log
from app.settings import Settings

KEY = "ljk_live_0123456789_" + "s" * 43 + "abcdef"


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()
    log.clear()


@pytest.fixture
def stream() -> io.StringIO:
    stream = io.StringIO()
    log.configure(Settings(), json=True, stream=stream)
    return stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_json_line_with_the_words_of_the_seed(stream: io.StringIO) -> None:
    structlog.get_logger("app.jobs").info(log.JOB_COMPLETED, output_id=456, model="gpt-4")
    (line,) = lines(stream)
    assert line["message"] == "LLMJob completed successfully"
    assert line["level"] == "info"
    assert line["timestamp"].endswith("Z")
    assert (line["output_id"], line["model"], line["logger"]) == (456, "gpt-4", "app.jobs")


def test_foreign_records_go_through_the_same_pipeline(stream: io.StringIO) -> None:
    logging.getLogger("somebody.else").warning("hello %s", "world")
    (line,) = lines(stream)
    assert (line["message"], line["level"], line["logger"]) == (
        "hello world",
        "warning",
        "somebody.else",
    )


def test_a_level_below_the_setting_is_not_written() -> None:
    stream = io.StringIO()
    log.configure(Settings(LLM_JOBS_LOG_LEVEL="WARNING"), json=True, stream=stream)
    structlog.get_logger("x").info("quiet")
    logging.getLogger("y").info("quiet too")
    assert stream.getvalue() == ""


def test_bound_facts_are_on_every_line_until_cleared(stream: io.StringIO) -> None:
    logger = structlog.get_logger("x")
    log.bind(request_id="r1")
    with log.bound(job_id="j1"):
        logger.info("inside")
        logging.getLogger("foreign").info("inside too")
    logger.info("after")
    log.clear()
    logger.info("cleared")
    assert [(x.get("request_id"), x.get("job_id")) for x in lines(stream)] == [
        ("r1", "j1"),
        ("r1", "j1"),
        ("r1", None),
        (None, None),
    ]


@pytest.mark.parametrize(
    "secret",
    [
        KEY,
        "sk-proj-abcdefghijklmnop",
        "sk-ant-api03-canarycanary",
        "Bearer canary-canary-canary",
        "Basic Y2FuYXJ5OmNhbmFyeQ==",
        "redis://:canary@127.0.0.1:6379/0",
        "postgresql://user:canary@db/name",
    ],
)
def test_a_secret_is_known_by_its_look_wherever_it_stands(stream: io.StringIO, secret: str) -> None:
    logger = structlog.get_logger("x")
    logger.info(f"said {secret} aloud", fact=secret, nested={"deep": [secret]}, thing={secret})
    logging.getLogger("foreign").error("oh %s", secret)
    try:
        raise ValueError(f"with {secret}")
    except ValueError:
        logger.exception("failed")
        logging.getLogger("foreign").exception("failed too")
    written = stream.getvalue()
    assert len(lines(stream)) == 4
    assert "ValueError" in written
    for canary in ("canary", "ssssss", "abcdefgh"):
        assert canary not in written
    assert log.REDACTED in written


@pytest.mark.parametrize(
    "name",
    ["authorization", "Authorization", "password", "api_key", "OPENAI_API_KEY", "secret", "token",
     "set-cookie", "webhook_secret", "secret_key", "access_token"],
)  # fmt: skip
def test_a_secret_is_known_by_its_name(stream: io.StringIO, name: str) -> None:
    structlog.get_logger("x").info("event", **{name: "plain words"}, headers={name: "more words"})
    (line,) = lines(stream)
    assert line[name] == log.REDACTED
    assert line["headers"][name] == log.REDACTED


def test_ordinary_facts_survive(stream: io.StringIO) -> None:
    facts = {
        "input_tokens": 12,
        "tokens_used": 3,
        "key_id": 7,
        "context_keys": ["a", "password_hint"],
        "url": "http://127.0.0.1:8000/x",
        "when": None,
        "task": "risk-based",
    }
    structlog.get_logger("x").info("event", **facts)
    (line,) = lines(stream)
    assert {name: line[name] for name in facts} == facts


def test_a_value_nested_without_end_does_not_break_the_line(stream: io.StringIO) -> None:
    endless: list[Any] = []
    endless.append(endless)
    structlog.get_logger("x").info("event", fact=endless)
    assert lines(stream)[0]["message"] == "event"


def test_warnings_of_python_become_lines(stream: io.StringIO) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        log.configure(Settings(), json=True, stream=stream)
        warnings.warn("mind the gap", stacklevel=1)
        logging.captureWarnings(False)
    assert "mind the gap" in lines(stream)[0]["message"]


def test_lines_for_people_are_redacted_too() -> None:
    stream = io.StringIO()
    log.configure(Settings(), json=False, stream=stream)
    try:
        raise ValueError(KEY)
    except ValueError:
        structlog.get_logger("x").exception("failed", password="canary")
    assert "failed" in stream.getvalue()
    assert "canary" not in stream.getvalue()
    assert KEY not in stream.getvalue()


def test_a_template_is_shown_by_its_first_characters() -> None:
    assert log.shown_template("x" * 100) == "x" * 80


def test_a_turn_of_a_chat_is_shown_by_its_kind() -> None:
    script = {"kind": "chat", "messages": [{"role": "user", "content": "a secret"}]}
    assert log.shown_template("chat/general", script=script) == "chat/general"


def test_a_retry_is_named_as_the_seed_names_it() -> None:
    assert log.retry_event(1, 5, 6.3333) == "LLMJob retry 1/5 in 6.33 seconds"
