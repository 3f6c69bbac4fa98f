"""How providers answered lately, from the ledger of attempts; and a small job that tries one.

Nothing here calls a provider: everything that talks to a model is a job.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import audit, jobs
from app.accounts import Caller
from app.jobs import JobRequest, Submission
from app.operations.picture import Pause, read_pauses
from app.providers.registry import KnownModel, known_models
from app.runtime import Runtime
from models import Attempt, ControlKind, Outcome, Queue, Scope
from models.types import statement_now_plus

WINDOW_SECONDS = 3600
COUNTED_CALLS = 1_000
"""Calls of a model that are looked at, the newest first."""

MOST_MODELS = 200
TRIAL_SECONDS = 120
"""A trial that has no answer by then has failed: nobody looks at it any longer."""

_ANSWERED = (Outcome.COMPLETED, Outcome.CONTINUED)
_FAILED = (Outcome.RETRIED, Outcome.FAILED, Outcome.LOST)


@dataclass(frozen=True, slots=True)
class LastError:
    """The newest call that failed or was told to slow down."""

    code: str
    at: datetime
    output_id: int
    http_status: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelHealth:
    """A provider's model over the last hour. `name` is what a job asks for it by, if it is known.

    `calls` are answered, failed or rate-limited ones; `error_rate` is the failed part of those that
    were not told to slow down (None without any). Latencies are of answered calls, in seconds.
    `paused_until` is when the provider may be asked again; `capped`: only the newest
    `COUNTED_CALLS` are looked at.
    """

    provider: str
    model: str
    name: str | None
    configured: bool
    calls: int = 0
    failed: int = 0
    rate_limited: int = 0
    error_rate: float | None = None
    median_seconds: float | None = None
    p95_seconds: float | None = None
    last_error: LastError | None = None
    paused: bool = False
    paused_until: datetime | None = None
    capped: bool = False


def providers_health(runtime: Runtime, caller: Caller) -> list[ModelHealth]:
    """Every model that was called within the hour or is paused, then those merely known.

    Raises Forbidden without the scope `ops:read`, Unavailable.
    """
    caller.require(Scope.OPS_READ)
    known = {(one.provider, _bare(one)): one for one in known_models(runtime.settings)}
    with runtime.database.read() as session:
        paused = {
            pause.name: pause for pause in read_pauses(session) if pause.kind == ControlKind.BUCKET
        }
        calls = _calls_by_model(session)
    named = [tuple(name.split(":", 1)) for name in paused if ":" in name]
    keys = dict.fromkeys([*calls, *named, *known])
    return [
        _health(key, calls.get(key, []), known.get(key), paused.get(":".join(key)))  # type: ignore[arg-type]
        for key in keys
    ]


def try_provider(runtime: Runtime, caller: Caller, model: str) -> Submission:
    """Submit a tiny job to the queue `high` that asks a model for one word.

    It ends within two minutes, one way or the other. Raises Forbidden unless an administrator asks,
    and what `jobs.submit` raises (UnsupportedModel).
    """
    caller.require_administrator()
    request = JobRequest(
        template="Reply with the single word: ready",
        model=model,
        queue=Queue.HIGH,
        deadline=datetime.now(UTC) + timedelta(seconds=TRIAL_SECONDS),
        metadata={"purpose": "provider trial"},
    )
    submission = jobs.submit(runtime, caller, request)
    with runtime.database.write() as session:
        audit.record(
            session,
            caller,
            audit.Action.PROVIDER_TRIED,
            subject=f"model:{model}",
            details={"output_id": submission.output_id},
        )
    return submission


def _calls_by_model(session: Session) -> dict[tuple[str, str], list[Any]]:
    found: dict[tuple[str, str], list[Any]] = {}
    for model in _models_called(session):
        for call in _calls_of(session, model):
            found.setdefault((call.provider or "", model), []).append(call)
    return found


def _models_called(session: Session) -> Iterator[str]:
    """Every model the ledger knows, by one look at the index for each."""
    last = ""
    for _ in range(MOST_MODELS):
        following = session.scalar(
            select(Attempt.provider_model)
            .where(Attempt.provider_model > last)
            .order_by(Attempt.provider_model)
            .limit(1)
        )
        if following is None:
            return
        yield following
        last = following


def _calls_of(session: Session, model: str) -> Sequence[Any]:
    return session.execute(
        select(
            Attempt.provider,
            Attempt.outcome,
            Attempt.started_at,
            Attempt.duration_seconds,
            Attempt.error_code,
            Attempt.http_status,
            Attempt.output_id,
        )
        .where(
            Attempt.provider_model == model,
            Attempt.started_at > statement_now_plus(-WINDOW_SECONDS),
        )
        .order_by(Attempt.provider_model, Attempt.started_at.desc())
        .limit(COUNTED_CALLS + 1)
    ).all()


def _health(
    key: tuple[str, str], calls: Sequence[Any], known: KnownModel | None, pause: Pause | None
) -> ModelHealth:
    provider, model = key
    counted = calls[:COUNTED_CALLS]
    answered = [call for call in counted if call.outcome in _ANSWERED]
    failed = [call for call in counted if call.outcome in _FAILED]
    limited = [call for call in counted if call.outcome == Outcome.RATE_LIMITED]
    taken = sorted(call.duration_seconds for call in answered if call.duration_seconds is not None)
    tried = len(answered) + len(failed)
    return ModelHealth(
        provider=provider,
        model=model,
        name=known.name if known else None,
        configured=known.configured if known else bool(calls),
        calls=tried + len(limited),
        failed=len(failed),
        rate_limited=len(limited),
        error_rate=round(len(failed) / tried, 4) if tried else None,
        median_seconds=_quantile(taken, 0.5),
        p95_seconds=_quantile(taken, 0.95),
        last_error=_last_error([*failed, *limited]),
        paused=pause is not None,
        paused_until=pause.until if pause else None,
        capped=len(calls) > COUNTED_CALLS,
    )


def _last_error(calls: Sequence[Any]) -> LastError | None:
    newest = max(calls, key=lambda call: call.started_at, default=None)
    if newest is None:
        return None
    code = newest.error_code or str(newest.outcome)
    return LastError(code, newest.started_at, newest.output_id, newest.http_status)


def _quantile(ordered: Sequence[float], part: float) -> float | None:
    """The value that `part` of them do not exceed (nearest rank); None of nothing."""
    if not ordered:
        return None
    rank = max(0, -(-int(len(ordered) * part * 1000) // 1000) - 1)
    return round(ordered[min(rank, len(ordered) - 1)], 3)


def _bare(known: KnownModel) -> str:
    """A model's name as its provider knows it, which is what the ledger keeps."""
    return known.name.removeprefix(f"{known.provider}/")
