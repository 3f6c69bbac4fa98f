"""F4, F5, F6: the broker forgets, dies, or hangs. Rows do not care."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from app.jobs import Submission
from tests.faults.conftest import MakePlatform
from tests.faults.verdict import assert_all_ended_once, calls_of, statuses
from tests.support.platform import Part, Platform

# 0.3 s on an idle machine (a publish gives up after 0.2 s); here other tests share the cores.
ACCEPT_SECONDS = 2.5


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
    [(Part.kill, Part.start), (Part.freeze, Part.thaw)],
    ids=["killed", "frozen"],
)
def test_jobs_are_accepted_while_the_broker_is_away_and_run_when_it_is_back(
    make_platform: MakePlatform,
    stop: Callable[[Part], None],
    resume: Callable[[Part], None],
) -> None:
    platform = make_platform(web=True)
    stop(platform.redis)
    answers = [_post(platform) for _ in range(8)]
    assert {status for status, _ in answers} == {201}
    assert max(seconds for _, seconds in answers) < ACCEPT_SECONDS
    resume(platform.redis)
    platform.wait_all_ended(timeout=40)
    assert platform.count("completed") >= 8


def _post(platform: Platform) -> tuple[int, float]:
    started = time.monotonic()
    body = {"template": "Explain {{x}}", "model": "simulator/echo", "context": {"x": "rows"}}
    answer = platform.ask("POST", "/api/v1/llm_jobs", body)
    return answer.status_code, time.monotonic() - started
