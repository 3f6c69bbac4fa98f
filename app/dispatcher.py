"""The dispatcher: wakes due rows, wakes again what was lost, rescues, expires. One `tick` a round.
It also begins the turns of chats that have waited for the one before them.

Every worker runs one, without a leader: rows are taken so that doubled dispatching is harmless. It
fills each queue up to its window and no further, in fair order between callers, so that a hundred
thousand jobs of one caller do not bury another's one, and order is decided late.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import structlog
from sqlalchemy import select

from app import lifecycle, statistics
from app.errors import Unavailable
from app.lifecycle import Due, Ended
from app.lifecycle.control import lift_elapsed_pauses
from app.queue import Wake, short_name
from app.runtime import Runtime
from models import LLMOutput, Queue, Recovered, Status

log = structlog.get_logger(__name__)

SWEEP_SECONDS = 2.0
"""How often leases and deadlines are looked at; the queues are looked at every tick."""

PRUNE_SECONDS = 600.0

FORGET_SECONDS = 2.0
"""How soon the next step of forgetting follows one that found something."""

STATISTICS_SECONDS = 5.0
"""How often what has happened is counted; sooner while there is more than one round counts."""

BUSY_SECONDS = 0.2
"""The pace while more rows wait than the queues have room for."""

AGED_SHARE = 0.5
"""The part of a queue's window that rows lifted into it may fill."""

RETURN_SECONDS = 3.0
"""How long workers take to notice that the database is back (a writer looks every 2 seconds)."""


