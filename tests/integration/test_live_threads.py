"""The two threads of live news: nothing they meet holds anybody up, and they find Redis again."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from app.dev.ports import free_port
from app.dev.redis import EmbeddedRedis
from app.streaming import listener as listening
from app.streaming import wire
from app.streaming.listener import Listener
from app.streaming.publisher import Publisher
from tests.support.processes import RunningProcess
from tests.support.redis_server import running_redis
from tests.support.waiting import eventually

CHANNEL = "test:channel"


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[tuple[EmbeddedRedis, RunningProcess]]:
    with running_redis(tmp_path) as found:
        yield found


def test_messages_arrive_in_their_order(redis_url: str) -> None:
    heard: list[int] = []
    listener, publisher = Listener(redis_url), Publisher(redis_url)
    listener.on(CHANNEL, heard.append)
    listener.start()
    for number in range(1000):
        publisher.publish(CHANNEL, number)
    eventually(lambda: len(heard) == 1000)
    publisher.close()
    listener.close()
    assert heard == list(range(1000))


def test_closing_sends_what_waits(redis_url: str) -> None:
    publisher = Publisher(redis_url)
    for number in range(500):
        publisher.append("job", "delta", {"n": number})
    publisher.close()
    with Redis.from_url(redis_url) as client:
        assert client.xlen(wire.stream_of("job")) == 500
    assert publisher.dropped == 0


def test_without_redis_nothing_waits_and_nothing_gathers() -> None:
    publisher = Publisher(f"redis://127.0.0.1:{free_port()}/0", most_waiting=100)
    started = time.monotonic()
    for number in range(5000):
        publisher.publish(CHANNEL, number)
    handed_over = time.monotonic() - started
    publisher.close()
    assert handed_over < 5
    assert time.monotonic() - started < 10
    assert publisher.dropped >= 4900


def test_a_frozen_redis_does_not_hold_up_the_end(
    own_redis: tuple[EmbeddedRedis, RunningProcess],
) -> None:
    server, process = own_redis
    publisher, listener = Publisher(server.url, most_waiting=10), Listener(server.url)
    listener.on(CHANNEL, lambda payload: None)
    listener.start()
    publisher.publish(CHANNEL, 0)
    process.signal(signal.SIGSTOP)
    for number in range(100):
        publisher.publish(CHANNEL, number)
    started = time.monotonic()
    publisher.close()
    listener.close()
    assert time.monotonic() - started < 5
    process.signal(signal.SIGCONT)


def test_a_silent_redis_is_noticed_and_found_again(
    own_redis: tuple[EmbeddedRedis, RunningProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when its machine has gone: the connection stands, and nothing ever comes."""
    monkeypatch.setattr(wire, "HEALTH_SECONDS", 1)
    monkeypatch.setattr(listening, "MOST_UNANSWERED", 1)
    server, process = own_redis
    heard: list[str] = []
    listener = Listener(server.url)
    listener.on(CHANNEL, heard.append)
    listener.start()
    assert listener.hearing
    process.signal(signal.SIGSTOP)
    eventually(lambda: not listener.hearing)
    process.signal(signal.SIGCONT)
    eventually(lambda: listener.hearing)
    with Redis.from_url(server.url) as client:
        client.publish(CHANNEL, json.dumps("again"))
    eventually(lambda: heard == ["again"])
    listener.close()


def test_a_handler_that_fails_is_called_again(redis_url: str) -> None:
    heard = threading.Event()

    def fussy(payload: object) -> None:
        if payload != "right":
            raise TypeError(payload)
        heard.set()

    listener = Listener(redis_url)
    listener.on(CHANNEL, fussy)
    listener.start()
    with Redis.from_url(redis_url) as client:
        for text in ("{", "5", '{"a": []}', '"right"'):
            client.publish(CHANNEL, text)
    assert heard.wait(5)
    listener.close()
