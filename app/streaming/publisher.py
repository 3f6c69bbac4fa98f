"""A thread that sends what other threads hand it. Handing over never waits and never fails."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import redis
import structlog

from app.streaming.wire import APPEND, KEEP_SECONDS, LIVE, STREAM_LENGTH, connect, stream_of

log = structlog.get_logger(__name__)

BATCH = 200
CLOSE_SECONDS = 1.0
PAUSE_SECONDS = 0.2
"""While Redis is away, what waits is dropped at this pace and not spun over."""

Message = tuple[str, str] | tuple[str, str, str, str]
"""(channel, payload), or (LIVE, job id, event, data) for an event that is also kept."""


class Publisher:
    """Sends messages in order, in pipelines; drops and counts them while Redis is away."""

    def __init__(self, url: str, *, most_waiting: int = 10_000) -> None:
        self._redis = connect(url, timeout_seconds=1.0)
        self._waiting: queue.Queue[Message | None] = queue.Queue(maxsize=most_waiting)
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._append: Any = self._redis.register_script(APPEND)
        self._closing = threading.Event()
        self.dropped = 0

    def publish(self, channel: str, payload: Any) -> None:
        """Hand over a message for a channel."""
        self._hand_over((channel, json.dumps(payload)))

    def append(self, job_id: str, event: str, data: dict[str, Any]) -> None:
        """Hand over an event of a job: kept in its stream and sent to whoever listens now."""
        self._hand_over((LIVE, job_id, event, json.dumps(data, ensure_ascii=False)))

    def close(self) -> None:
        """Send what waits, as far as Redis takes it within a second, then stop."""
        self._closing.set()
        if self._thread is not None:
            with suppress(queue.Full):  # then it has enough to do, and looks by itself
                self._waiting.put_nowait(None)
            self._thread.join(timeout=CLOSE_SECONDS)

    def _hand_over(self, message: Message) -> None:
        self._start_once()
        try:
            self._waiting.put_nowait(message)
        except queue.Full:
            self.dropped += 1

    def _start_once(self) -> None:
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(
                        target=self._run, name="llm-jobs-publisher", daemon=True
                    )
                    self._thread.start()

    def _run(self) -> None:
        with self._redis:  # closed by the thread that uses it, which may be waiting for an answer
            self._send_all()

    def _send_all(self) -> None:
        while not (self._closing.is_set() and self._waiting.empty()):
            batch = self._gather()
            try:
                self._send(batch)
            except redis.RedisError as error:
                self.dropped += len(batch)
                log.warning("live events not sent", error=type(error).__name__, events=len(batch))
                if self._closing.wait(PAUSE_SECONDS):
                    return

    def _gather(self) -> list[Message]:
        """All that waits, at least one, at most `BATCH`."""
        batch = [self._waiting.get()]
        with suppress(queue.Empty):
            while len(batch) < BATCH:
                batch.append(self._waiting.get_nowait())
        return [message for message in batch if message is not None]

    def _send(self, batch: Sequence[Message]) -> None:
        if not batch:
            return
        with self._redis.pipeline(transaction=False) as pipe:
            for message in batch:
                if len(message) == 2:
                    pipe.publish(*message)
                else:
                    _, job_id, event, data = message
                    self._append(
                        keys=[stream_of(job_id)],
                        args=[event, data, STREAM_LENGTH, KEEP_SECONDS, LIVE, job_id],
                        client=pipe,
                    )
            pipe.execute()
