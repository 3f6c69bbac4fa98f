"""A value is read at most every so often, by one at a time, and apart for each database."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest

from app.db import Database
from app.errors import Unavailable
from app.recent import Recent


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(f"sqlite:///{tmp_path / 'a.db'}")


def test_a_fresh_value_is_not_read_again(database: Database) -> None:
    numbers = count()
    recent: Recent[int] = Recent(3600)
    assert [recent.get(database, lambda: next(numbers)) for _ in range(3)] == [0, 0, 0]


def test_an_old_value_is_read_again(database: Database) -> None:
    numbers = count()
    recent: Recent[int] = Recent(-1)
    assert [recent.get(database, lambda: next(numbers)) for _ in range(3)] == [0, 1, 2]


def test_while_one_reads_others_go_on_with_the_last(database: Database) -> None:
    recent: Recent[str] = Recent(-1)
    recent.get(database, lambda: "old")
    seen: list[str] = []

    def take() -> str:
        seen.append(recent.get(database, lambda: "nested"))
        return "new"

    assert recent.get(database, take) == "new"
    assert seen == ["old"]


def test_what_could_not_be_read_is_tried_again_by_the_next(database: Database) -> None:
    recent: Recent[str] = Recent(3600)

    def away() -> str:
        raise Unavailable("away")

    for _ in range(2):
        with pytest.raises(Unavailable):
            recent.get(database, away)
    assert recent.get(database, lambda: "back") == "back"


def test_databases_are_kept_apart(database: Database, tmp_path: Path) -> None:
    recent: Recent[str] = Recent(3600)
    other = Database(f"sqlite:///{tmp_path / 'b.db'}")
    assert recent.get(database, lambda: "a") == "a"
    assert recent.get(other, lambda: "b") == "b"
