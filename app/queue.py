"""The broker's side door: wake-up messages that only name a row.

A message is a hint. It may be lost, doubled or late and nothing is lost, doubled or stuck; so a
publish is bounded (300 ms in all), never retried, and its failure is counted, not raised: the row
waits for the dispatcher. Celery is known to this file and to `workers` only.
"""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import structlog
from celery import Celery
from kombu.entity import Exchange
from kombu.entity import Queue as KombuQueue
from kombu.exceptions import ChannelError, LimitExceeded
from kombu.pools import ProducerPool

from app.lifecycle import Ended
from app.settings import Settings
from models import Queue, Status

log = structlog.get_logger(__name__)

TASK_NAME = "llm_jobs.run"
QUIET_SECONDS = 1.0
"""After a failed publish the broker is left alone for this long."""

DEPTH_SECONDS = 1.0
"""How old a queue's length may be that decides whether there is room."""

BATCH = 200
"""Wake-ups that go out in one go."""

_TURN_SECONDS = 0.2
"""How long a thread waits for a connection when all are in use by others."""

_PRODUCER_OPTIONS = {
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0,
    "interval_max": 0,
    "socket_timeout": 0.1,
    "socket_connect_timeout": 0.1,
}


@dataclass(frozen=True, slots=True)
class Wake:
    """A wake-up message: ids and names, never prompt text.

    `queue` is the queue it is sent to (ageing may lift it above the row's own); `template` is a
    saved prompt's name or `short_name` of a raw template; `tries` are the tries used so far.
    """

    output_id: int
    job_id: str
    queue: str
    template: str
    model: str
    tries: int = 0


def short_name(template: str, prompt_name: str | None = None) -> str:
    """What may be shown of a template where anybody may look: its name, or a hash of its text."""
    if prompt_name:
        return prompt_name
    return "raw-" + hashlib.sha256(template.encode("utf-8", "replace")).hexdigest()[:8]


def celery_app(settings: Settings, **conf: Any) -> Celery:
    """A Celery app on our broker with what producer and worker must agree on."""
    app = Celery("llm_jobs", broker=settings.broker, set_as_current=False)
    app.conf.update(
        task_queues=[_queue(name, settings) for name in Queue],
        task_default_queue=Queue.DEFAULT.value,
        task_create_missing_queues=False,
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_acks_late=False,
        task_publish_retry=False,
        task_send_sent_event=False,
        enable_utc=True,
        timezone="UTC",
        **conf,
    )
    return app


