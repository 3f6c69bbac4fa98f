"""What callers send stays out of what is logged and raised, also when something goes wrong."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest
import structlog
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app import feedback, jobs, log
from app.accounts import Caller
from app.db import Database
from tests.integration.application.conftest import Rows

CANARY = "canary-7f3a"


@pytest.fixture
def stream(rows: Rows) -> Iterator[io.StringIO]:
    """Where the log of this test goes."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    log.configure(rows.runtime.settings, json=True, stream=stream)
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
