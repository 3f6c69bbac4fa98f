"""Queues and workers now, and holding back a queue or a model."""

from __future__ import annotations

from typing import Any

from api.auth import ADMINISTRATOR, scope
from api.replies import Reply
from api.routing import Answer, Call, Routes
from api.schemas.common import Empty
from api.schemas.operations import PauseBody, Paused, PauseShown, Queues, WorkerShown
from app import queues
from app.queues import QueueState, Worker
from models import ControlKind, QueueControl, Scope

routes = Routes("/api/v1", tag="operations")

_PAUSED = {200: Answer(description="It is held back; what runs goes on.", model=Paused)}
_RESUMED = {200: Answer(description="It goes on.", model=Paused)}


@routes.get(
    "/queues",
    access=scope(Scope.OPS_READ),
    answers={200: Answer(description="Counted from rows, now.", model=Queues)},
)
def list_queues(call: Call[Empty, Empty]) -> Reply:
    """Show the queues, what is paused, and the workers."""
    heartbeat_seconds = call.runtime.settings.heartbeat_seconds
    with call.runtime.database.read() as session:
        states = queues.queue_states(session, call.caller)
        paused = queues.other_pauses(session, call.caller)
        workers = queues.workers(session, call.caller, heartbeat_seconds=heartbeat_seconds)
    return Reply(
        body={
            "queues": [_queue(state, call.runtime.wake.depth(state.name)) for state in states],
            "pauses": [_pause(pause) for pause in paused],
            "workers": [_worker(worker) for worker in workers],
        }
    )


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


def _queue(state: QueueState, messages: int | None) -> dict[str, Any]:
    return {
        "name": state.name,
        "ready": state.ready,
        "scheduled": state.scheduled,
        "running": state.running,
        "messages": messages,
        "oldest_wait_seconds": state.oldest_wait_seconds,
        "paused": state.pause is not None,
        "paused_until": state.pause and state.pause.paused_until,
        "reason": state.pause and state.pause.reason,
    }


def _pause(pause: QueueControl) -> dict[str, Any]:
    return {name: getattr(pause, name) for name in PauseShown.model_fields}


def _worker(worker: Worker) -> dict[str, Any]:
    columns = [name for name in WorkerShown.model_fields if name != "alive"]
    return {**{name: getattr(worker.row, name) for name in columns}, "alive": worker.alive}
