"""What callers send stays out of what is logged and raised, also when something goes wrong."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app import feedback, jobs, log
from app.accounts import Caller
from app.context.files import ReadFile
from app.db import Database
from app.debugging import exchange
from app.errors import Unprocessable
from app.prompts.definition import from_json
from app.providers.contract import Call, Message
from tests.integration.application.conftest import Rows

CANARY = "canary-7f3a"


@pytest.fixture
def stream(rows: Rows) -> Iterator[io.StringIO]:
    """Where the log of this test goes."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    log.configure(rows.runtime.settings, json=True, stream=stream)
    structlog.configure(cache_logger_on_first_use=False)  # no logger keeps this test's stream
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()


def test_a_database_error_does_not_quote_what_was_bound(database: Database) -> None:
    statement = text("SELECT 1 FROM no_such_table WHERE name = :name")
    with pytest.raises(DBAPIError) as error, database.engine.connect() as connection:
        connection.execute(statement, {"name": CANARY})
    assert "no_such_table" in str(error.value)
    assert CANARY not in str(error.value)


def test_no_value_of_a_job_reaches_the_log(rows: Rows, alice: Caller, stream: io.StringIO) -> None:
    done = rows.submit(
        alice,
        template="Hello {{name}}",
        context={"name": CANARY},
        system=CANARY,
        options={"user": CANARY},
        metadata={"ticket": CANARY},
    )
    rows.complete(done.output_id, CANARY)
    with rows.runtime.database.write() as session:
        feedback.give(session, alice, done.output_id, feedback_type="thumbs_up", comment=CANARY)
    jobs.re_run(rows.runtime.real, alice, done.output_id)
    assert "LLMJob queued" in stream.getvalue()
    assert "LLM output feedback received" in stream.getvalue()
    assert CANARY not in stream.getvalue()


def definition_with(canary: str) -> dict[str, Any]:
    """A job of a definition that brings a secret in each of its parts."""
    content = f"{canary}-definition <itemvalue>name</itemvalue> <FILECONTEXT>a.txt</FILECONTEXT>"
    return {
        "template": None,
        "model": None,
        "context": {"unused": f"{canary}-context"},
        "definition": from_json(
            {
                "model": "simulator/echo",
                "messages": [{"role": "user", "content": content}],
                "options": {"user": f"{canary}-options"},
            }
        ),
        "workitem": {"name": f"{canary}-item"},
        "files": (ReadFile("a.txt", f"{canary}-file", "text/plain", 11),),
    }


def test_no_part_of_a_definitions_job_reaches_the_log_or_a_message(
    rows: Rows, alice: Caller, stream: io.StringIO
) -> None:
    done = rows.submit(alice, **definition_with(CANARY))
    rows.complete(done.output_id, CANARY, exchange={"request": CANARY})
    with rows.runtime.database.write() as session:
        feedback.give(session, alice, done.output_id, feedback_type="thumbs_up")
        jobs.review_items(session, alice, done.output_id, items={CANARY: [CANARY]})
    jobs.re_run(rows.runtime.real, alice, done.output_id)
    assert "LLMJob queued" in stream.getvalue()
    assert CANARY not in stream.getvalue()
    assert len(rows.runtime.wake.sent) == 2
    assert CANARY not in repr(rows.runtime.wake.sent)


@pytest.mark.parametrize(
    "content",
    [
        "{{missing}}",
        "<FILECONTEXT>b.txt</FILECONTEXT>",
        "<itemvalue>",
        "<FILECONTEXT>(</FILECONTEXT>",
    ],
)
def test_what_a_definition_is_refused_for_quotes_no_value(
    rows: Rows, alice: Caller, stream: io.StringIO, content: str
) -> None:
    message = {"role": "user", "content": content}
    fields = definition_with(CANARY)
    fields["definition"] = from_json({"model": "simulator/echo", "messages": [message]})
    with pytest.raises(Unprocessable) as refusal:
        rows.submit(alice, **fields)
    assert CANARY not in str(refusal.value) + repr(refusal.value.details)
    assert CANARY not in stream.getvalue()


def test_what_a_debugged_job_leaves_is_redacted(rows: Rows, stream: io.StringIO) -> None:
    call = Call(model="m", messages=(Message("user", CANARY),), options={"api_key": "sk-" + CANARY})
    kept = exchange(call, job_id="j", number=1, answer=None, error=None)
    assert kept["request"]["messages"] == [{"role": "user", "content": CANARY}]
    assert f"sk-{CANARY}" not in repr(kept)
    (line,) = stream.getvalue().splitlines()
    assert CANARY in line
    assert f"sk-{CANARY}" not in line
