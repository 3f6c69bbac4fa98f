"""For administrators: the way in, agents, limits, settings, health checks and the audit trail.

Keys are `keys.py`'s, users `users.py`'s, providers and prices `providers.py`'s.
"""

from __future__ import annotations

from dataclasses import dataclass

from flask import Response

from api import health
from api.body import BULK, MEGABYTE, ORDINARY
from api.web import api_calls, render
from api.web.pages import Audience, Pages
from api.web.visit import Visit
from app import accounts, audit
from app.effective import effective
from app.jobs import bulk
from app.jobs.limits import MAX_DEPTH, MAX_KEYS, MAX_STRING_BYTES
from app.jobs.shapes import MAX_MESSAGES
from app.paging import MOST
from app.settings import Settings

pages = Pages()

SHOWN = 50
NEWEST_ACTS = 8


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit in words. `setting` is what changes it; nothing for what is part of the product."""

    what: str
    value: str
    setting: str = ""


@pages.get("/admin", Audience.ADMINISTRATORS)
def admin(visit: Visit) -> Response:
    """Where everything is, whether all is well, and what was done last."""
    with visit.runtime.database.read() as session:
        acts = audit.list_events(session, visit.caller, limit=NEWEST_ACTS)
    return visit.page(
        "admin/overview.html",
        acts=acts.rows,
        checks=health.readiness(visit.runtime),
        calls=api_calls.of_address(visit.base_url, "/readyz"),
    )


@pages.get("/admin/agents", Audience.ADMINISTRATORS)
def agents(visit: Visit) -> Response:
    """Everybody's agents; they are made and changed over the API."""
    after = visit.query.get("after")
    with visit.runtime.database.read() as session:
        page = accounts.list_agents(session, visit.caller, all_users=True, limit=SHOWN, after=after)
        owners = {
            user_id: accounts.get_user(session, visit.caller, user_id).email
            for user_id in {agent.user_id for agent in page.rows}
        }
    return visit.page(
        "admin/agents.html",
        agents=page.rows,
        owners=owners,
        calls=api_calls.of_address(visit.base_url, "/api/v1/agents", query={"all_users": True}),
        next_address=page.next and render.address("agents", after=page.next),
        first_address=after and render.address("agents"),
    )


@pages.get("/admin/limits", Audience.ADMINISTRATORS)
def limits(visit: Visit) -> Response:
    """What is held back, and how much of anything may be sent."""
    groups = _limits(visit.runtime.settings)
    return visit.page("admin/limits.html", groups=groups, calls=api_calls.EFFECTIVE_SETTINGS)


@pages.get("/admin/settings", Audience.ADMINISTRATORS)
def effective_settings(visit: Visit) -> Response:
    """The settings of this web process, secrets only as set or not set."""
    shown = effective(visit.runtime.settings)
    sections: dict[str, list[object]] = {}
    for one in shown:
        sections.setdefault(one.section, []).append(one)
    changed = sum(not one.is_default for one in shown)
    return visit.page(
        "admin/settings.html",
        sections=sections,
        changed=changed,
        calls=api_calls.EFFECTIVE_SETTINGS,
    )


@pages.get("/admin/health", Audience.ADMINISTRATORS)
def health_checks(visit: Visit) -> Response:
    """What `/readyz` says, for people."""
    return visit.page(
        "admin/health.html",
        checks=health.readiness(visit.runtime),
        calls=api_calls.of_address(visit.base_url, "/readyz"),
    )


@pages.get("/admin/audit", Audience.ADMINISTRATORS)
def audit_trail(visit: Visit) -> Response:
    """Who did what, newest first, of one kind if wanted."""
    after, action = visit.query.get("after"), visit.query.get("action") or None
    with visit.runtime.database.read() as session:
        page = audit.list_events(session, visit.caller, limit=SHOWN, after=after, action=action)
    return visit.page(
        "admin/audit.html",
        events=page.rows,
        actions=[(one.value, one.value) for one in audit.Action],
        action=action or "",
        calls=api_calls.of_address(
            visit.base_url, "/api/v1/audit_events", query={"action": action or ""}
        ),
        next_address=page.next and render.address("audit_trail", after=page.next, action=action),
        first_address=after and render.address("audit_trail", action=action),
    )


def _limits(settings: Settings) -> dict[str, list[Limit]]:
    """Every limit a caller may meet, by what it is about."""
    return {
        "How often and how much at once": [
            Limit("Requests of one API key", settings.rate_limit, "LLM_JOBS_RATE_LIMIT"),
            Limit(
                "Calls to models in flight in one worker",
                f"{settings.worker_concurrency:,}",
                "LLM_JOBS_WORKER_CONCURRENCY",
            ),
            Limit(
                "Messages of a queue in the broker; more wait in their rows",
                f"{settings.queue_window:,}",
                "LLM_JOBS_QUEUE_WINDOW",
            ),
            Limit("Jobs in one request", f"{bulk.MOST:,}"),
            Limit("Outputs re-run, retried or cancelled at once", f"{bulk.MOST:,}"),
            Limit("Rows of one page of a list", f"{MOST:,}"),
        ],
        "How long": [
            Limit("One call to a model", _s(settings.call_timeout_seconds), _CALL_TIMEOUT),
            Limit("One context fetcher", _s(settings.fetch_timeout_seconds), _FETCH_TIMEOUT),
            Limit(
                "A job may wait and run, if it says nothing itself",
                _s(settings.max_age_seconds),
                "LLM_JOBS_MAX_AGE_SECONDS",
            ),
            Limit("Tries of a job", f"{settings.max_tries}", "LLM_JOBS_RETRIES"),
            Limit(
                "The longest wait before a retry",
                _s(settings.retry_max_seconds),
                "LLM_JOBS_RETRY_MAX_SECONDS",
            ),
        ],
        "How large": [
            Limit("A request", f"{ORDINARY.max_bytes // MEGABYTE} MB"),
            Limit("A request with many jobs", f"{BULK.max_bytes // MEGABYTE} MB"),
            Limit("One text in a request", f"{MAX_STRING_BYTES // 1024} kB"),
            Limit("Keys in a context", f"{MAX_KEYS:,}"),
            Limit("Levels of a context", f"{MAX_DEPTH:,}"),
            Limit("Messages of a conversation", f"{MAX_MESSAGES:,}"),
        ],
    }


_CALL_TIMEOUT = "LLM_JOBS_CALL_TIMEOUT_SECONDS"
_FETCH_TIMEOUT = "LLM_JOBS_FETCH_TIMEOUT_SECONDS"


def _s(seconds: float) -> str:
    return f"{seconds:,g} s"
