"""`Events`: what changed, told and heard; the one object the rest of the house holds."""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import redis
import structlog
from sqlalchemy import select

from app.db import Database
from app.errors import Unavailable
from app.lifecycle import Ended
from app.streaming.feed import Feed
from app.streaming.listener import Listener
from app.streaming.publisher import Publisher
from app.streaming.wire import CANCEL, CHANGES, LISTEN, LIVE, connect, stream_of
from models import ENDED, LLMOutput, Status

log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0
"""How often awaited rows are looked up while no news can be heard …"""

LOOK_ANYWAY_SECONDS = 5.0
"""… and while they can: news may be lost."""


LISTEN_SECONDS = 10.0
"""How often a follower says that it listens: the worker may be a new one, or Redis was away."""


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One event of a job. `id` orders it in the job's stream; empty for news that is not kept."""

    id: str
    event: str
    data: dict[str, Any]


class Events:
    """Tells other processes of changes and hears of theirs. Safe to share between threads."""

    def __init__(self, redis_url: str, database: Database) -> None:
        self._database = database
        self._redis = connect(redis_url, timeout_seconds=0.5)
        self._publisher = Publisher(redis_url)
        self._listener = Listener(redis_url)
        self._lock = threading.Lock()
        self._waiters: dict[str, list[threading.Event]] = {}
        self._followers: dict[str, list[queue.SimpleQueue[StreamEvent]]] = {}
        self._listened: dict[str, float] = {}
        self._looker: threading.Thread | None = None
        self._closed = threading.Event()
        self.feed = Feed(database, listen=self._serve_web, hearing=self.hearing)

    # Telling

    def announce(self, changes: Sequence[Ended]) -> None:
        """Rows moved (after the commit). Never waits, never raises."""
        if changes:
            facts = [(c.output_id, c.job_id, c.status) for c in changes]
            self._publisher.publish(CHANGES, facts)
            self._hear_changes(facts)

    def ask_cancel(self, output_ids: Sequence[int]) -> None:
        """Ask whichever workers hold these rows to close their calls."""
        self._publisher.publish(CANCEL, list(output_ids))

    def tell(self, job_id: str, event: str, data: dict[str, Any]) -> None:
        """An event of a job, for whoever follows it now or comes back within ten minutes."""
        self._publisher.append(job_id, event, data)

    # Hearing, in a worker

    def serve_worker(self, *, on_cancel: Callable[[list[int]], None]) -> None:
        """Hear cancels, and which jobs somebody listens to."""
        self._listener.on(CANCEL, on_cancel)
        self._listener.on(LISTEN, self._note_listened)
        self._listener.start()

    def listened(self, job_id: str) -> bool:
        """Did somebody ask for this job's text lately?"""
        until = self._listened.get(job_id)
        return until is not None and until > time.monotonic()

    # Hearing, in the web

    def listen(self, job_id: str) -> None:
        """Say that somebody listens to this job: its worker streams from its next call on."""
        self._publisher.publish(LISTEN, job_id)

    def wait_ended(self, job_ids: Sequence[str], timeout_seconds: float) -> None:
        """Return when one of the jobs has ended, or after the time-out. Read the rows then.

        An end that came before is noticed at once; one whose news is lost within seconds, by one
        query for all waiters of the process.
        """
        self._serve_web()
        ended = threading.Event()
        with self._lock:
            for job_id in job_ids:
                self._waiters.setdefault(job_id, []).append(ended)
        try:
            if not self._ended_among(job_ids):
                ended.wait(timeout_seconds)
        finally:
            with self._lock:
                for job_id in job_ids:
                    _remove(self._waiters, job_id, ended)

    def follow(
        self, job_id: str, after: str = "0-0", *, keepalive_seconds: float = 10
    ) -> Iterator[StreamEvent]:
        """Events of a job after a stream id, then as they come; `keepalive` when nothing does.

        Endless: the reader stops at the job's end. Status changes come as `status` events without
        an id of their own, from the news or from looking the row up.
        """
        self._serve_web()
        inbox: queue.SimpleQueue[StreamEvent] = queue.SimpleQueue()
        with self._lock:
            self._followers.setdefault(job_id, []).append(inbox)
        try:
            self.listen(job_id)
            last = after
            for event in self._kept(job_id, after):
                last = event.id
                yield event
            for output_id, _, status in self._ended_among([job_id]):
                yield StreamEvent("", "status", {"output_id": output_id, "status": status})
            yield from self._as_they_come(job_id, inbox, last, keepalive_seconds)
        finally:
            with self._lock:
                _remove(self._followers, job_id, inbox)

    def texts_so_far(self, job_ids: Sequence[str]) -> dict[str, str]:
        """What followers of jobs have seen of their newest answers, by job; none of those nobody
        followed, and none without Redis. One question for all of them.
        """
        if not job_ids:
            return {}
        asking = self._redis.pipeline(transaction=False)
        for job_id in job_ids:
            asking.xrange(stream_of(job_id))
        try:
            kept = asking.execute()
        except redis.RedisError:
            return {}
        texts = (_text(map(_event, entries)) for entries in kept)
        return {job_id: text for job_id, text in zip(job_ids, texts, strict=True) if text}

    def hearing(self) -> bool:
        """Is live news available? (Redis is there and we are subscribed.)"""
        return self._listener.hearing

    def close(self) -> None:
        """Send what waits and stop the threads."""
        self._closed.set()
        self.feed.close()
        self._listener.close()
        self._publisher.close()
        if self._looker is not None:
            self._looker.join(timeout=3)
        self._redis.close()

    # Inside

    def _as_they_come(
        self,
        job_id: str,
        inbox: queue.SimpleQueue[StreamEvent],
        last: str,
        keepalive_seconds: float,
    ) -> Iterator[StreamEvent]:
        listening_since = time.monotonic()
        while not self._closed.is_set():
            try:
                event = inbox.get(timeout=keepalive_seconds)
            except queue.Empty:
                event = StreamEvent("", "keepalive", {})
            if time.monotonic() - listening_since > LISTEN_SECONDS:
                self.listen(job_id)
                listening_since = time.monotonic()
            if event.id and not _later(event.id, last):
                continue
            last = event.id or last
            yield event

    def _kept(self, job_id: str, after: str) -> list[StreamEvent]:
        try:
            entries: Any = self._redis.xrange(stream_of(job_id), min=f"({after}")
        except redis.RedisError:
            return []
        return list(map(_event, entries))

    def _serve_web(self) -> None:
        with self._lock:
            if self._looker is not None:
                return
            self._looker = threading.Thread(
                target=self._look_for_ends, name="llm-jobs-looker", daemon=True
            )
            self._listener.on(CHANGES, self._hear_changes)
            self._listener.on(LIVE, self._hear_live)
            self._looker.start()
        self._listener.start()

    def _hear_changes(self, facts: Sequence[Sequence[Any]]) -> None:
        self.feed.hear(facts)
        for output_id, job_id, status in facts:
            with self._lock:
                followers = list(self._followers.get(job_id, ()))
                waiters = list(self._waiters.get(job_id, ())) if status in ENDED else []
            for inbox in followers:
                inbox.put(StreamEvent("", "status", {"output_id": output_id, "status": status}))
            for ended in waiters:
                ended.set()

    def _hear_live(self, message: dict[str, Any]) -> None:
        with self._lock:
            followers = list(self._followers.get(message["job"], ()))
        if followers:
            data = json.loads(message["data"])
            for inbox in followers:
                inbox.put(StreamEvent(message["id"], message["event"], data))

    def _note_listened(self, job_id: str) -> None:
        now = time.monotonic()
        self._listened[job_id] = now + 120
        if len(self._listened) > 10_000:
            self._listened = {j: until for j, until in self._listened.items() if until > now}

    def _look_for_ends(self) -> None:
        """Once for all waiters of this process: news may be lost, rows are not."""
        looked = 0.0
        while not self._closed.wait(LOOK_SECONDS):
            every = LOOK_ANYWAY_SECONDS if self._listener.hearing else LOOK_SECONDS
            with self._lock:
                awaited = [*self._waiters, *self._followers]
            if awaited and time.monotonic() - looked >= every - 0.01:
                looked = time.monotonic()
                self._hear_changes(self._ended_among(awaited))

    def _ended_among(self, job_ids: Sequence[str]) -> list[tuple[int, str, str]]:
        ends = [status.value for status in Status if status.ended]
        found: list[tuple[int, str, str]] = []
        try:
            with self._database.read() as session:
                for start in range(0, len(job_ids), 500):
                    query = select(LLMOutput.id, LLMOutput.job_id, LLMOutput.status).where(
                        LLMOutput.job_id.in_(job_ids[start : start + 500]),
                        LLMOutput.status.in_(ends),
                    )
                    found.extend((i, j, s) for i, j, s in session.execute(query))
        except Unavailable:
            log.warning("awaited rows not looked up: the database is away")
        return found


def _event(entry: tuple[str, dict[str, str]]) -> StreamEvent:
    id, fields = entry
    return StreamEvent(id, fields["e"], json.loads(fields["d"]))


def _text(events: Iterable[StreamEvent]) -> str:
    text = ""
    for event in events:
        if event.event == "reset":
            text = ""
        elif event.event == "delta":
            text = text[: int(event.data["offset"])] + str(event.data["text"])
    return text


def _remove(table: dict[str, list[Any]], key: str, item: Any) -> None:
    items = table.get(key, [])
    if item in items:
        items.remove(item)
    if not items:
        table.pop(key, None)


def _later(stream_id: str, than: str) -> bool:
    """Is one stream id after another? `1700000000000-5`: milliseconds, then a counter."""
    return _parts(stream_id) > _parts(than)


def _parts(stream_id: str) -> tuple[int, int]:
    milliseconds, _, number = stream_id.partition("-")
    return int(milliseconds), int(number or 0)
