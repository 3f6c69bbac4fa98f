"""Which accepted rows this process wakes itself, and the waking after the commit.

A wake-up goes out at once only while its queue is short, nothing is paused, and its caller has no
older due job waiting unsent; all others wait in the table, where the dispatcher takes them in fair
order. So one caller's flood does not bury another's single job.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace

from sqlalchemy import literal, select
from sqlalchemy.orm import Session

from app import lifecycle
from app.errors import Unavailable
from app.lifecycle import NewJob
from app.lifecycle.guards import not_paused
from app.lifecycle.sweep import has_older_waiting
from app.queue import Wake, short_name
from app.runtime import Runtime
from models import LLMOutput

_NAMED_BY = 2000
"""Characters of a template its short name is made of: the dispatcher reads no more of it."""


def room_in_queues(runtime: Runtime, queues: Sequence[str]) -> dict[str, int]:
    """How many wake-ups each queue still takes; none while the broker is away.

    Asks the broker: no transaction may be open.
    """
    depths = {queue: runtime.wake.depth(queue) for queue in set(queues)}
    window = runtime.settings.queue_window
    return {q: 0 if depth is None else max(0, window - depth) for q, depth in depths.items()}


def choose(session: Session, jobs: Sequence[NewJob], room: Mapping[str, int]) -> list[NewJob]:
    """The same jobs, in order, each saying whether this process will wake it (`wake_now`).

    A job that stays behind keeps back the later ones of its caller and queue.
    """
    left = dict(room)
    chosen: list[NewJob] = []
    in_line: dict[tuple[int | None, str], bool] = {}
    open_gates: dict[tuple[str, str, str], bool] = {}
    for job in jobs:
        line = (job.user_id, job.queue)
        wakes = job.run_at is None and left[job.queue] > 0 and not in_line.get(line, False)
        if wakes and line not in in_line:
            in_line[line] = has_older_waiting(session, *line)
            wakes = not in_line[line]
        if wakes:
            gates = (job.queue, job.model_name, job.bucket)
            if gates not in open_gates:
                open_gates[gates] = nothing_paused(session, *gates)
            wakes = open_gates[gates]
        if wakes:
            left[job.queue] -= 1
        elif job.run_at is None:
            in_line[line] = True
        chosen.append(replace(job, wake_now=wakes))
    return chosen


def wake(runtime: Runtime, wakes: Sequence[Wake]) -> None:
    """Publish after the commit; what did not go out is left to the dispatcher's next tick."""
    sent = runtime.wake.send(wakes)
    for message in wakes[:sent]:
        runtime.wake.grew(message.queue, 1)
    if sent < len(wakes):
        try:
            with runtime.database.write() as session:
                lifecycle.mark_unsent(session, [message.output_id for message in wakes[sent:]])
        except Unavailable:
            return  # the rows are woken again when their message has led to nothing


def wake_of(output_id: int, job: NewJob | LLMOutput, *, tries: int = 0) -> Wake:
    """The message for a row: ids and names only."""
    return Wake(
        output_id=output_id,
        job_id=job.job_id,
        queue=job.queue,
        template=short_name(job.template_name[:_NAMED_BY], job.prompt_name),
        model=job.model_name,
        tries=tries,
    )


def nothing_paused(session: Session, queue: str, model: str, bucket: str) -> bool:
    """Whether neither the queue nor the model nor the provider's bucket is held back."""
    row = SimpleNamespace(queue=literal(queue), model_name=literal(model), bucket=literal(bucket))
    return session.scalar(select(not_paused(row))) is not False
