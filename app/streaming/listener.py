"""A thread that hears the channels, and passes each message to whoever asked for its channel."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import redis
import structlog

from app.streaming.wire import connect

log = structlog.get_logger(__name__)

MOST_UNANSWERED = 4
"""Signs of life asked for in vain until the connection counts as dead: 12 s after the last word."""

CLOSE_SECONDS = 1.0

Handler = Callable[[Any], None]


class Listener:
    """One subscription per process; starts with the first handler, reconnects for ever."""

    def __init__(self, url: str) -> None:
        self._redis = connect(url, timeout_seconds=2.0)
        self._handlers: dict[str, list[Handler]] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._hearing = threading.Event()

    @property
    def hearing(self) -> bool:
        """Is the subscription up? Otherwise news must be looked up."""
        return self._hearing.is_set()

    def on(self, channel: str, handler: Handler) -> None:
        """Call `handler(payload)` for each message; it must be quick and not raise.

        All handlers are given before the first message is expected: subscribing happens once.
        """
        with self._lock:
            self._handlers.setdefault(channel, []).append(handler)

    def start(self) -> None:
        """Start hearing; harmless when already started. Returns when subscribed, or after 1 s."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="llm-jobs-listener", daemon=True
                )
                self._thread.start()
        self._hearing.wait(timeout=1)

    def close(self) -> None:
        """Stop hearing."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=CLOSE_SECONDS)

    def _run(self) -> None:
        with self._redis:  # closed by the thread that uses it
            self._hear_for_ever()

    def _hear_for_ever(self) -> None:
        while not self._stop.is_set():
            try:
                self._hear()
            except (redis.RedisError, OSError) as error:
                if self.hearing:
                    log.warning("live events not heard", error=type(error).__name__)
                self._hearing.clear()
                self._stop.wait(1.0)

    def _hear(self) -> None:
        pubsub: Any = self._redis.pubsub
        with pubsub(ignore_subscribe_messages=True) as subscription:
            subscription.subscribe(*self._handlers)
            self._hearing.set()
            while not self._stop.is_set():
                message = subscription.get_message(timeout=0.5)
                if message is not None:
                    self._pass_on(message["channel"], message["data"])
                # The client asks a silent server for a sign of life, and counts; it waits for ever.
                if subscription.health_check_response_counter > MOST_UNANSWERED:
                    raise redis.ConnectionError("no answer from Redis")

    def _pass_on(self, channel: str, text: str) -> None:
        try:
            payload = json.loads(text)
        except ValueError:
            log.warning("unreadable live event", channel=channel)
            return
        for handler in self._handlers.get(channel, ()):
            try:
                handler(payload)
            except Exception:
                log.exception("handler of live events failed", channel=channel)
