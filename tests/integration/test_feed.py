"""One feed for every open list: what moved, what is new, for whom, and what it costs the database.

`teller` is another process: what it announces travels over a real Redis.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text

from app import accounts, lifecycle
from app.db import Database
from app.dev.ports import free_port
from app.dev.redis import EmbeddedRedis, find_redis_server
from app.lifecycle import Ended, NewJob
from app.streaming import Events, feed
from app.streaming.feed import MOST_NEW, TICK_SECONDS, News, Watcher
from tests.support.processes import run_process
from tests.support.waiting import eventually

PATIENCE = 10.0


class World:
    """A database with two users, and processes that hear each other."""

    def __init__(self, database: Database, redis_url: str) -> None:
        self.database = database
        self.redis_url = redis_url
        self.hearer, self.teller = Events(redis_url, database), Events(redis_url, database)
        with database.write() as session:
            made = [accounts.create_user(session, email=f"{n}@example.org") for n in "ab"]
            self.alice, self.bob = (user.id for user in made)

    def rows(self, number: int, user_id: int) -> list[int]:
        jobs = [
            NewJob(
                template_name="x",
                model_name="simulator/echo",
                bucket="b",
                user_id=user_id,
                max_tries=6,
                max_age_seconds=3600,
            )
            for _ in range(number)
        ]
        with self.database.write() as session:
            made = lifecycle.create(session, jobs)
        return sorted(row.output_id for row in made.values())

    def touch(self, *ids: int) -> None:
        """A change that nobody tells of."""
        with self.database.write() as session:
            for row_id in ids:
                session.execute(
                    text("UPDATE llm_outputs SET updated_at = :now WHERE id = :id"),
                    {"id": row_id, "now": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}.999"},
                )

    def watch(self, ids: list[int], user_id: int | None, tab: str = "t", **more: Any) -> Watcher:
        return self.hearer.feed.watch(
            (1, tab),
            row_ids=ids,
            owner=user_id,
            counted=user_id,
            after=more.pop("after", max(ids, default=0)),
            **more,
        )


@pytest.fixture
def world(sqlite_url: str, redis_url: str) -> Iterator[World]:
    with a_world(sqlite_url, redis_url) as found:
        yield found


@contextmanager
def a_world(database_url: str, redis_url: str) -> Iterator[World]:
    database = Database(database_url)
    world = World(database, redis_url)
    try:
        yield world
    finally:
        world.hearer.close()
        world.teller.close()
        database.dispose()


def news(watcher: Watcher, fits: Callable[[News], bool]) -> News:
    """The first news that fits. Others may come before."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = watcher.wait(0.5)
        if found is not None and fits(found):
            return found
    raise AssertionError("no such news")


def test_a_watched_row_that_another_process_moved_is_told_and_no_other(world: World) -> None:
    shown, hidden = world.rows(3, world.alice), world.rows(3, world.alice)
    watcher = world.watch(shown, world.alice)
    world.teller.announce([Ended(i, "j", "completed") for i in (hidden[0], shown[1], shown[2])])
    assert set(news(watcher, lambda n: bool(n.rows)).rows) <= {shown[1], shown[2]}


def test_new_rows_of_the_user_are_counted_and_those_of_others_are_not(world: World) -> None:
    shown = world.rows(2, world.alice)
    watcher = world.watch(shown, world.alice)
    world.rows(5, world.bob)
    world.rows(3, world.alice)
    assert news(watcher, lambda n: n.new >= 3).new == 3


def test_an_administrators_list_of_everybody_counts_everybodys_rows(world: World) -> None:
    watcher = world.watch(world.rows(2, world.alice), None)
    world.rows(5, world.bob)
    world.rows(3, world.alice)
    assert news(watcher, lambda n: n.new >= 8).new == 8


def test_rows_that_came_before_the_watch_began_are_counted(world: World) -> None:
    shown = world.rows(2, world.alice)
    world.rows(4, world.alice)
    watcher = world.watch(shown, world.alice)
    assert news(watcher, lambda n: n.new > 0).new == 4


def test_counting_ends_where_nobody_would_read_on(world: World) -> None:
    shown = world.rows(1, world.alice)
    world.rows(MOST_NEW + 50, world.alice)
    watcher = world.watch(shown, world.alice)
    assert news(watcher, lambda n: n.new > 0).new == MOST_NEW


def test_a_strangers_row_cannot_be_watched(world: World) -> None:
    theirs = world.rows(2, world.bob)
    watcher = world.watch(theirs, world.alice)
    world.teller.announce([Ended(i, "j", "completed") for i in theirs])
    world.touch(*theirs)
    world.rows(1, world.alice)
    assert watcher.row_ids == frozenset()
    assert news(watcher, lambda n: n.new == 1).rows == ()


