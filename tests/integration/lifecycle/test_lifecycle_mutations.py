"""The proof of the proof: without any one guard or effect, the machine or a named test fails.

A property test that would also pass without a fence proves nothing about fences. Here each building
block of the verbs is taken away in turn, and somebody has to notice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
from sqlalchemy import text, true
from sqlalchemy.exc import IntegrityError

from app import lifecycle
from app.errors import Unavailable
from app.lifecycle import accept, claims, control, effects, endings, fair, guards, ledger, sweep
from models import LLMOutput
from tests.integration.lifecycle import test_lifecycle_ledger as sums
from tests.integration.lifecycle import test_lifecycle_moves as moves
from tests.integration.lifecycle import test_lifecycle_races as races
from tests.integration.lifecycle.machine import tell
from tests.integration.lifecycle.world import World

MODULES = (accept, claims, control, endings, fair, ledger, sweep)
NOTICED = (AssertionError, IntegrityError)
"""A promise is broken, or the table's own checks are. Any other error is no proof."""

STORIES = 40

GUARDS = [
    "a_try_left",
    "before_deadline",
    "cancel_asked",
    "is_due",
    "is_pending",
    "is_processing",
    "lease_over",
    "not_cancelled",
    "not_paused",
    "past_deadline",
    "poisoned",
    "same_fence",
    "unsent",
]
EFFECTS: dict[str, dict[str, Any]] = {
    "failure": {},
    "leased": {},
    "let_go": {},
    "next_fence": {},
    "one_loss_more": {},
    "one_try_used": {},
    "over": {},
    "to_be_sent": {"woken_at": LLMOutput.woken_at},
}
"""What is written instead. An UPDATE that writes nothing is no SQL, so one writes what is there."""


@pytest.fixture(autouse=True)
def fresh_statements() -> Iterator[None]:
    """Statements are built once and kept: before and after each mutation they are forgotten."""
    forget_statements()
    yield
    forget_statements()


@pytest.fixture
def impatient_world(postgres_world: World) -> Iterator[World]:
    """A world on PostgreSQL in which waiting for somebody's lock soon fails."""
    postgres_world.clear()
    _settle(postgres_world, "SET lock_timeout = '300ms'")
    yield postgres_world
    _settle(postgres_world, "RESET lock_timeout")


def test_every_guard_and_effect_is_taken_away_once() -> None:
    not_conditions = {"status_is", "mine", "word", "taken_by_nobody"}
    assert set(GUARDS) == _functions(guards) - not_conditions
    assert EFFECTS.keys() == _functions(effects) - {"touched"}


def test_with_everything_in_place_nobody_complains(sqlite_world: World) -> None:
    run(sqlite_world)


@pytest.mark.parametrize("guard", GUARDS)
def test_a_missing_guard_is_noticed(
    guard: str, sqlite_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guards, guard, lambda *_: true())
    with pytest.raises(NOTICED):
        run(sqlite_world)


@pytest.mark.parametrize("effect", sorted(EFFECTS))
def test_a_missing_effect_is_noticed(
    effect: str, sqlite_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(effects, effect, lambda *_: EFFECTS[effect])
    with pytest.raises(NOTICED):
        run(sqlite_world)


def _count_twice(v: Any) -> dict[str, Any]:
    return {name: ledger._sum(name, v.c[name]) for name in ledger.USAGE_COLUMNS}


LEDGER: list[tuple[str, Callable[..., Any]]] = [
    ("usage_added", lambda v: {}),
    ("usage_added", _count_twice),
    ("_add_to_rows", lambda session, items: {}),
    ("_owe", lambda session, used: None),
]


@pytest.mark.parametrize(("part", "replacement"), LEDGER)
def test_a_sum_that_is_not_kept_is_noticed(
    part: str,
    replacement: Callable[..., Any],
    sqlite_world: World,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in MODULES:
        if hasattr(module, part):
            monkeypatch.setattr(module, part, replacement)
    with pytest.raises(NOTICED):
        run(sqlite_world)


def test_a_move_without_a_date_is_noticed(
    sqlite_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(effects, "touched", dict)
    sqlite_world.clear()
    with pytest.raises(NOTICED):
        moves.test_every_move_is_dated(sqlite_world)


def test_twins_that_are_not_told_apart_are_noticed(
    sqlite_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (claims, endings):
        monkeypatch.setattr(module, "each_once", list)
    sqlite_world.clear()
    with pytest.raises(NOTICED):
        sums.test_twins_in_one_batch_are_counted_once(sqlite_world)


SHARING = [
    races.test_a_dispatcher_does_not_wait_for_another,
    races.test_a_sweep_does_not_wait_for_another,
]


@pytest.mark.parametrize("promise", SHARING)
def test_a_dispatcher_that_waits_is_noticed(
    promise: Callable[[World], None], impatient_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guards, "taken_by_nobody", lambda query: query.with_for_update())
    with pytest.raises(Unavailable):
        promise(impatient_world)


def test_dispatchers_that_lock_nothing_are_noticed(
    postgres_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guards, "taken_by_nobody", lambda query: query)
    with pytest.raises(AssertionError):
        races.test_a_dispatcher_does_not_wait_for_another(postgres_world)


def test_writers_that_lock_in_any_order_are_noticed(
    postgres_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (claims, control, endings, lifecycle):
        monkeypatch.setattr(module, "lock", lambda *_: None)
    with pytest.raises(Unavailable):
        races.test_two_busy_writers_never_wait_for_each_other_in_a_circle(postgres_world)


def test_counting_for_users_too_early_is_noticed(
    postgres_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "before_commit", lambda session, act: act(session))
    with pytest.raises(Unavailable):
        races.test_two_writers_count_for_the_same_users_in_one_order(postgres_world)


def run(world: World) -> None:
    """Tell the machine's stories, the same ones each time."""
    tell(world, range(STORIES))


def forget_statements() -> None:
    for module in MODULES:
        for value in vars(module).values():
            if hasattr(value, "cache_clear"):
                value.cache_clear()


def _functions(module: ModuleType) -> set[str]:
    own = (v for v in vars(module).values() if getattr(v, "__module__", "") == module.__name__)
    return {value.__name__ for value in own if callable(value)}


def _settle(world: World, statement: str) -> None:
    name = world.database.engine.url.database
    with world.database.write() as session:
        session.execute(text(f'ALTER DATABASE "{name}" {statement}'))
    world.database.engine.dispose()
