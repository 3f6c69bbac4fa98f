"""Every event is counted exactly once, whoever writes, folds or dies meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Connection, func, select, text, update

from app import lifecycle, statistics
from app.lifecycle import Report
from app.statistics import sheet
from models import Attempt, Happened, job_statistics
from models.base import table_of
from models.statistics import ALL_TIME, EVERYBODY
from models.types import now_plus
from tests.integration.lifecycle.world import (
    Key,
    World,
    asked_to_stop,
    completed,
    new_job,
    together,
)
from tests.integration.statistics.counted import assert_all_counted, fold_all, settle
from tests.support.waiting import eventually

_A = table_of(Attempt)
_J = job_statistics
DEAR = Report(
    provider="openai",
    input_tokens=100,
    output_tokens=20,
    cached_tokens=7,
    cost=Decimal("0.001234567"),
    duration_seconds=1.5,
    first_token_seconds=0.2,
)


def live_a_little(world: World, **changes: Any) -> None:
    """Jobs of every fate, with calls of every outcome."""
    for verb in ("complete", "fail", "retry_later", "snooze", "release", "again"):
        report = {} if verb == "release" else {"report": DEAR}
        world.end(verb, world.claimed(**changes).key, **report)
    world.end("stop", asked_to_stop(world).key)
    world.do(lifecycle.cancel, [world.post(**changes)[0].output_id])
    world.post(2, **changes)
    world.claimed(**changes)


def lose(world: World) -> Key:
    """A job whose worker is gone, rescued; its attempt is lost."""
    claim = world.claim(world.post(), lease=-1)[0]
    world.do(lifecycle.rescue)
    return claim.key


def total(world: World, happened: Happened) -> int:
    """Jobs of all time."""
    ever = (_J.c.hour == ALL_TIME, _J.c.user_id == EVERYBODY, _J.c.happened == happened)
    with world.database.read() as session:
        return int(session.scalar(select(func.coalesce(func.sum(_J.c.jobs), 0)).where(*ever)) or 0)


def test_the_statistics_say_what_the_rows_say(world: World) -> None:
    alice = world.user()
    live_a_little(world, user_id=alice, prompt_name="greeting", prompt_version=3)
    live_a_little(world, model_name="claude-5", queue="high", format="json")
    assert_all_counted(world)


def test_what_was_counted_is_not_counted_again(world: World) -> None:
    for _ in range(3):
        live_a_little(world)
        settle(world)
    assert world.do(statistics.fold).events == 0
    assert_all_counted(world)


def test_a_long_table_is_counted_by_and_by(world: World) -> None:
    world.post(30)
    for claim in world.claim(world.post(30)):
        world.end("complete", claim.key, report=DEAR)
    assert fold_all(world, most=7) >= 60 // 7
    assert_all_counted(world)


def test_many_that_ended_in_one_moment_are_counted_together(world: World) -> None:
    claims = world.claim(world.post(20))
    world.end("complete", *(claim.key for claim in claims))
    with world.database.write() as session:
        moment = session.scalar(select(func.max(_A.c.finished_at)))
        session.execute(update(_A).values(finished_at=moment))
    fold_all(world, most=3)
    assert_all_counted(world)


def test_a_round_without_news_finds_none(world: World) -> None:
    live_a_little(world)
    assert world.do(statistics.is_there_news)
    settle(world)
    assert not world.do(statistics.is_there_news)
    world.post()
    assert world.do(statistics.is_there_news)


def test_a_fold_that_dies_has_counted_nothing(world: World) -> None:
    live_a_little(world)

    def die(session: Any) -> None:
        statistics.fold(session)
        raise RuntimeError("the worker is killed here")

    with pytest.raises(RuntimeError):
        world.do(die)
    assert total(world, Happened.ACCEPTED) == 0
    assert_all_counted(world)


@pytest.mark.parametrize("folded_between", [False, True])
def test_a_lost_call_heard_of_later_is_one_call_and_its_usage(
    world: World, folded_between: bool
) -> None:
    key = lose(world)
    if folded_between:
        fold_all(world)
    world.end("complete", key, report=DEAR)
    assert_all_counted(world)
    with world.database.read() as session:
        assert session.scalar(select(func.sum(_A.c.cost))) == DEAR.cost
        spent = select(func.sum(_J.c.cost)).where(_J.c.hour == ALL_TIME)
        assert session.scalar(spent) == DEAR.cost


def test_folders_at_the_same_time_count_once(world: World) -> None:
    for _ in range(3):
        live_a_little(world)
    together(*[lambda: fold_all(world, most=5)] * 4)
    assert_all_counted(world)


def test_models_beyond_an_hours_limit_are_counted_as_others(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sheet, "MOST_MODELS", 3)
    for number in range(6):
        world.post(model_name=f"model-{number}")
        settle(world)
    with world.database.read() as session:
        ever = select(_J.c.model, _J.c.jobs).where(_J.c.hour == ALL_TIME)
        counted = {row.model: row.jobs for row in session.execute(ever)}
    assert counted == {"model-0": 1, "model-1": 1, "model-2": 1, "other": 3}


def test_hours_out_of_mind_are_forgotten_and_all_time_is_not(world: World) -> None:
    world.post()
    fold_all(world)
    with world.database.write() as session:
        session.execute(update(_J).where(_J.c.hour > ALL_TIME).values(hour=now_plus(-401 * 86_400)))
    world.post()
    settle(world)
    world.do(statistics.prune)
    with world.database.read() as session:
        hours = session.scalars(select(_J.c.hour).where(_J.c.user_id == EVERYBODY)).all()
    assert len(hours) == 2
    assert total(world, Happened.ACCEPTED) == 2


# While others write (PostgreSQL; SQLite has one writer)


def test_rows_of_an_open_transaction_are_counted_when_it_ends(on_postgresql: World) -> None:
    world = on_postgresql
    slow = world.claimed()
    with world.database.write() as session:
        lifecycle.create(session, [new_job(), new_job()])
        lifecycle.complete(session, [completed(slow.key, report=DEAR)])
        world.end("complete", world.claimed().key, report=DEAR)  # later, and committed earlier
        world.post(3)
        for _ in range(3):
            world.do(statistics.fold)
        assert total(world, Happened.COMPLETED) == 0
    assert_all_counted(world)


def test_a_transaction_that_began_by_reading_is_waited_for_once_it_writes(
    on_postgresql: World,
) -> None:
    world = on_postgresql
    with world.database.write() as session:
        session.scalar(select(func.now()))
        world.post(2)
        fold_all(world)
        assert total(world, Happened.ACCEPTED) == 2
        lifecycle.create(session, [new_job()])
        world.post(2)
        fold_all(world)
    assert_all_counted(world)


def test_a_statement_that_has_read_the_clock_and_not_yet_written_is_waited_for(
    on_postgresql: World,
) -> None:
    world = on_postgresql
    held = world.claimed()
    with shut_gate(world) as gate, ThreadPoolExecutor(1) as threads:
        ending = threads.submit(end_behind_the_gate, world, held.output_id)
        eventually(lambda: is_somebody_at_the_gate(world))
        world.end("complete", world.claimed().key, report=DEAR)
        fold_all(world)
        gate.close()
        ending.result(10)
    assert_all_counted(world)


def test_a_reader_holds_nothing_up(on_postgresql: World) -> None:
    world = on_postgresql
    with shut_gate(world) as gate, ThreadPoolExecutor(1) as threads:
        reading = threads.submit(world.do, lambda session: session.execute(text(READ_AT_THE_GATE)))
        eventually(lambda: is_somebody_at_the_gate(world))
        world.post()
        fold_all(world)
        assert total(world, Happened.ACCEPTED) == 1
        gate.close()
        reading.result(10)


def test_everything_is_counted_once_while_all_are_busy(on_postgresql: World) -> None:
    world, done = on_postgresql, threading.Event()

    def live() -> None:
        try:
            for _ in range(8):
                live_a_little(world)
        finally:
            done.set()

    def count() -> None:
        while not done.is_set():
            world.do(statistics.fold, most=5)

    together(live, live, count, count)
    assert_all_counted(world)


GATE = 4711
READ_AT_THE_GATE = f"SELECT pg_advisory_xact_lock_shared({GATE})"
END_BEHIND_THE_GATE = f"""
    WITH clock AS MATERIALIZED (SELECT clock_timestamp() AS at),
         gate AS MATERIALIZED (SELECT at, pg_advisory_xact_lock_shared({GATE}) FROM clock)
    UPDATE attempts SET outcome = 'completed', finished_at = gate.at
    FROM gate WHERE output_id = :output_id
"""


@contextmanager
def shut_gate(world: World) -> Iterator[Connection]:
    """A gate that opens when the connection is closed."""
    with world.database.engine.connect() as connection:
        connection.execute(text(f"SELECT pg_advisory_xact_lock({GATE})"))
        yield connection


def end_behind_the_gate(world: World, output_id: int) -> None:
    world.do(lambda s: s.execute(text(END_BEHIND_THE_GATE), {"output_id": output_id}))


def is_somebody_at_the_gate(world: World) -> bool:
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    with world.database.read() as session:
        return bool(session.scalar(text(waiting)))
