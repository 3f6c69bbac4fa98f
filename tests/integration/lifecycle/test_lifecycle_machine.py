"""The lifecycle against its model, under random acts and faults: see `machine.py`."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.integration.lifecycle.machine import Lifecycle, tell
from tests.integration.lifecycle.world import World

KINDS = ["sqlite", "postgresql"]
STORIES = {"sqlite": range(1000, 1050), "postgresql": range(2000, 2020)}
EXAMPLES = {"sqlite": 20, "postgresql": 10}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def world(kind: str, request: pytest.FixtureRequest) -> World:
    world: World = request.getfixturevalue(
        {"sqlite": "sqlite_world", "postgresql": "postgres_world"}[kind]
    )
    return world


def test_rows_follow_the_model_in_random_stories(kind: str, world: World) -> None:
    tell(world, STORIES[kind])


def test_rows_follow_the_model_whatever_hypothesis_thinks_of(kind: str, world: World) -> None:
    run_state_machine_as_test(
        lambda: Lifecycle(world),
        settings=settings(
            max_examples=EXAMPLES[kind],
            stateful_step_count=30,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
            report_multiple_bugs=False,
        ),
    )
