"""F30: a platform under load, and one fault after another at random, for as long as one likes."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import pytest

from llm_jobs import Client
from tests.faults.conftest import MakePlatform
from tests.faults.verdict import assert_all_ended_once, statuses, tally
from tests.support.platform import CONTEXT, TEMPLATE, Part, Platform
from tests.support.postgres_server import StoppablePostgres
from tests.support.processes import children_of

JOBS_A_SECOND = 10
WORKERS = 3
SLOTS = 20
MODELS = ("echo", "latency-0.5", "latency-2", "fail-1", "429-1-once", "tokens-200+rate-100")
SETTLED_SECONDS = 30
MEBIBYTE = 2**20


@pytest.mark.long
@pytest.mark.timeout(0)
@pytest.mark.fault("F30", "random faults under load, for minutes")
def test_nothing_is_lost_and_nothing_grows_however_long(
    postgres: StoppablePostgres, make_platform_on: MakePlatform, request: pytest.FixtureRequest
) -> None:
    until = time.monotonic() + 60 * request.config.getoption("--minutes")
    platform = make_platform_on(
        database_url=postgres.server.url(), web=True, workers=WORKERS, worker_concurrency=SLOTS
    )
    assert platform.web
    chaos = Chaos(platform, postgres, random.Random(30))
    lasting = [Sizes(platform.web), Sizes(platform.workers[0])]
    with jobs_keep_coming(platform):
        while time.monotonic() < until:
            chaos.bring_about_a_fault()
            for sizes in lasting:
                sizes.look()
    platform.wait_all_ended(timeout=120)
    assert_all_ended_once(platform, platform.accepted)
    assert statuses(platform, platform.accepted) == {"completed": len(platform.accepted)}
    assert tally(platform, platform.accepted).repeated <= chaos.most_repeated
    for sizes in lasting:
        sizes.assert_flat()


@contextmanager
def jobs_keep_coming(platform: Platform) -> Iterator[None]:
    """Ten a second, posted by a client that does not give up, until the block ends."""
    enough = threading.Event()

    def post() -> None:
        with Client(platform.web_url, platform.key) as client:
            while not enough.wait(1 / JOBS_A_SECOND):
                model = f"simulator/{random.choice(MODELS)}"
                job = client.jobs.create(template=TEMPLATE, context=CONTEXT, model=model)
                platform.accepted.append(job.output_id)

    thread = threading.Thread(target=post, daemon=True)
    thread.start()
    try:
        yield
        assert thread.is_alive(), "a post was refused"
    finally:
        enough.set()
        thread.join(90)


class Chaos:
    """Brings about one fault after another, and knows how many calls they may have cut. Web and
    the first worker are never ended, so that it shows whether they grow.
    """

    def __init__(
        self, platform: Platform, postgres: StoppablePostgres, dice: random.Random
    ) -> None:
        self._platform = platform
        self._postgres = postgres
        self._dice = dice
        self.most_repeated = 0

    def bring_about_a_fault(self) -> None:
        """One of them; returns when it is over, and a few seconds have passed."""
        faults: list[Callable[[], None]] = [
            self._kill_a_worker,
            self._freeze_a_worker,
            self._terminate_a_worker,
            self._flush_redis,
            self._kill_redis,
            self._freeze_redis,
            self._restart_postgres,
        ]
        self._dice.choice(faults)()
        self._let_pass(5)

    def _kill_a_worker(self) -> None:
        worker = self._worker()
        worker.kill()
        worker.start()
        self.most_repeated += SLOTS

    def _freeze_a_worker(self) -> None:
        worker = self._dice.choice(self._platform.workers)
        worker.freeze()
        self._let_pass(8)  # twice the lease
        worker.thaw()
        self.most_repeated += SLOTS

    def _terminate_a_worker(self) -> None:
        worker = self._worker()
        worker.terminate()
        worker.running.wait()
        worker.start()

    def _flush_redis(self) -> None:
        with self._platform.broker() as broker:
            broker.flushall()

    def _kill_redis(self) -> None:
        self._platform.redis.kill()
        self._let_pass(5)
        self._platform.redis.start()

    def _freeze_redis(self) -> None:
        self._platform.redis.freeze()
        self._let_pass(5)
        self._platform.redis.thaw()

    def _restart_postgres(self) -> None:
        self._postgres.stop()
        self._let_pass(2)
        self._postgres.start()
        self.most_repeated += WORKERS * SLOTS

    def _worker(self) -> Part:
        return self._dice.choice(self._platform.workers[1:])

    def _let_pass(self, most_seconds: float) -> None:
        time.sleep(self._dice.uniform(0.5, 1) * most_seconds)  # a fault lasts; nothing ends it


@dataclass(frozen=True)
class Size:
    """What a process takes."""

    at: float
    resident: int
    files: int


class Sizes:
    """What a program and its children have taken, look by look."""

    def __init__(self, part: Part) -> None:
        pid = part.running.pid
        self._pids = [pid, *children_of(pid)]
        self._seen: list[Size] = []

    def look(self) -> None:
        """Note what they take now."""
        self._seen.append(
            Size(
                time.monotonic(),
                sum(_resident(pid) for pid in self._pids),
                sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in self._pids),
            )
        )

    def assert_flat(self) -> None:
        """The second half, once it has settled, is hardly larger than the first."""
        settled = [size for size in self._seen if size.at - self._seen[0].at > SETTLED_SECONDS]
        half = len(settled) // 2
        if half < 3:
            return  # too short a soak to tell
        first, second = settled[:half], settled[half:]
        minutes = (second[-1].at - first[0].at) / 60
        grown = median(s.resident for s in second) - median(s.resident for s in first)
        assert grown < max(8, minutes / 2) * MEBIBYTE, settled  # a MiB a minute, half by half
        assert median(s.files for s in second) <= median(s.files for s in first) + 10, settled


def _resident(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
