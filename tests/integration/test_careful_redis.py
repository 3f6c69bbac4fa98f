"""The workers' transport: what a lost connection may not do to a worker."""

from __future__ import annotations

from typing import Any

import pytest
from kombu import Connection, Consumer, Queue

from workers import careful_redis


@pytest.mark.parametrize("tell", ["ack", "reject", "requeue"])
def test_a_message_whose_connection_is_lost_may_still_be_answered(
    redis_url: str, tell: str
) -> None:
    """A task begins a moment after its message came, and Redis may have died in between."""
    taken: list[Any] = []
    queue = Queue("default", no_ack=True)
    with Connection(redis_url, transport=careful_redis.Transport) as connection:
        channel = connection.channel()
        with connection.Producer() as producer:
            producer.publish({}, routing_key="default", declare=[queue])
        with Consumer(channel, [queue], on_message=taken.append, no_ack=True):
            connection.drain_events(timeout=5)
        connection.collect()
        getattr(taken[0], tell)()
