"""Queues, workers and dispatchers as they are now; pausing, resuming, and retrying what failed.

The numbers are `app.operations`'. The page asks for its own board again while it is open.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Response

from api.web import api_calls, render
from api.web.pages import Audience, Pages
from api.web.sparkline import by_five, per_minute
from api.web.visit import Visit
from app import operations
from app import queues as controls
from app.errors import InvalidParameter, NotFound, RequestError
from app.jobs import Filters, bulk
from app.jobs.sentences import about
from models import ControlKind, Queue

pages = Pages()

WINDOW_HOURS = 24
LENGTHS = (
    ("", "until somebody resumes it"),
    ("900", "for 15 minutes"),
    ("3600", "for an hour"),
    ("28800", "for 8 hours"),
    ("86400", "for a day"),
)
LONGEST_REASON = 500


@pages.get("/queues", Audience.ADMINISTRATORS)
def queues(visit: Visit) -> Response:
    """The whole picture; without its frame where the page asks for it again."""
    picture = operations.picture(visit.runtime, visit.caller)
    with visit.runtime.database.read() as session:
        failed = operations.failures(session, visit.caller, hours=WINDOW_HOURS, all_users=True)
        recovered = operations.recovered(session)
    lines = {
        one.name: per_minute(one.finished_per_minute, "jobs completed") for one in picture.queues
    }
    facts: dict[str, Any] = {
        "picture": picture,
        "failed": failed,
        "recovered": recovered,
        "lines": lines,
        "by_five": [by_five(one.finished_per_minute) for one in picture.queues],
        "window_hours": WINDOW_HOURS,
        "calls": api_calls.of_address(visit.base_url, "/api/v1/queues"),
    }
    if visit.wants_fragment:
        return visit.fragment("queues/board.html", **facts)
    return visit.page("queues/page.html", **facts)


@pages.get("/platform-health")
def platform_health(visit: Visit) -> Response:
    """The banner alone, for pages that ask for it again."""
    return visit.fragment("parts/health.html", health_refresh=True)


@pages.get("/queues/pause", Audience.ADMINISTRATORS)
def ask_pause(visit: Visit) -> Response:
    """Why and for how long."""
    return _ask_pause(visit)


@pages.post("/queues/pause", Audience.ADMINISTRATORS)
def pause(visit: Visit) -> Response:
    """Hold back a queue or a model; what runs goes on."""
    form = visit.form
    name = form.get("name", "").strip()
    try:
        kind = _pausable(form.get("kind", ""))
        _require_name(name)
        seconds, reason = _seconds(form.get("seconds", "")), _reason(form.get("reason", ""))
        with visit.runtime.database.write() as session:
            controls.pause(session, visit.caller, kind, name, seconds=seconds, reason=reason)
    except RequestError as refusal:
        return _ask_pause(visit, refusal=refusal, status=refusal.status)
    return visit.go(render.address("queues"), said=f"The {kind} {name} is paused.")


@pages.post("/queues/resume", Audience.ADMINISTRATORS)
def resume(visit: Visit) -> Response:
    """Let a queue, a model or a provider's bucket go on."""
    name = visit.form.get("name", "")
    kind = _kind(visit.form.get("kind", ""), *ControlKind)
    with visit.runtime.database.write() as session:
        lifted = controls.resume(session, visit.caller, kind, name)
    said = f"{name} goes on." if lifted else f"{name} was not paused."
    return visit.go(render.address("queues"), said=said)


@pages.get("/queues/failed/<code>", Audience.ADMINISTRATORS)
def ask_retry(visit: Visit, code: str) -> Response:
    """How many jobs would run again, counted now."""
    filters = _failed_with(code)
    with visit.runtime.database.read() as session:
        counted = bulk.count_retryable(session, visit.caller, filters)
    return visit.page(
        "queues/retry.html",
        code=code,
        words=about(code),
        counted=counted,
        most=bulk.MOST,
        hours=WINDOW_HOURS,
    )


@pages.post("/queues/failed/<code>", Audience.ADMINISTRATORS)
def retry_all(visit: Visit, code: str) -> Response:
    """Run them again, each once."""
    done = bulk.retry_failed(visit.runtime, visit.caller, filters=_failed_with(code))
    return visit.go(render.address("queues"), said=_told(done))


def _ask_pause(visit: Visit, *, refusal: RequestError | None = None, status: int = 200) -> Response:
    asked = visit.form if refusal else visit.query
    kind = _pausable(asked.get("kind", "")) if not refusal else asked.get("kind", "")
    return visit.page(
        "queues/pause.html",
        status=status,
        kind=kind if kind in (ControlKind.QUEUE, ControlKind.MODEL) else ControlKind.MODEL,
        name=asked.get("name", "")[: controls.LONGEST_NAME],
        queues=[(queue.value, queue.value) for queue in Queue],
        lengths=LENGTHS,
        given=asked,
        refusal=refusal,
    )


def _pausable(word: str) -> ControlKind:
    """A queue or a model; a bucket is paused by its provider's word alone."""
    return _kind(word, ControlKind.QUEUE, ControlKind.MODEL)


def _kind(word: str, *kinds: ControlKind) -> ControlKind:
    if word not in kinds:
        raise NotFound(f"Nothing of this kind can be paused: {word[:40]}")
    return ControlKind(word)


def _require_name(name: str) -> None:
    if not name:
        raise InvalidParameter("Say which", pointer="/name")


def _seconds(text: str) -> float | None:
    if text not in dict(LENGTHS):
        raise InvalidParameter("Choose one of the lengths offered", pointer="/seconds")
    return float(text) if text else None


def _reason(text: str) -> str:
    if len(text) > LONGEST_REASON:
        raise InvalidParameter(f"Write at most {LONGEST_REASON} characters", pointer="/reason")
    return text.strip()


def _failed_with(code: str) -> Filters:
    """Everybody's jobs of the window that failed with a code."""
    since = datetime.now(UTC) - timedelta(hours=WINDOW_HOURS)
    return Filters(error_code=code, created_after=since, all_users=True)


def _told(done: bulk.ReRuns) -> str:
    count, left = len(done.accepted), len(done.skipped)
    said = f"{count:,} {'job runs' if count == 1 else 'jobs run'} again."
    if not count:
        said = "Nothing was left to run again."
    if left:
        said += f" {left:,} could not: {done.skipped[0].detail}"
    return said + (" There are more: press again." if done.more else "")
