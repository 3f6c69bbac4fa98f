"""What a conformance suite of the adapters needs: the simulator, and each adapter in turn."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.simulator.testing import RunningSimulator, running_simulator
from tests.conformance.adapters import ADAPTERS, Adapter


@pytest.fixture(scope="module")
def simulator() -> Iterator[RunningSimulator]:
    with running_simulator() as running:
        yield running


@pytest.fixture(params=ADAPTERS, ids=lambda adapter: adapter.name)
def adapter(request: pytest.FixtureRequest) -> Adapter:
    chosen: Adapter = request.param
    return chosen


@pytest.fixture(params=[False, True], ids=["plain", "stream"])
def stream(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)