class Dispatcher:
    """Call `tick()` for ever, waiting the seconds it returns in between."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._settings = runtime.settings
        self._last: dict[str, float] = {}
        self._rescues_after = 0.0
        self._forget_again_seconds = 0.0

    def tick(self) -> float:
        """One round; returns the seconds until the next.

        Raises Unavailable when the database is away (the caller logs it and goes on).
        """
        started = time.monotonic()
        try:
            self._do_chores()
            self._begin_turns()
            busy = self._fill_queues()
            if self._is_time_for("statistics", STATISTICS_SECONDS):
                self._count()
        except Unavailable:
            self._rescues_after = float("inf")
            raise
        every = self._settings.dispatch_seconds
        pace = min(BUSY_SECONDS, every) if busy else every
        return max(0.05, pace - (time.monotonic() - started))

    def _do_chores(self) -> None:
        if self._is_time_for("sweep", SWEEP_SECONDS):
            self._sweep()
        if self._is_time_for("prune", PRUNE_SECONDS):
            self._prune()
        if self._is_time_for("forget", self._forget_again_seconds):
            self._forget()

    def _sweep(self) -> None:
        """Expire, rescue, lift pauses; then tell Flower and waiters."""
        rescues = self._holders_had_time()
        with self._runtime.database.write() as session:
            lift_elapsed_pauses(session)
            expired = list(lifecycle.expire(session).values())
            rescued = list(lifecycle.rescue(session).values()) if rescues else []
            statistics.note_recoveries(session, _recovered(expired, rescued))
        self._keep_seen(rescued)
        self._report(expired, rescued)

    def _holders_had_time(self) -> bool:
        """After the database was away every lease is over at once, though the workers live: what
        they have finished meanwhile is worth a moment's waiting.
        """
        now = time.monotonic()
        if self._rescues_after == float("inf"):
            self._rescues_after = now + self._settings.heartbeat_seconds + RETURN_SECONDS
        return now >= self._rescues_after

    def _keep_seen(self, rescued: Sequence[Ended]) -> None:
        """What people had seen of a lost worker's answers is where they read it: so it is kept,
        before anybody begins anew.
        """
        seen = self._runtime.events.texts_so_far([row.job_id for row in rescued])
        if seen:
            outputs = {row.job_id: row.output_id for row in rescued}
            with self._runtime.database.write() as session:
                lifecycle.keep_seen(session, {outputs[job_id]: t for job_id, t in seen.items()})

    def _report(self, expired: Sequence[Ended], rescued: Sequence[Ended]) -> None:
        for row in expired:
            log.warning("job expired", output_id=row.output_id, job_id=row.job_id)
        for row in rescued:
            log.warning(
                "job rescued", output_id=row.output_id, job_id=row.job_id, status=row.status
            )
        self._tell_flower(expired, rescued)
        self._runtime.events.announce([*expired, *rescued])

    def _tell_flower(self, expired: Sequence[Ended], rescued: Sequence[Ended]) -> None:
        """A task of a dead worker would be shown as started for ever.

        Somebody else may end a rescued job before Flower hears that it waits; so look once more.
        """
        self._runtime.wake.tell([*expired, *rescued])
        waiting = [row.output_id for row in rescued if row.status == Status.PENDING]
        if waiting:
            self._runtime.wake.tell([row for row in self._as_they_are(waiting) if _ended(row)])

    def _as_they_are(self, output_ids: Sequence[int]) -> list[Ended]:
        columns = (LLMOutput.id, LLMOutput.job_id, LLMOutput.status)
        with self._runtime.database.read() as session:
            found = session.execute(select(*columns).where(LLMOutput.id.in_(output_ids)))
            return [Ended(row.id, row.job_id, row.status) for row in found]

    def _begin_turns(self) -> None:
        from app.chats import begin_waiting, give_titles, tell

        for output_id in begin_waiting(self._runtime):
            log.info("chat turn begun", output_id=output_id)
        for chat_id in give_titles(self._runtime):
            tell(self._runtime, chat_id)

    def _prune(self) -> None:
        from app.jobs import prune_idempotency_keys

        with self._runtime.database.write() as session:
            prune_idempotency_keys(session)
        with self._runtime.database.write() as session:
            statistics.prune(session)

    def _forget(self) -> None:
        """One step of what is too old; soon the next one, while there is more."""
        from app.retention import Keeping, forget

        keeping, done = Keeping.by(self._settings), None
        if not keeping.forever:
            with self._runtime.database.write() as session:
                done = forget(session, keeping)
        if done:
            log.info("forgotten", texts=done.texts, rows=done.rows, chats=done.chats)
        self._forget_again_seconds = FORGET_SECONDS if done else PRUNE_SECONDS

    def _count(self) -> None:
        """Fold what has happened into the statistics; look before writing, as in `_take`."""
        with self._runtime.database.read() as session:
            if not statistics.is_there_news(session):
                return
        with self._runtime.database.write() as session:
            if statistics.fold(session).behind:
                del self._last["statistics"]  # go on at the next tick

    def _fill_queues(self) -> bool:
        """Send due rows while the windows have room. Says whether more may be waiting than fitted.

        Nothing is taken while the broker is away, nor after it has failed.
        """
        depths = self._runtime.wake.depths()
        busy = False
        for queue in Queue if depths else ():
            room = self._settings.queue_window - depths[queue]
            due = self._take(queue, room) if room > 0 else []
            busy |= len(due) >= room
            if due and not self._send(due, self._wakes(queue, due, depths)):
                return False
        return busy

    def _take(self, queue: Queue, room: int) -> list[Due]:
        """Look before writing: an idle tick takes no write lock."""
        with self._runtime.database.read() as session:
            if not lifecycle.anything_due(
                session, queue, rewake_seconds=self._settings.rewake_seconds
            ):
                return []
        with self._runtime.database.write() as session:
            due = lifecycle.due_rows(
                session, queue, room=room, rewake_seconds=self._settings.rewake_seconds
            )
            lifecycle.mark_woken(session, [row.output_id for row in due])
            lost = sum(row.lost for row in due)
            statistics.note_recoveries(session, {Recovered.LOST_MESSAGE: lost})
        return due

    def _wakes(self, queue: Queue, due: Sequence[Due], depths: dict[str, int]) -> list[Wake]:
        """Their messages, counted into `depths`. Who has waited long goes one class higher, as far
        as that class can spare the room: a long backlog must not bury the jobs that are there by
        right.
        """
        above = class_above(queue)
        wakes = []
        for row in due:
            old = row.waited_seconds >= self._settings.ageing_seconds
            spare = depths[above] < self._settings.queue_window * AGED_SHARE
            wake = _wake(row, above if old and spare else queue)
            depths[wake.queue] += 1
            wakes.append(wake)
        return wakes

    def _send(self, due: Sequence[Due], wakes: Sequence[Wake]) -> bool:
        """Publish after the commit; what did not go out is due again at the next tick."""
        sent = self._runtime.wake.send(wakes)
        if sent < len(wakes):
            with self._runtime.database.write() as session:
                lifecycle.mark_unsent(session, [row.output_id for row in due[sent:]])
            return False
        return True

    def _is_time_for(self, chore: str, every_seconds: float) -> bool:
        now = time.monotonic()
        if now - self._last.get(chore, float("-inf")) < every_seconds:
            return False
        self._last[chore] = now
        return True


def _recovered(expired: Sequence[Ended], rescued: Sequence[Ended]) -> dict[Recovered, int]:
    """What a sweep did, each row by one reason."""
    poisoned = sum(row.status == Status.FAILED for row in rescued)
    return {
        Recovered.EXPIRED: len(expired),
        Recovered.POISONED: poisoned,
        Recovered.DEAD_WORKER: len(rescued) - poisoned,
    }


def _ended(row: Ended) -> bool:
    return Status(row.status).ended


def class_above(queue: Queue) -> Queue:
    """The next more urgent queue; the most urgent one has none above it."""
    order = list(Queue)
    return order[max(0, order.index(queue) - 1)]


def _wake(row: Due, queue: Queue) -> Wake:
    return Wake(
        output_id=row.output_id,
        job_id=row.job_id,
        queue=queue.value,
        template=short_name(row.template_name, row.prompt_name),
        model=row.model_name,
        tries=row.tries,
    )
