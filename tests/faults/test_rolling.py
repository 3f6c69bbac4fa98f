"""F23: workers are replaced one by one, as a deployment does, while jobs keep coming."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.faults.conftest import MakePlatform
from tests.faults.verdict import assert_all_ended_once, calls_of, statuses
from tests.support.platform import Platform

EVERY_SECONDS = 0.05


@contextmanager
def jobs_keep_coming(platform: Platform) -> Iterator[None]:
    """Twenty a second, as far as the machine can, until the block ends."""
    enough = threading.Event()

    def submit() -> None:
        while not enough.wait(EVERY_SECONDS):
            platform.submit(model="simulator/latency-0.2")

    thread = threading.Thread(target=submit, daemon=True)
    thread.start()
    try:
        yield
    finally:
        enough.set()
        thread.join()


@pytest.mark.fault("F23", "workers are replaced one by one under load")
def test_replacing_workers_fails_no_job_and_repeats_no_call(
    make_platform_on: MakePlatform, postgres_url: str
) -> None:
    platform = make_platform_on(database_url=postgres_url, workers=2)
    with jobs_keep_coming(platform):
        for worker in platform.workers:
            platform.wait_in_flight(1)
            worker.terminate()
            assert worker.running.wait() == 0
            worker.start()
    platform.wait_all_ended()
    assert_all_ended_once(platform, platform.accepted)
    assert statuses(platform, platform.accepted) == {"completed": len(platform.accepted)}
    assert calls_of(platform, platform.accepted) == len(platform.accepted)
