"""The text a model is writing, gathered, and sent on in pieces worth sending."""

from __future__ import annotations

import time

from app.streaming import Events

FLUSH_SECONDS = 0.05
FLUSH_CHARACTERS = 64


class LiveText:
    """What has arrived of one job's answer. Sends `delta` events while somebody listens; `always`
    for whoever comes later, too.

    A delta is `{attempt, offset, text}`: the offset in characters shows a reader a gap or a
    repetition. A further call of the same job starts with a `reset`.
    """

    def __init__(self, events: Events, job_id: str) -> None:
        self._events = events
        self._job_id = job_id
        self.always = False
        self._pieces: list[str] = []
        self._pending: list[str] = []
        self._pending_length = 0
        self._offset = 0
        self._attempt = 0
        self._flushed_at = 0.0

    @property
    def wanted(self) -> bool:
        """Is the text worth telling?"""
        return self.always or self._events.listened(self._job_id)

    @property
    def text(self) -> str:
        """Everything that has arrived in the current call."""
        return "".join(self._pieces)

    def begin(self, attempt: int) -> None:
        """A call starts; what an earlier one wrote is void."""
        if (self._pieces or attempt > 1) and self.wanted:
            self._events.tell(self._job_id, "reset", {"attempt": attempt})
        self._pieces, self._pending = [], []
        self._pending_length = self._offset = 0
        self._attempt = attempt

    async def add(self, text: str) -> None:
        """A piece arrived."""
        self._pieces.append(text)
        self._pending.append(text)
        self._pending_length += len(text)
        due = time.monotonic() - self._flushed_at >= FLUSH_SECONDS
        if due or self._pending_length >= FLUSH_CHARACTERS:
            self.flush()

    def flush(self) -> None:
        """Send what has gathered."""
        self._flushed_at = time.monotonic()
        if not self._pending:
            return
        text = "".join(self._pending)
        if self.wanted:
            data = {"attempt": self._attempt, "offset": self._offset, "text": text}
            self._events.tell(self._job_id, "delta", data)
        self._offset += len(text)
        self._pending, self._pending_length = [], 0
