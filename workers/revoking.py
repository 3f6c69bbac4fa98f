"""Revoking a task *is* cancelling its job.

Celery remembers a revoked id for hours and swallows every later message of it; the row must agree.
"""

from __future__ import annotations

from typing import Any

import structlog
from celery import signals
from celery.worker import state
from sqlalchemy import select

from app import lifecycle
from app.errors import Unavailable
from app.lifecycle import Ended
from app.queue import TASK_NAME
from app.runtime import Runtime
from models import LLMOutput, Status

log = structlog.get_logger(__name__)


def cancel_revoked(runtime: Runtime) -> None:
    """From now on a revoked job task cancels its row."""

    @signals.task_revoked.connect(weak=False)  # type: ignore[untyped-decorator]
    def on_revoked(
        sender: Any = None, request: Any = None, expired: bool = False, **_: Any
    ) -> None:
        if getattr(sender, "name", "") != TASK_NAME or request is None:
            return
        if expired:  # no message of ours expires: somebody forged it, and nobody was asked
            state.revoked.discard(request.id)
            return
        try:
            _cancel(runtime, str(request.id))
        except Unavailable:
            log.error("revoked job not cancelled: the database is away", job_id=request.id)


def _cancel(runtime: Runtime, job_id: str) -> None:
    with runtime.database.write() as session:
        found = session.execute(select(LLMOutput.id).where(LLMOutput.job_id == job_id)).first()
        asked = lifecycle.cancel(session, [found.id]) if found else {}
    for row in asked.values():
        if row.status == Status.CANCELLED:
            runtime.events.announce([Ended(row.output_id, row.job_id, row.status)])
        else:
            runtime.events.ask_cancel([row.output_id])
    log.info("job revoked", job_id=job_id, found=bool(asked))