class WakeQueue:
    """Publishes wake-ups and knows how long each queue is. Safe to share between threads."""

    def __init__(
        self,
        settings: Settings,
        *,
        connections: int = 10,
        speaker: Callable[[], str | None] = lambda: None,
    ) -> None:
        """`speaker` names the worker that Flower hears of ends outside a task from: whoever is
        named there is shown among the workers.
        """
        self.speaker = speaker
        self.failures = 0
        self._app = celery_app(
            settings,
            broker_transport_options=_PRODUCER_OPTIONS,
            broker_connection_timeout=0.2,
        )
        # Pools of our own: Celery's are shared by every app of the process, and cannot be closed.
        self._connections: Any = self._app.connection_for_write().Pool(limit=connections)
        self._producers: Any = ProducerPool(  # type: ignore[no-untyped-call]
            self._connections, limit=connections
        )
        self._lock = threading.Lock()
        self._quiet_until = 0.0
        self._depths: dict[str, int] = {}
        self._depths_read_at = float("-inf")

    def send(self, wakes: Sequence[Wake]) -> int:
        """Publish in order, all in one go where the broker can; returns how many surely went out.

        Never raises; at most about 300 ms.
        """
        if not wakes or self._away():
            return 0
        try:
            with self._producer() as producer, producer.batch(max_size=BATCH):
                for wake in wakes:
                    self._send_one(wake, producer)
        except Exception as error:
            self._failed("wake not sent", error)
            return 0  # some may be out: sent again they are hints of what is known
        return len(wakes)

    def depth(self, queue: str) -> int | None:
        """Messages in a queue, read at most once a second; None while the broker is away."""
        with self._lock:
            age = time.monotonic() - self._depths_read_at
            if age < DEPTH_SECONDS:
                return self._depths.get(queue)
            if self._depths:  # one thread reads, the others make do with what is known
                self._depths_read_at = time.monotonic()
        depths = self.depths()
        with self._lock:
            if depths or self._away():
                self._depths, self._depths_read_at = depths, time.monotonic()
            return self._depths.get(queue)

    def depths(self) -> dict[str, int]:
        """Messages in each queue, read now; empty while the broker is away."""
        if self._away():
            return {}
        try:
            with self._producer() as producer:
                return {name.value: _length(producer.channel, name) for name in Queue}
        except Exception as error:
            self._failed("queue length not read", error)
            return {}

    def grew(self, queue: str, by: int) -> None:
        """Count messages just sent into the cached depth, so that a burst sees itself."""
        with self._lock:
            if queue in self._depths:
                self._depths[queue] += by

    def tell(self, moved: Sequence[Ended]) -> None:
        """Make Flower agree with rows that moved outside a task. Never raises.

        To Celery a retry is newer than any end: tell of a row that waits again at once, and then
        look whether it has ended meanwhile.
        """
        events = [(row, _EVENT_OF[row.status]) for row in moved if row.status in _EVENT_OF]
        if not events or self._away():
            return
        try:
            with self._producer() as producer, self._dispatcher(producer) as dispatcher:
                for row, kind in events:
                    dispatcher.send(kind, uuid=row.job_id, name=TASK_NAME, **_FACTS[kind])
        except Exception as error:
            self._failed("event not sent", error)

    def ping(self) -> bool:
        """Does the broker answer?"""
        return bool(self.depths())

    def close(self) -> None:
        """Close every connection."""
        self._producers.force_close_all()
        self._connections.force_close_all()
        self._app.close()

    def _producer(self) -> AbstractContextManager[Any]:
        producer: AbstractContextManager[Any] = self._producers.acquire(
            block=True, timeout=_TURN_SECONDS
        )
        return producer

    def _dispatcher(self, producer: Any) -> AbstractContextManager[Any]:
        dispatcher: AbstractContextManager[Any] = self._app.events.Dispatcher(
            producer.connection,
            hostname=self.speaker() or f"llm-jobs@{socket.gethostname()}",
            channel=producer.channel,
            buffer_while_offline=False,
        )
        return dispatcher

    def _send_one(self, wake: Wake, producer: Any) -> None:
        self._app.send_task(
            TASK_NAME,
            args=(wake.output_id,),
            kwargs={"template": wake.template, "model": wake.model, "attempt": wake.tries + 1},
            task_id=wake.job_id,
            queue=wake.queue,
            retries=wake.tries,
            producer=producer,
            retry=False,
            ignore_result=True,
        )

    def _away(self) -> bool:
        return time.monotonic() < self._quiet_until

    def _failed(self, event: str, error: Exception) -> None:
        with self._lock:
            self.failures += 1
            if not isinstance(error, LimitExceeded):  # all in use: that says nothing of the broker
                self._quiet_until = time.monotonic() + QUIET_SECONDS
        log.warning(event, error=type(error).__name__, failures=self.failures)


_EVENT_OF: dict[str, str] = {
    Status.PENDING: "task-retried",
    Status.COMPLETED: "task-succeeded",
    Status.FAILED: "task-failed",
    Status.CANCELLED: "task-revoked",
}
_FACTS: dict[str, dict[str, Any]] = {
    "task-retried": {"exception": "its worker was lost: see the row", "traceback": ""},
    "task-succeeded": {"result": "'completed'", "runtime": 0.0},
    "task-failed": {"exception": "ended outside a task: see the row", "traceback": ""},
    "task-revoked": {"terminated": False, "signum": None, "expired": False},
}


def _queue(name: Queue, settings: Settings) -> KombuQueue:
    """Read without acknowledgement on Redis: the rows make its bookkeeping needless. RabbitMQ needs
    it, to send a worker no more than it asked for.
    """
    quorum = settings.broker.startswith(("amqp", "pyamqp"))
    return KombuQueue(  # type: ignore[no-untyped-call]
        name.value,
        Exchange("llm_jobs", type="direct"),  # type: ignore[no-untyped-call]
        routing_key=name.value,
        no_ack=not quorum,
        queue_arguments={"x-queue-type": "quorum"} if quorum else None,
    )


def _length(channel: Any, queue: str) -> int:
    try:
        return int(channel.queue_declare(queue, passive=True).message_count)
    except ChannelError:
        return 0
