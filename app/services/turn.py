"""One answer as a job that somebody waits for: begun, followed, given up when nobody waits.

It is a job like any: rescued, counted, in the list of outputs. But whoever asked holds a line open.
So it goes before others, is tried again once at most and only soon, and a provider that says "slow
down" ends it at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.orm import Session

from app import jobs
from app.accounts import OPERATOR, Caller
from app.errors import Conflict
from app.jobs.meaning import find_route
from app.jobs.submit import accept
from app.jobs.waking import nothing_paused
from app.lifecycle import NewJob
from app.lifecycle.control import pauses
from app.prompts.chat import beside, chat_script
from app.providers.contract import ANSWER_CUT, Message
from app.runtime import Runtime
from app.services.problems import ServiceError, no_model, of_failure, paused, rate_limit
from models import ENDED, ControlKind, Format, LLMOutput, Queue, Status

MOST_TRIES = 2
LONGEST_PAUSE_SECONDS = 10.0
"""Somebody waits: a retry later than this is none."""

_LOOK_SECONDS = 1.0
_AT_ONCE = ("rate_limited", "quota_exhausted", "overloaded")


@dataclass(frozen=True, slots=True)
class Told:
    """A piece of the answer, as it was written."""

    text: str


@dataclass(frozen=True, slots=True)
class Waits:
    """Nothing was said for a while."""


@dataclass(frozen=True, slots=True)
class Done:
    """The whole answer, and what was used for it."""

    text: str
    usage: dict[str, int]


class Turn:
    """A job that was begun for somebody who waits."""

    def __init__(self, runtime: Runtime, output_id: int, job_id: str) -> None:
        self._runtime = runtime
        self.output_id = output_id
        self.job_id = job_id

    @classmethod
    def begin(
        cls,
        runtime: Runtime,
        caller: Caller,
        messages: Sequence[Message],
        *,
        service: str,
        traceparent: str | None = None,
    ) -> Turn:
        """Accept the job. Raises what accepting raises, such as AllowanceUsedUp, Unavailable; and
        ServiceError without LLM_JOBS_CHAT_MODEL.
        """
        settings = runtime.settings
        if not settings.chat_model:
            raise no_model()
        route = find_route(settings, settings.chat_model)
        job = NewJob(
            template_name=f"service/{service}",
            model_name=settings.chat_model,
            max_tries=min(MOST_TRIES, settings.max_tries),
            max_age_seconds=settings.chat_turn_timeout_seconds,
            user_id=caller.user_id,
            format=Format.MARKDOWN,
            bucket=route.bucket,
            queue=Queue.HIGH,
            traceparent=traceparent,
            script=beside(chat_script(messages)),
        )
        (accepted,) = accept(runtime, caller, [job])
        return cls(runtime, accepted.output_id, accepted.job_id)

    def follow(self, *, stopping: Callable[[], bool]) -> Iterator[Told | Waits | Done]:
        """What is written, as it is written, then Done. Raises ServiceError for want of an answer.

        Closed before its end (the client has gone) it cancels the job.
        """
        seen, ended = 0, False
        try:
            yield Waits()
            events = self._runtime.events.follow(self.job_id, keepalive_seconds=_LOOK_SECONDS)
            looked = 0.0
            for news in events:
                if stopping():
                    raise of_failure("connection_failed")
                if news.event == "delta":
                    text = _unseen(news.data, seen)
                    seen += len(text)
                    if text:
                        yield Told(text)
                    continue
                if news.event == "reset" and seen:  # what was said cannot be taken back
                    raise of_failure("connection_failed")
                if news.event == "keepalive" and time.monotonic() - looked < _LOOK_SECONDS:
                    continue
                looked = time.monotonic()
                row = self._row()
                if row.status in ENDED:
                    ended = True
                    yield self._outcome(row)
                    return
                if (why := _hopeless(row)) is not None:
                    raise of_failure(why)
                if row.status == Status.PENDING:
                    self._refuse_paused(row)
                yield Waits()
        finally:
            if not ended:
                self.give_up()

    def give_up(self) -> None:
        """Nobody waits any more. Where it has ended meanwhile, that is all right."""
        with suppress(Conflict):
            jobs.cancel(self._runtime, OPERATOR, self.job_id)

    def _row(self) -> LLMOutput:
        with self._runtime.database.read() as session:
            return _read(session, self.output_id)

    def _refuse_paused(self, row: LLMOutput) -> None:
        """Raises ServiceError where the row is held back, by a provider's limit or by somebody."""
        with self._runtime.database.read() as session:
            if nothing_paused(session, row.queue, row.model_name, row.bucket):
                return
            kinds = {pause.kind for pause in pauses(session) if pause.name == row.bucket}
        raise rate_limit() if ControlKind.BUCKET in kinds else paused()

    def _outcome(self, row: LLMOutput) -> Done:
        if row.status != Status.COMPLETED:
            raise of_failure(
                "connection_failed" if row.status == Status.CANCELLED else row.error_code
            )
        if ANSWER_CUT in (row.warnings or []):
            raise of_failure("output_truncated")
        return Done(row.raw_response or "", _usage(row))


def _read(session: Session, output_id: int) -> LLMOutput:
    row = session.get_one(LLMOutput, output_id)
    session.expunge(row)
    return row


def _hopeless(row: LLMOutput) -> str | None:
    """Why a waiting row is not worth waiting for: its error code; None when it is."""
    if row.status != Status.PENDING or not row.error_code:
        return None
    pause = (row.run_at - datetime.now(UTC)).total_seconds()
    if row.error_code in _AT_ONCE or pause > LONGEST_PAUSE_SECONDS:
        return row.error_code
    return None


def _unseen(delta: dict[str, Any], seen: int) -> str:
    """The part of a piece that is new; offsets count characters."""
    return str(delta["text"])[max(0, seen - int(delta["offset"])) :]


def _usage(row: LLMOutput) -> dict[str, int]:
    """All calls of this turn, counted once."""
    cached = row.cached_tokens or 0
    return {
        "input_tokens": row.input_tokens or 0,
        "output_tokens": row.output_tokens or 0,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": cached,
    }


__all__ = ["Done", "ServiceError", "Told", "Turn", "Waits"]
