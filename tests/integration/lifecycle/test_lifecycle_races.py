"""Two at once: of each race one side wins, the other learns it, and nobody waits for ever."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from app import lifecycle
from app.lifecycle import Delivery, Held
from models import ControlKind, Outcome, Status
from tests.integration.lifecycle.world import (
    LEASE,
    World,
    completed,
    failed,
    retry_later,
    stopped,
    together,
)
from tests.support.waiting import eventually


def repeat(times: int, act: Callable[[int], Any]) -> Callable[[], list[Any]]:
    return lambda: [act(number) for number in range(times)]


def ended_well(world: World) -> None:
    """What holds of every row at any moment."""
    for row in world.rows().values():
        attempts = world.attempts(row.id)
        running = [a for a in attempts if a.outcome == Outcome.RUNNING]
        assert row.fence == len(attempts)
        assert (row.status == Status.PROCESSING) == (row.lease_expires_at is not None)
        assert len(running) <= (row.status == Status.PROCESSING)


def test_of_two_claims_of_one_row_one_wins(world: World) -> None:
    posted = world.post(150)
    first, second = together(
        repeat(150, lambda n: len(world.claim([posted[n]], worker="a"))),
        repeat(150, lambda n: len(world.claim([posted[n]], worker="b"))),
    )
    assert [a + b for a, b in zip(first, second, strict=True)] == [1] * 150
    ended_well(world)


def test_of_two_claims_of_many_rows_each_row_has_one_winner(world: World) -> None:
    posted = world.post(400)
    batches = [posted[start : start + 20] for start in range(0, 400, 20)]

    def claim(worker: str, shuffled: random.Random) -> list[int]:
        won: list[int] = []
        for batch in batches:
            mixed = shuffled.sample(batch, k=20)
            won += [claim.output_id for claim in world.claim(mixed, worker=worker)]
        return won

    first, second = together(
        lambda: claim("a", random.Random(1)), lambda: claim("b", random.Random(2))
    )
    assert sorted(first + second) == [delivery.output_id for delivery in posted]
    ended_well(world)


def test_of_a_completion_and_a_cancel_one_wins(world: World) -> None:
    claims = world.claim(world.post(200))
    completions, cancels = together(
        repeat(200, lambda n: world.end("complete", claims[n].key)),
        repeat(200, lambda n: world.do(lifecycle.cancel, [claims[n].output_id])),
    )
    for claim, completion, cancel in zip(claims, completions, cancels, strict=True):
        row = world.row(claim.output_id)
        if completion:
            assert (row.status, cancel) == (Status.COMPLETED, {})
        else:
            assert cancel[claim.output_id].status == row.status == Status.PROCESSING
            assert world.end("stop", claim.key)
    ended_well(world)


def test_of_a_claim_and_a_cancel_one_comes_first(world: World) -> None:
    posted = world.post(200)
    claims, cancels = together(
        repeat(200, lambda n: world.claim([posted[n]])),
        repeat(200, lambda n: world.do(lifecycle.cancel, [posted[n].output_id])),
    )
    for delivery, claim, cancel in zip(posted, claims, cancels, strict=True):
        expected = Status.PROCESSING if claim else Status.CANCELLED
        assert cancel[delivery.output_id].status == expected
        assert len(world.attempts(delivery.output_id)) == len(claim)
    ended_well(world)


def test_of_a_rescue_and_a_completion_one_wins(world: World) -> None:
    claims = world.claim(world.post(150))
    world.elapse(LEASE)
    completions, rescues = together(
        repeat(150, lambda n: world.end("complete", claims[n].key)),
        repeat(150, lambda n: world.do(lifecycle.rescue, limit=1)),
    )
    won = {key[0] for keys in completions for key in keys}
    rescued = {output_id for answer in rescues for output_id in answer}
    assert won | rescued == {claim.output_id for claim in claims}
    assert won & rescued == set()
    statuses = {output_id: row.status for output_id, row in world.rows().items()}
    assert {output_id for output_id, status in statuses.items() if status == "completed"} == won
    ended_well(world)


def test_of_a_renewal_and_a_rescue_one_wins(world: World) -> None:
    claims = world.claim(world.post(100))
    world.elapse(LEASE)

    def renew(number: int) -> Any:
        return world.do(lifecycle.renew, [Held(*claims[number].key)], lease_seconds=LEASE)

    renewed, rescued = together(
        repeat(100, renew), repeat(100, lambda n: world.do(lifecycle.rescue, limit=1))
    )
    kept = {key[0] for answer in renewed for key in answer}
    taken = {output_id for answer in rescued for output_id in answer}
    assert kept | taken == {claim.output_id for claim in claims}
    assert kept & taken == set()
    ended_well(world)


def test_doubled_dispatching_sends_each_row_once(world: World) -> None:
    posted = world.post(400, user_id=world.user())

    def dispatch() -> list[int]:
        sent: list[int] = []
        while batch := world.due(room=30):
            sent += batch
        return sent

    first, second = together(dispatch, dispatch)
    assert sorted(first + second) == [delivery.output_id for delivery in posted]


def test_doubled_sweeping_ends_each_row_once(world: World) -> None:
    world.post(200, max_age_seconds=10)
    world.claim(world.post(200))
    world.elapse(LEASE)

    def sweep() -> list[int]:
        moved: list[int] = []
        while batch := [
            *world.do(lifecycle.expire, limit=20),
            *world.do(lifecycle.rescue, limit=20),
        ]:
            moved += batch
        return moved

    first, second = together(sweep, sweep)
    assert len(first + second) == len(set(first + second)) == 400
    ended_well(world)


def test_the_longer_of_two_pauses_at_once_stands(world: World) -> None:
    posted = [world.post(model_name=f"model-{number}")[0] for number in range(30)]

    def pause(seconds: float) -> Callable[[int], None]:
        return lambda n: world.do(lifecycle.pause, ControlKind.MODEL, f"model-{n}", seconds=seconds)

    together(repeat(30, pause(10)), repeat(30, pause(60)))
    world.elapse(30)
    assert world.claim(posted) == []


# With one side in the middle of its transaction (PostgreSQL: SQLite lets nobody else begin)


def test_a_claim_that_waited_for_a_cancel_is_refused(postgres_world: World) -> None:
    world = cleared(postgres_world)
    posted = world.post()
    with Waiting(world, lambda: world.claim(posted)) as claim, world.database.write() as session:
        lifecycle.cancel(session, [posted[0].output_id])
        claim.start_and_wait_for_its_lock()
    assert claim.result == []
    assert world.attempts(posted[0].output_id) == []


def test_a_completion_that_waited_for_a_cancel_is_refused(postgres_world: World) -> None:
    world = cleared(postgres_world)
    held = world.claimed()
    with (
        Waiting(world, lambda: world.end("complete", held.key)) as completion,
        world.database.write() as session,
    ):
        lifecycle.cancel(session, [held.output_id])
        completion.start_and_wait_for_its_lock()
    assert completion.result == set()
    assert world.end("stop", held.key) == {held.key}


def test_a_completion_that_waited_for_a_rescue_is_refused(postgres_world: World) -> None:
    world = cleared(postgres_world)
    held = world.claimed()
    world.elapse(LEASE)
    with (
        Waiting(world, lambda: world.end("complete", held.key)) as completion,
        world.database.write() as session,
    ):
        assert lifecycle.rescue(session)
        completion.start_and_wait_for_its_lock()
    assert completion.result == set()
    assert world.row(held.output_id).status == Status.PENDING
    assert world.attempts(held.output_id)[0].input_tokens == 10


def test_a_dispatcher_does_not_wait_for_another(postgres_world: World) -> None:
    world = cleared(postgres_world)
    posted = [delivery.output_id for delivery in world.post(20)]
    with world.database.write() as session:
        due = lifecycle.due_rows(session, "default", room=8, rewake_seconds=15)
        first = [row.output_id for row in due]
        ((second,),) = (together(lambda: world.due(room=50)),)
    assert sorted(first + second) == posted


def test_a_sweep_does_not_wait_for_another(postgres_world: World) -> None:
    world = cleared(postgres_world)
    world.post(5, max_age_seconds=1)
    world.claim(world.post(5))
    world.elapse(LEASE)
    with world.database.write() as session:
        assert len(lifecycle.expire(session)) == 5
        assert len(lifecycle.rescue(session)) == 5
        other = together(lambda: world.do(lifecycle.expire), lambda: world.do(lifecycle.rescue))
    assert other == [{}, {}]


def test_accepting_a_job_does_not_wait_for_its_callers_tokens(postgres_world: World) -> None:
    world = cleared(postgres_world)
    user = world.user()
    held, parent = world.claimed(user_id=user), world.claimed(user_id=user)
    with world.database.write() as session:
        lifecycle.complete(session, [completed(held.key), completed(parent.key)])
        for act in session.info["llm_jobs_last_acts"]:
            act(session)
        session.info["llm_jobs_last_acts"].clear()
        (made,) = together(lambda: world.post(user_id=user, parent_id=parent.output_id))
    assert len(made) == 1


def test_two_busy_writers_never_wait_for_each_other_in_a_circle(postgres_world: World) -> None:
    """Shared rows, shared users, zombies and cancels, several verbs in each transaction."""
    storm = Storm(cleared(postgres_world))
    together(storm.writer("a", seed=1), storm.writer("b", seed=2), storm.sweeper())
    ended_well(storm.world)
    spent = sum(
        (a.input_tokens or 0) + (a.output_tokens or 0)
        for output_id in storm.world.rows()
        for a in storm.world.attempts(output_id)
    )
    assert sum(map(storm.world.tokens_used, storm.users)) == spent > 0


def test_two_writers_count_for_the_same_users_in_one_order(postgres_world: World) -> None:
    world = cleared(postgres_world)
    alice, bob = world.user("alice"), world.user("bob")
    keys = {
        writer: {
            user: [c.key for c in world.claim(world.post(60, user_id=user))]
            for user in (alice, bob)
        }
        for writer in ("a", "b")
    }

    def write(writer: str, first: int, second: int) -> Callable[[int], None]:
        def transaction(session: Session, number: int) -> None:
            lifecycle.complete(session, [completed(keys[writer][first][number])])
            lifecycle.fail(session, [failed(keys[writer][second][number])])

        return lambda number: world.do(transaction, number)

    together(repeat(60, write("a", alice, bob)), repeat(60, write("b", bob, alice)))
    assert world.tokens_used(alice) == world.tokens_used(bob) == 2 * 60 * 15


class Waiting:
    """An act in a thread, to be started while the test holds a lock the act needs."""

    def __init__(self, world: World, act: Callable[[], Any]) -> None:
        self._world = world
        self._act = act
        self.result: Any = None

    def __enter__(self) -> Waiting:
        self._threads = ThreadPoolExecutor(1)
        return self

    def start_and_wait_for_its_lock(self) -> None:
        self._running = self._threads.submit(self._act)
        eventually(self._waits)

    def _waits(self) -> bool:
        with self._world.database.read() as session:
            return bool(session.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")))

    def __exit__(self, *_: object) -> None:
        self.result = self._running.result(30)
        self._threads.shutdown()


class Storm:
    """Writers that claim from one heap of jobs and end what they hold, or once held, at random."""

    JOBS = 60
    TRANSACTIONS = 120

    def __init__(self, world: World) -> None:
        self.world = world
        self.users = [world.user(f"user-{number}") for number in range(3)]
        self.posted: list[Delivery] = []
        for user in self.users:
            self.posted += world.post(self.JOBS // 3, user_id=user, max_tries=1000)
        self._keys: dict[str, list[tuple[int, int]]] = {"a": [], "b": []}

    def writer(self, name: str, *, seed: int) -> Callable[[], None]:
        chance = random.Random(seed)

        def write() -> None:
            for _ in range(self.TRANSACTIONS):
                self._keys[name] += self.world.do(self._transaction, name, chance)
                self._keys[name] = self._keys[name][-40:]

        return write

    def sweeper(self) -> Callable[[], None]:
        def sweep() -> None:
            for _ in range(self.TRANSACTIONS):
                self.world.do(lifecycle.rescue, limit=20)
                self.world.due(room=20)
                self.world.do(lifecycle.cancel, [])

        return sweep

    def _transaction(self, session: Session, name: str, chance: random.Random) -> Any:
        """What a worker's writer commits at once; the keys of what it claimed."""
        mine = chance.sample(self._keys[name], k=min(20, len(self._keys[name])))
        wanted = chance.sample(self.posted, k=15)
        cancelled = [d.output_id for d in chance.sample(self.posted, k=chance.choice([0, 0, 0, 2]))]
        lifecycle.lock(
            session, {key[0] for key in mine} | {d.output_id for d in wanted} | set(cancelled)
        )
        lifecycle.renew(session, [Held(*key) for key in mine], lease_seconds=0.01)
        lifecycle.cancel(session, cancelled)
        lifecycle.complete(session, [completed(key) for key in mine[:2]])
        lifecycle.fail(session, [failed(key) for key in mine[2:3]])
        lifecycle.stop(session, [stopped(key) for key in mine])
        lifecycle.retry_later(session, [retry_later(key, delay_seconds=0) for key in mine[3:]])
        claims = lifecycle.claim(session, wanted, worker=name, lease_seconds=0.01)
        return [claim.key for claim in claims.values()]


def cleared(world: World) -> World:
    world.clear()
    return world
