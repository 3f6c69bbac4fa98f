"""A full disk is a database that is away: nothing half is stored, and with room it goes on."""

from __future__ import annotations

import psycopg
import pytest
from sqlalchemy import event, func, select
from sqlalchemy.exc import OperationalError

from app import lifecycle
from app.db import Database, _is_away
from app.errors import Unavailable
from app.lifecycle import NewJob
from models import LLMOutput

_JOB = {"model_name": "m", "max_tries": 6, "max_age_seconds": 600}


def test_a_full_disk_refuses_and_goes_on_when_there_is_room(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    limit = ["PRAGMA max_page_count = 1"]  # no less than it has: not one page more
    event.listen(database.engine, "checkout", lambda connection, *_: connection.execute(limit[0]))
    jobs = [NewJob(template_name="x" * 100_000, **_JOB) for _ in range(20)]
    with pytest.raises(Unavailable), database.write() as session:
        lifecycle.create(session, jobs)
    limit[0] = "PRAGMA max_page_count = 1073741823"
    with database.write() as session:
        lifecycle.create(session, jobs[:3])
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(LLMOutput)) == 3
    database.dispose()


def test_a_full_disk_of_postgresql_counts_as_away() -> None:
    full = psycopg.errors.DiskFull("could not extend file: No space left on device")
    assert _is_away(OperationalError("INSERT", {}, full))
