"""F4 to F7: the broker forgets, dies, hangs, or is full. Rows do not care."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median

import pytest

from app.jobs import Submission
from tests.faults.conftest import MakePlatform
from tests.faults.verdict import assert_all_ended_once, calls_of, statuses
from tests.support.platform import Part, Platform
from tests.support.waiting import eventually

# 0.3 s on an idle machine (a publish gives up after 0.2 s); here other tests share the cores.
ACCEPT_SECONDS = 2.5


@pytest.mark.fault("F4", "Redis is flushed, again and again")
def test_a_flushed_broker_loses_and_doubles_nothing(make_platform: MakePlatform) -> None:
    platform = make_platform(worker_concurrency=20)
    broker = platform.broker()
    jobs: list[Submission] = []
    for _ in range(4):
        jobs += platform.submit_many(50, model="simulator/latency-0.1")
        broker.flushall()
    platform.wait_all_ended(timeout=40)
    assert_all_ended_once(platform, jobs)
    assert statuses(platform, jobs) == {"completed": 200}
    assert calls_of(platform, jobs) == 200


@pytest.mark.parametrize(
    ("stop", "resume"),
    [
        pytest.param(
            Part.kill,
            Part.start,
            id="killed",
            marks=pytest.mark.fault("F5", "Redis is killed and comes back empty, amid posts"),
        ),
        pytest.param(
            Part.freeze,
            Part.thaw,
            id="frozen",
            marks=pytest.mark.fault("F6", "Redis is stopped and goes on, amid posts"),
        ),
    ],
)
def test_jobs_are_accepted_while_the_broker_is_away_and_run_when_it_is_back(
    make_platform: MakePlatform, stop: Callable[[Part], None], resume: Callable[[Part], None]
) -> None:
    platform = make_platform(web=True)
    with posting(platform) as answers:
        for change in (stop, resume):
            wait_for_more(answers)
            change(platform.redis)
        wait_for_more(answers)
    assert {status for status, _ in answers} == {201}
    assert max(seconds for _, seconds in answers) < ACCEPT_SECONDS
    assert median(seconds for _, seconds in answers) < ACCEPT_SECONDS / 2
    platform.wait_all_ended(timeout=40)
    assert_all_ended_once(platform, platform.accepted)
    assert statuses(platform, platform.accepted) == {"completed": len(answers)}
    assert calls_of(platform, platform.accepted) == len(answers)


@pytest.mark.fault("F7", "Redis is full, and has room again")
def test_jobs_are_accepted_while_the_broker_is_full_and_run_when_it_has_room(
    make_platform_on_sqlite: MakePlatform,
) -> None:
    platform = make_platform_on_sqlite(web=True, workers=2)
    broker = platform.broker()
    broker.config_set("maxmemory", 1)  # and noeviction: whatever needs memory is refused
    answers = [platform.post() for _ in range(20)]
    platform.workers[1].kill()
    platform.workers[1].start(wait=False)
    assert {answer.status_code for answer in answers} == {201}
    assert statuses(platform, platform.accepted) == {"pending": 20}
    broker.config_set("maxmemory", 0)
    platform.wait_all_ended(timeout=40)
    platform.workers[1].running.wait_for(r"ready\.")
    assert_all_ended_once(platform, platform.accepted)
    assert statuses(platform, platform.accepted) == {"completed": 20}
    assert calls_of(platform, platform.accepted) == 20


Answers = list[tuple[int, float]]
"""Status and seconds of each post."""


@contextmanager
def posting(platform: Platform) -> Iterator[Answers]:
    """Until the block ends, job after job is posted, whatever happens to the broker."""
    answers: Answers = []
    enough = threading.Event()

    def post() -> None:
        while not enough.is_set():
            started = time.monotonic()
            status = platform.post().status_code
            answers.append((status, time.monotonic() - started))

    thread = threading.Thread(target=post, daemon=True)
    thread.start()
    try:
        yield answers
    finally:
        enough.set()
        thread.join()


def wait_for_more(answers: Answers) -> None:
    enough = len(answers) + 8
    eventually(lambda: len(answers) >= enough, timeout=20)
