"""What everybody should know of the platform's health, in the words of whoever looks.

Administrators read what is wrong; members read what it means for their jobs, without the names of
parts. No page fails because its banner cannot be made.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import structlog

from app.accounts import Caller
from app.operations import Notice, NoticeCode, health
from app.runtime import Runtime

log = structlog.get_logger(__name__)

_SEVERE = (NoticeCode.DATABASE_AWAY, NoticeCode.NO_WORKER)

_GENTLE = {
    NoticeCode.DATABASE_AWAY: (
        "The service is not available just now",
        "Nothing is lost; try again in a moment.",
    ),
    NoticeCode.BROKER_AWAY: (
        "Jobs start later than usual",
        "They are accepted and start by themselves. There is nothing to do.",
    ),
    NoticeCode.NO_WORKER: (
        "Jobs are not being worked on just now",
        "They are accepted and start by themselves. There is nothing to do.",
    ),
    NoticeCode.DISPATCHER_STALLED: (
        "Retries start later than usual",
        "They go on by themselves. There is nothing to do.",
    ),
    NoticeCode.QUEUE_PAUSED: (
        "Some jobs are held back for a while",
        "They keep their place and start by themselves.",
    ),
    NoticeCode.PROVIDER_PAUSED: (
        "Some models answer later than usual",
        "Their jobs wait and go on by themselves.",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Banner:
    """One notice as it is shown."""

    code: str
    title: str
    detail: str
    severe: bool
    since: datetime | None = None
    until: datetime | None = None


def banners(runtime: Runtime, caller: Caller | None) -> list[Banner]:
    """What is wrong now, the worst first; nothing for somebody who is not signed in."""
    if caller is None:
        return []
    try:
        found = health(runtime)
    except Exception:
        log.exception("the platform's health could not be read")
        return []
    shown = [_plain(one) for one in found] if caller.is_admin else [_gentle(one) for one in found]
    return list(dict.fromkeys(shown))


def _plain(notice: Notice) -> Banner:
    return Banner(
        code=notice.code.value,
        title=notice.title,
        detail=notice.detail,
        severe=notice.code in _SEVERE,
        since=notice.since,
        until=notice.until,
    )


def _gentle(notice: Notice) -> Banner:
    title, detail = _GENTLE[notice.code]
    severe = notice.code in _SEVERE
    return Banner(code=notice.code.value, title=title, detail=detail, severe=severe)
