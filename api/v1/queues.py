"""Queues and workers now, and holding back a queue or a model."""

from __future__ import annotations

from typing import Any

from api.auth import ADMINISTRATOR, scope
from api.replies import Reply
from api.routing import Answer, Call, Routes
from api.schemas.common import Empty
from api.schemas.operations import PauseBody, Paused, Queues, WorkerShown
from app import operations, queues
from app.jobs import Counted
from app.operations import Operations, Pause, QueuePicture, WorkerPicture
from models import ControlKind, Scope

routes = Routes("/api/v1", tag="operations")

_PAUSED = {200: Answer(description="It is held back; what runs goes on.", model=Paused)}
_RESUMED = {200: Answer(description="It goes on.", model=Paused)}


@routes.get(
    "/queues",
    access=scope(Scope.OPS_READ),
    answers={200: Answer(description="Counted from rows, now.", model=Queues)},
)
def list_queues(call: Call[Empty, Empty]) -> Reply:
    """Show the queues, what is paused, the workers, and where rows and broker disagree.

    A count that ends at 10,000 is marked by its name among `capped`.
    """
    return Reply(body=_shown(operations.picture(call.runtime, call.caller)))


@routes.post("/queues/<queue>/pause", access=ADMINISTRATOR, body=PauseBody, answers=_PAUSED)
def pause_queue(call: Call[PauseBody, Empty], queue: str) -> Reply:
    """Hold back a queue, for some time or until it is resumed."""
    return _do_pause(call, ControlKind.QUEUE, queue)


@routes.post("/queues/<queue>/resume", access=ADMINISTRATOR, answers=_RESUMED)
def resume_queue(call: Call[Empty, Empty], queue: str) -> Reply:
    """Let a queue go on."""
    return _do_resume(call, ControlKind.QUEUE, queue)


@routes.post("/models/<path:model>/pause", access=ADMINISTRATOR, body=PauseBody, answers=_PAUSED)
def pause_model(call: Call[PauseBody, Empty], model: str) -> Reply:
    """Hold back the jobs that ask for a model, for some time or until it is resumed."""
    return _do_pause(call, ControlKind.MODEL, model)


@routes.post("/models/<path:model>/resume", access=ADMINISTRATOR, answers=_RESUMED)
def resume_model(call: Call[Empty, Empty], model: str) -> Reply:
    """Let the jobs that ask for a model go on."""
    return _do_resume(call, ControlKind.MODEL, model)


def _do_pause(call: Call[PauseBody, Empty], kind: ControlKind, name: str) -> Reply:
    with call.runtime.database.write() as session:
        queues.pause(session, call.caller, kind, name, **call.body.model_dump())
    return Reply(body={"kind": kind, "name": name, "paused": True})


def _do_resume(call: Call[Empty, Empty], kind: ControlKind, name: str) -> Reply:
    with call.runtime.database.write() as session:
        queues.resume(session, call.caller, kind, name)
    return Reply(body={"kind": kind, "name": name, "paused": False})


def _shown(picture: Operations) -> dict[str, Any]:
    return {
        "taken_at": picture.taken_at,
        "queues": [_queue(queue) for queue in picture.queues],
        "pauses": [_pause(pause) for pause in picture.pauses],
        "workers": [_worker(worker) for worker in picture.workers],
        "dispatcher": {
            "last_tick_seconds_ago": picture.dispatching.last_tick_seconds_ago,
            "stalled": picture.dispatching.stalled,
        },
        "finished_since": picture.finished_since,
        "disagreements": list(picture.disagreements),
    }


def _queue(queue: QueuePicture) -> dict[str, Any]:
    counts: dict[str, Counted] = {
        "ready": queue.ready,
        "scheduled": queue.scheduled,
        "running": queue.processing,
    }
    pause = queue.pause
    return {
        "name": queue.name,
        **{name: counted.count for name, counted in counts.items()},
        "capped": [name for name, counted in counts.items() if counted.capped],
        "messages": queue.messages,
        "oldest_wait_seconds": queue.oldest_wait_seconds,
        "finished_per_minute": list(queue.finished_per_minute),
        "paused": pause is not None,
        "paused_since": pause and pause.since,
        "paused_until": pause and pause.until,
        "reason": pause and pause.reason,
    }


def _pause(pause: Pause) -> dict[str, Any]:
    return {
        "kind": pause.kind,
        "name": pause.name,
        "reason": pause.reason,
        "paused_since": pause.since,
        "paused_until": pause.until,
    }


def _worker(worker: WorkerPicture) -> dict[str, Any]:
    columns = [name for name in WorkerShown.model_fields if name not in ("state", "output_ids")]
    shown = {name: getattr(worker, name) for name in columns}
    return {**shown, "state": worker.liveness, "output_ids": list(worker.output_ids)}
