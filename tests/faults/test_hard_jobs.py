"""F3, F25, F27: messages lost with their worker, a dispatcher that hangs, a job that kills."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.faults.conftest import MakePlatform
from tests.faults.verdict import assert_all_ended_once, calls_of, statuses
from tests.support.platform import Part
from tests.support.plugin import known_here


@pytest.mark.fault("F3", "a worker dies with the messages it has taken")
def test_messages_that_died_with_their_worker_are_sent_again(
    make_platform_on_sqlite: MakePlatform,
) -> None:
    platform = make_platform_on_sqlite()
    platform.workers[0].freeze()
    jobs = [platform.submit() for _ in range(50)]
    platform.workers[0].kill()
    platform.workers[0].start()
    platform.wait_all_ended()
    assert_all_ended_once(platform, jobs)
    assert statuses(platform, jobs) == {"completed": 50}
    assert calls_of(platform, jobs) == 50


@pytest.mark.parametrize(
    "stop",
    [
        pytest.param(
            Part.freeze,
            id="frozen",
            marks=pytest.mark.fault("F25", "one of two dispatching workers is stopped"),
        ),
        pytest.param(
            Part.kill,
            id="killed",
            marks=pytest.mark.fault("F25", "one of two dispatching workers is killed"),
        ),
    ],
)
def test_one_of_two_dispatchers_is_enough(
    make_platform_on_sqlite: MakePlatform, stop: Callable[[Part], None]
) -> None:
    platform = make_platform_on_sqlite(workers=2)
    stop(platform.workers[0])
    ids = [platform.insert() for _ in range(20)]  # no messages: only a dispatcher wakes them
    platform.wait_ended(*ids)
    platform.workers[0].thaw()
    assert_all_ended_once(platform, ids)
    assert statuses(platform, ids) == {"completed": 20}
    assert calls_of(platform, ids) == 20


@pytest.mark.fault("F27", "a job kills every worker that runs it")
def test_a_job_that_kills_its_worker_fails_and_its_neighbours_do_not(
    make_platform_on_sqlite: MakePlatform,
) -> None:
    platform = make_platform_on_sqlite(lease_seconds=1.2, heartbeat_seconds=0.3)
    with known_here():
        poison = platform.submit(fetchers={"die": {}})
    assert platform.workers[0].running.wait() == 9
    neighbour = platform.submit(model="simulator/latency-0.5")  # meets two of the three deaths
    platform.workers[0].start()
    for _ in range(2):
        assert platform.workers[0].running.wait() == 9
        platform.workers[0].start()
    (row,) = platform.wait_ended(poison)
    assert (row.status, row.error_code, row.losses) == ("failed", "poison", 3)
    assert (row.raw_response or "").startswith("Job failed permanently: ")
    assert [a.outcome for a in platform.attempts(poison)] == ["lost"] * 3
    platform.wait_ended(neighbour)
    assert_all_ended_once(platform, [poison, neighbour])
    assert statuses(platform, [neighbour]) == {"completed": 1}
