"""Lists by error, by person and by time; and waiting rows among many that have ended."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text, update

from app import jobs
from app.accounts import Caller
from app.db import Database
from app.errors import Forbidden, InvalidParameter
from app.jobs import Filters
from app.jobs.by_time import SLACK, first_id_since
from app.jobs.search_words import parse
from models import LLMOutput
from tests.integration.application.conftest import Rows


def found(database: Database, caller: Caller, **filters: Any) -> list[int]:
    with database.read() as session:
        return [row.id for row in jobs.list_outputs(session, caller, Filters(**filters)).rows]


def change(rows: Rows, output_id: int, **values: Any) -> None:
    with rows.runtime.database.write() as session:
        session.execute(update(LLMOutput).where(LLMOutput.id == output_id).values(**values))


def test_an_error_finds_what_failed_with_it(database: Database, rows: Rows, alice: Caller) -> None:
    output_id = rows.submit(alice).output_id
    rows.fail(output_id)
    waiting = rows.submit(alice).output_id
    change(rows, waiting, error_code="refused")
    rows.completed(alice)
    assert found(database, alice, error_code="refused") == [output_id]
    assert found(database, alice, error_code="refused", status="pending") == [waiting]
    assert found(database, alice, error_code="timeout") == []


def test_a_person_is_named_by_address(
    database: Database, rows: Rows, alice: Caller, bob: Caller, admin: Caller
) -> None:
    mine = rows.submit(alice).output_id
    rows.submit(bob)
    assert found(database, admin, user="Alice@example.org") == [mine]
    assert found(database, alice, user="alice@example.org") == [mine]
    for stranger in ("bob@example.org", "nobody@example.org"):
        with pytest.raises(Forbidden):
            found(database, alice, user=stranger)
    with pytest.raises(InvalidParameter, match=r"nobody@example\.org"):
        found(database, admin, user="nobody@example.org")


def test_what_is_typed_into_the_box_lists_rows(
    database: Database, rows: Rows, alice: Caller
) -> None:
    rows.completed(alice)
    wanted = rows.submit(alice, template="About {{topic}} bees", queue="low").output_id
    filters = parse('status:pending since:1h queue:low "bees"', clock=datetime.now(UTC))
    with database.read() as session:
        assert [row.id for row in jobs.list_outputs(session, alice, filters).rows] == [wanted]


@pytest.mark.parametrize("status", ["pending", "processing"])
@pytest.mark.parametrize("few", [0, 2_000])
def test_everybodys_going_rows_are_found_be_they_few_or_many(
    database: Database, rows: Rows, alice: Caller, bob: Caller, admin: Caller,
    monkeypatch: pytest.MonkeyPatch, status: str, few: int,
) -> None:  # fmt: skip
    monkeypatch.setattr("app.jobs.search.FEW", few)
    going = [rows.submit(caller).output_id for caller in (alice, bob)]
    if status == "processing":
        for output_id in going:
            rows.claim(output_id)
    rows.completed(alice)
    assert found(database, admin, status=status, all_users=True) == going[::-1]
    assert found(database, admin, status=status, all_users=True, user="bob@example.org") == [
        going[1]
    ]


def test_rows_of_a_time_are_found_by_their_ids(
    database: Database, rows: Rows, alice: Caller
) -> None:
    ids = [rows.submit(alice).output_id for _ in range(40)]
    now = datetime.now(UTC)
    with database.write() as session:
        session.execute(text("DELETE FROM llm_outputs WHERE id IN (:a, :b)"),
                        {"a": ids[20], "b": ids[21]})  # fmt: skip
    for place, output_id in enumerate(ids):
        change(rows, output_id, created_at=now - timedelta(hours=40 - place))
    for hours in (0.5, 1.5, 17.5, 18.5, 19.5, 20.5, 39.5, 41, 10**6):
        since = now - timedelta(hours=hours)
        expected = [i for p, i in enumerate(ids) if 40 - p < hours and p not in (20, 21)][::-1]
        with database.read() as session:
            first = first_id_since(session, since + SLACK)
            listed = jobs.list_outputs(session, alice, Filters(created_after=since), limit=100)
        assert [row.id for row in listed.rows] == expected
        assert first <= min(expected, default=ids[-1] + 1)
        assert len([i for i in ids if first <= i and i not in ids[20:22]]) == len(expected)


def test_no_time_is_too_early_or_too_late(database: Database, rows: Rows, alice: Caller) -> None:
    output_id = rows.submit(alice).output_id
    assert found(database, alice, created_after=datetime.min.replace(tzinfo=UTC)) == [output_id]
    assert found(database, alice, created_after=datetime.max.replace(tzinfo=UTC)) == []
