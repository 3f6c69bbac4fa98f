"""Celery's view of the deliveries: what it is told of each, and when. On the hub's thread only.

Its `Request` already knows how to be accepted, to succeed, to fail, to be retried and to be
revoked, with its events, acknowledgement and bookkeeping; here an end is only translated to that.
"""

from __future__ import annotations

from celery.exceptions import Ignore, Retry, Terminated
from celery.worker import state

from workers.pool.delivery import Delivery, End, Outcome

_SIGTERM = "15"


class WorkerStopped(Exception):
    """Why a task that was cut by a shutdown is shown as retried: its row is done elsewhere."""


class Later(Exception):
    """The words of a Retry that was raised without an exception of its own."""


class Failure:
    """What Celery's callbacks read of an ExceptionInfo: the exception, and no traceback."""

    traceback = ""
    exc_info = None
    internal = False

    def __init__(self, exception: BaseException | None) -> None:
        self.exception = exception


class Reception:
    """The deliveries inside, by the numbers and names Celery knows them by."""

    def __init__(self) -> None:
        self.accepted_total = 0
        self._inside: dict[int, Delivery] = {}
        self._accepted: dict[str, Delivery] = {}

    def admit(self, delivery: Delivery) -> None:
        """It has come in."""
        self._inside[delivery.pid] = delivery

    def find(self, pid: int | None) -> Delivery | None:
        """The delivery that stands for the process `pid`."""
        return self._inside.get(pid) if pid else None

    def accepted(self, delivery: Delivery) -> None:
        """Its work has begun: acknowledged, and shown as started."""
        self.accepted_total += 1
        self._accepted[delivery.id] = delivery
        delivery.callbacks.accepted(delivery.pid, delivery.accepted_at)

    def ended(self, delivery: Delivery, outcome: Outcome) -> None:
        """It has left."""
        del self._inside[delivery.pid]
        try:
            self._report(delivery, outcome)
        finally:
            self._keep_its_twin(delivery)

    def _report(self, delivery: Delivery, outcome: Outcome) -> None:
        request, tell = delivery.request, delivery.callbacks
        match outcome.end:
            case End.SUCCEEDED:
                tell.succeeded((0, outcome.result, outcome.runtime))
            case End.TRACED:
                tell.succeeded(outcome.result)
            case End.FAILED:
                tell.succeeded((1, Failure(outcome.error), outcome.runtime))
            case End.RETRIED:
                tell.failed(Failure(_with_reason(outcome.error)))
            case End.REVOKED:
                request.revoked()
            case End.TERMINATED if not state.should_terminate:
                tell.failed(Failure(Terminated(_SIGTERM)))
            case End.TERMINATED | End.INTERRUPTED if delivery.accepted_at:
                tell.failed(Failure(Retry(exc=WorkerStopped("the worker stopped"))))
            case End.IGNORED:
                tell.failed(Failure(Ignore()))
            case _:
                # Never begun, as far as anybody knows. Not acknowledged: the broker may have it.
                state.task_ready(request)

    def _keep_its_twin(self, delivery: Delivery) -> None:
        """Celery files requests by task id, and the end of a duplicate removes whichever is filed.

        Without its entry the one that works could not be found to be terminated.
        """
        twin = self._accepted.get(delivery.id)
        if twin is delivery:
            del self._accepted[delivery.id]
        elif twin:
            state.requests[delivery.id] = twin.request


def _with_reason(retry: BaseException | None) -> BaseException | None:
    """Celery shows the exception inside a Retry, and None without one; so its words go there."""
    return retry if getattr(retry, "exc", None) else Retry(exc=Later(str(retry)))