def test_what_moved_between_the_page_and_the_watch_is_told_at_once(world: World) -> None:
    shown = world.rows(3, world.alice)
    seen = datetime.now(UTC) + timedelta(milliseconds=5)
    with world.database.write() as session:
        session.execute(
            text("UPDATE llm_outputs SET updated_at = '2100-01-01 00:00:00.000' WHERE id = :id"),
            {"id": shown[0]},
        )
    watcher = world.watch(shown, world.alice, seen=seen)
    assert news(watcher, lambda n: bool(n.rows)).rows == (shown[0],)


def test_a_change_without_news_is_found_by_looking(world: World) -> None:
    shown = world.rows(3, world.alice)
    watcher = world.watch(shown, world.alice)
    world.touch(shown[2])
    assert news(watcher, lambda n: bool(n.rows)).rows == (shown[2],)


def test_without_redis_changes_are_found_within_seconds(sqlite_url: str) -> None:
    with a_world(sqlite_url, f"redis://127.0.0.1:{free_port()}/0") as world:
        shown = world.rows(2, world.alice)
        watcher = world.watch(shown, world.alice)
        eventually(lambda: not world.hearer.hearing())
        world.touch(shown[0])
        world.rows(1, world.alice)
        started = time.monotonic()
        seen: set[int] = set()
        new = 0
        while not (shown[0] in seen and new == 1):
            found = watcher.wait(PATIENCE)
            assert found is not None
            seen |= set(found.rows)
            new = found.new
        assert time.monotonic() - started < 3 * TICK_SECONDS + 5


def test_news_are_heard_again_when_redis_is_back(sqlite_url: str, tmp_path: Path) -> None:
    server = EmbeddedRedis(program=find_redis_server())
    with a_world(sqlite_url, server.url) as world:
        shown = world.rows(2, world.alice)
        watcher = world.watch(shown, world.alice)
        assert not world.hearer.hearing()
        with run_process(
            server.command, cwd=tmp_path, stdin=server.configuration, ready=server.answers
        ):
            eventually(world.hearer.hearing, timeout=PATIENCE)

            def told() -> bool:
                world.teller.announce([Ended(shown[1], "j", "completed")])
                found = watcher.wait(0.3)
                return found is not None and found.rows == (shown[1],)

            eventually(told, timeout=PATIENCE)


def test_a_tabs_new_watch_ends_its_old_one_and_no_other(world: World) -> None:
    first, other = world.watch([], world.alice, "tab"), world.watch([], world.alice, "other")
    second = world.watch([], world.alice, "tab")
    assert first.over
    assert not other.over
    assert not second.over


def test_who_left_is_told_nothing_and_does_not_end_who_came_after(world: World) -> None:
    first = world.watch([], world.alice, "tab")
    second = world.watch([], world.alice, "tab")
    world.hearer.feed.leave((1, "tab"), first)
    assert first.left.is_set()
    world.rows(1, world.alice)
    assert news(second, lambda n: n.new == 1)


def test_closing_lets_everybody_go(world: World) -> None:
    watchers = [world.watch([], world.alice, str(number)) for number in range(3)]
    world.hearer.close()
    assert all(watcher.over for watcher in watchers)
    assert [watcher.wait(0) for watcher in watchers] == [None] * 3


def test_more_watchers_do_not_ask_the_database_more_often(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One process, one look: as many statements a second for one list as for thirty."""

    monkeypatch.setattr(feed, "TICK_SECONDS", 0.05)
    monkeypatch.setattr(feed, "LOOK_ANYWAY_SECONDS", 0.2)

    def statements() -> int:
        seen: list[str] = []

        def note(_c: Any, _u: Any, statement: str, *_: Any) -> None:
            if "llm_outputs" in statement:
                seen.append(statement)

        event.listen(world.database.engine, "before_cursor_execute", note)
        eventually(lambda: len(seen) >= 6, timeout=PATIENCE)
        started, before = time.monotonic(), len(seen)
        eventually(lambda: time.monotonic() - started >= 1, timeout=PATIENCE)
        event.remove(world.database.engine, "before_cursor_execute", note)
        return len(seen) - before

    shown = world.rows(50, world.alice)
    world.watch(shown, world.alice, "0")
    alone = statements()
    for number in range(1, 30):
        world.watch(shown, world.alice, str(number))
    assert statements() <= alone * 1.5 + 2
