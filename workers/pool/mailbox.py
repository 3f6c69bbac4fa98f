"""From the loop's thread to Celery's: what has happened to tasks, told where Celery can hear it.

Celery's own state (its sets of requests, the logical clock, the event buffer, acknowledgements)
belongs to the thread of its hub, which also does all broker I/O. The loop posts here and goes on;
the hub is woken and runs what was posted, in order. Nothing is ever dropped and nothing can pile
up: each message adds two posts, and only the hub's thread lets new messages in.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import structlog

log = structlog.get_logger(__name__)


class Mailbox:
    """Calls posted from any thread, run in order on the hub's."""

    def __init__(self) -> None:
        self._posts: deque[tuple[Callable[..., Any], tuple[Any, ...]]] = deque()
        self._hub: Any = None
        # A file descriptor, and not hub.call_soon(): what the hub is asked for by its own
        # callbacks (acknowledging, sending events) would wait for its next poll, up to a second.
        self._ear, self._bell = socket.socketpair()
        self._ear.setblocking(False)
        self._bell.setblocking(False)
        self._rung = False

    def attach(self, hub: Any) -> None:
        """Deliver through `hub` from now on.

        Called again after each reconnection: a hub that failed has forgotten whom it listened to.
        A bell it did not hear still rings.
        """
        self._hub = hub
        hub.add_reader(self._ear, self.deliver)

    def post(self, function: Callable[..., Any], *args: Any) -> None:
        """Have `function(*args)` run on the hub's thread.

        A transport without a hub (memory, file system) has no I/O worth another thread: there it
        runs here and now.
        """
        self._posts.append((function, args))
        if self._hub is None:
            self.deliver()
        elif not self._rung:
            self.ring()

    def deliver(self) -> None:
        """Run everything posted. An error in one post is logged and does not keep the others."""
        with suppress(OSError):
            self._ear.recv(64)
        # After emptying the ear: a bell rung in between would be lost with the flag still up.
        self._rung = False
        while self._posts:
            try:
                function, args = self._posts.popleft()
            except IndexError:  # somebody else took the last one
                return
            try:
                function(*args)
            except Exception:
                log.exception("celery_callback_failed")

    def ring(self) -> None:
        """Wake the hub. Safe in signal handlers."""
        self._rung = True
        with suppress(OSError):  # full: it rings already
            self._bell.send(b"\0")

    def close(self) -> None:
        """Deliver what is left; the hub listens no more."""
        self.deliver()
        if self._hub is not None:
            self._hub.remove_reader(self._ear)
            self._hub = None
        self._ear.close()
        self._bell.close()
