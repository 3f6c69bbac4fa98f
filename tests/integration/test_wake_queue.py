"""Publishing wake-ups: shared by many threads, bounded in time, and never an error."""

from __future__ import annotations

import json
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis import Redis

from app.dev.redis import EmbeddedRedis, find_redis_server
from app.lifecycle import Ended
from app.queue import Wake, WakeQueue, short_name
from app.settings import Settings
from tests.support.processes import run_process
from tests.support.redis_server import running_redis
from tests.support.waiting import eventually

THREADS, EACH = 32, 50


def wake(name: str = "default") -> Wake:
    return Wake(1, str(uuid.uuid4()), name, "raw-0", "m", 2)


@contextmanager
def queue_on(url: str, *, connections: int = 10) -> Iterator[WakeQueue]:
    found = WakeQueue(Settings(REDIS_URL=url), connections=connections)
    try:
        yield found
    finally:
        found.close()


@pytest.fixture
def wakes(redis_url: str) -> Iterator[WakeQueue]:
    with queue_on(redis_url, connections=THREADS) as found:
        yield found


def in_threads(number: int, act: object) -> None:
    threads = [threading.Thread(target=act, args=(n,)) for n in range(number)]  # type: ignore[arg-type]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


def test_many_threads_share_one_queue(wakes: WakeQueue, redis_url: str) -> None:
    sent: list[int] = []

    def send(number: int) -> None:
        for _ in range(EACH):
            sent.append(wakes.send([wake()]))
            assert wakes.depth("default") is not None

    in_threads(THREADS, send)
    assert sum(sent) == THREADS * EACH
    assert wakes.failures == 0
    with Redis.from_url(redis_url) as client:
        messages = [json.loads(one) for one in client.lrange("default", 0, -1)]
        assert len({one["headers"]["id"] for one in messages}) == THREADS * EACH
        # kombu opens two each; one given up for its slowness closes at the server's leisure
        eventually(lambda: len(client.client_list()) <= 4 * THREADS)


def test_the_first_use_may_be_by_many_threads_at_once(redis_url: str) -> None:
    for _ in range(5):
        with queue_on(redis_url, connections=THREADS) as fresh:
            sent: list[int] = []
            in_threads(THREADS, lambda _, fresh=fresh, sent=sent: sent.append(fresh.send([wake()])))
            assert (sum(sent), fresh.failures) == (THREADS, 0)


def test_waiting_for_a_connection_in_vain_is_no_news_of_the_broker(redis_url: str) -> None:
    with queue_on(redis_url, connections=1) as narrow:
        with narrow._producer():
            assert narrow.send([wake()]) == 0
        assert narrow.send([wake()]) == 1


def test_closing_closes_every_connection(redis_url: str) -> None:
    with Redis.from_url(redis_url) as client:
        before = len(client.client_list())
        for _ in range(3):
            with queue_on(redis_url) as fresh:
                fresh.send([wake()])
        assert len(client.client_list()) <= before


def test_depths_count_what_waits_and_what_was_just_sent(wakes: WakeQueue) -> None:
    assert wakes.depth("default") == 0
    wakes.send([wake()] * 3)
    wakes.grew("default", 3)
    assert wakes.depth("default") == 3
    assert wakes.depths() == {"high": 0, "default": 3, "low": 0}


def test_a_frozen_broker_costs_a_third_of_a_second_and_then_nothing(tmp_path: Path) -> None:
    with running_redis(tmp_path) as (server, process), queue_on(server.url) as wakes:
        assert wakes.send([wake()]) == 1
        process.signal(signal.SIGSTOP)
        started = time.monotonic()
        assert wakes.send([wake()] * 100) == 0
        first = time.monotonic() - started
        assert wakes.send([wake()]) == 0
        assert wakes.depth("default") is None
        wakes.tell([Ended(1, "x", "failed")])
        assert first < 5  # a third each would be half a minute
        assert time.monotonic() - started - first < 0.3  # less than one alone would cost
        process.signal(signal.SIGCONT)
        assert sends_again(wakes)


def test_a_broker_that_was_restarted_is_used_again(tmp_path: Path) -> None:
    server = EmbeddedRedis(program=find_redis_server())
    with queue_on(server.url) as wakes:
        for _ in range(2):
            with run_process(
                server.command, cwd=tmp_path, stdin=server.configuration, ready=server.answers
            ):
                assert sends_again(wakes)
            assert wakes.send([wake()]) == 0


def test_a_template_is_named_by_its_hash_and_a_saved_prompt_by_its_name() -> None:
    assert short_name("Explain {{x}}") == "raw-" + short_name("Explain {{x}}")[4:]
    assert len(short_name("Explain {{x}}")) == 12
    assert short_name("Explain {{x}}", "explain") == "explain"
    assert short_name("\ud800") != short_name("\ud801x")


def sends_again(wakes: WakeQueue) -> bool:
    """After the quiet second."""
    return bool(eventually(lambda: wakes.send([wake()]), timeout=5))
