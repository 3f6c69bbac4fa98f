"""The Redis transport of a worker: kombu's, careful with what it reads and with its time.

Kombu lets whatever is wrong with a message's envelope rise to Celery's loop, where it counts as
unrecoverable: one line of garbage on a queue ends every worker that meets it. Here such a message
is dropped and logged, without its content. Broken *bodies* are Celery's own business already.

A task that begins while its connection is lost acknowledges its message on a closed channel; that
too would rise to the loop, and is left unsaid here.

And kombu makes a new client for each command, a tenth of a worker's CPU time; here a channel keeps
the one it has.
"""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty
from typing import Any

import structlog
from kombu.transport import TRANSPORT_ALIASES, redis

log = structlog.get_logger(__name__)

_FAILURES: tuple[type[BaseException], ...] = tuple(
    error
    for error in (*redis.Transport.connection_errors, *redis.Transport.channel_errors)
    if error is not KeyError
)
"""What says something of the connection. Kombu counts a missing field of a message to that."""

_EMPTY_OR_FAILURES: tuple[type[BaseException], ...] = (Empty, *_FAILURES)


def use() -> None:
    """Every `redis://` and `rediss://` connection made from now on in this process is careful."""
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = f"{__name__}:Transport"


class Channel(redis.Channel):
    """Drops messages it cannot read, and those whose consumer cannot."""

    _kept_client: Any = None

    def _create_client(self, asynchronous: bool = False) -> Any:
        make: Any = super()._create_client
        if asynchronous:
            return make(asynchronous=True)
        if self._kept_client is None or self._kept_client.connection_pool is not self.pool:
            self._kept_client = make()
        return self._kept_client

    def basic_consume(
        self, queue: str, no_ack: bool, callback: Callable[[Any], Any], *args: Any, **kwargs: Any
    ) -> Any:
        """As always, but what the consumer raises ends its message and nothing else."""

        def careful(message: Any) -> Any:
            try:
                return callback(message)
            except _FAILURES:
                raise
            except Exception as error:
                _dropped(error)
                if not no_ack and not message.acknowledged:
                    message.ack()

        consume: Any = super().basic_consume
        return consume(queue, no_ack, careful, *args, **kwargs)

    def basic_ack(self, delivery_tag: str, multiple: bool = False) -> None:
        """As always, but for a message of a connection that was lost meanwhile: there is nobody to
        tell, and the closed channel's complaint would end the worker.
        """
        if not self.closed:
            acknowledge: Any = super().basic_ack
            acknowledge(delivery_tag, multiple=multiple)

    def basic_reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """The same; what is not said is put back by the row."""
        if not self.closed:
            reject: Any = super().basic_reject
            reject(delivery_tag, requeue=requeue)

    def _brpop_read(self, **options: Any) -> Any:
        try:
            read: Any = super()._brpop_read
            return read(**options)
        except _EMPTY_OR_FAILURES:
            raise
        except Exception as error:
            _dropped(error)
            return True  # it is off its list

    def _deliver_fanout_message(self, message: Any, exchange: str) -> Any:
        try:
            deliver: Any = super()._deliver_fanout_message
            return deliver(message, exchange)
        except _FAILURES:
            raise
        except Exception as error:
            _dropped(error)
            return None


class Transport(redis.Transport):
    """Redis, with channels of that kind."""

    Channel = Channel


def _dropped(error: Exception) -> None:
    log.warning("unreadable message dropped", error=type(error).__name__)
