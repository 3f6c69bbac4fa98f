"""How much waits is exact while it is little, and by the counters when it is much."""

from __future__ import annotations

from functools import partial

import pytest

from app import lifecycle
from app.operations.backlog import backlog
from app.settings import Settings
from app.statistics import gauges as room
from app.statistics.gauges import Gauges, gauges
from app.statistics.totals import totals
from models import ControlKind
from tests.integration.lifecycle.world import World
from tests.integration.statistics.counted import settle


def look(world: World) -> Gauges:
    with world.database.read() as session:
        settings = Settings(DATABASE_URL="sqlite:///unused.db")
        return gauges(session, settings, unfinished=totals(session).unfinished)


def wait(world: World) -> None:
    """Twelve jobs of one queue: eight ready, three scheduled, one processing. One has ended."""
    world.post(8)
    claims = [world.claimed() for _ in range(5)]
    world.end("retry_later", *(claim.key for claim in claims[:3]), delay_seconds=600)
    world.end("complete", claims[3].key)
    world.post(1, queue="high")


def test_a_short_backlog_is_counted(world: World) -> None:
    wait(world)
    seen = look(world).depth
    assert {state: seen["default", state] for state in ("ready", "scheduled", "processing")} == {
        "ready": 8,
        "scheduled": 3,
        "processing": 1,
    }
    assert (seen["high", "ready"], seen["low", "ready"]) == (1, 0)


def test_a_backlog_longer_than_is_counted_is_what_the_counters_say(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "backlog", partial(backlog, cap=4))
    wait(world)
    assert look(world).depth["default", "ready"] == 4  # nothing is counted yet
    settle(world)
    assert look(world).depth["default", "ready"] == 8
    assert look(world).depth["high", "ready"] == 1


def test_pauses_and_ages_are_told_by_queue(world: World) -> None:
    world.post(1, queue="low")
    world.elapse(100)
    world.do(lifecycle.pause, ControlKind.QUEUE, "low")
    world.do(lifecycle.pause, ControlKind.MODEL, "gpt-4")
    seen = look(world)
    assert 100 <= seen.oldest_age_seconds["low"] < 200
    assert seen.oldest_age_seconds["high"] == 0
    assert seen.paused_queues == {"high": False, "default": False, "low": True}
    assert seen.paused == {"queue": 1, "model": 1, "bucket": 0}
