"""`llm-jobs doctor`: is everything there that jobs need, and if not, what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import click
from sqlalchemy import func, select

from app import migrate
from app.cli.output import Exit, show_json
from app.db import Database
from app.errors import Unavailable
from app.providers.registry import known_models
from app.queue import WakeQueue
from app.settings import Settings, load_settings
from models import WorkerHeartbeat
from models.types import now_plus


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. `advice` says what to do when it is not `ok`."""

    check: str
    ok: bool
    detail: str
    advice: str = ""


def examine(*, as_json: bool) -> int:
    """Run every check and show it; returns the exit status: 0, or 1 when something is missing."""
    findings = list(check_all(load_settings()))
    if as_json:
        show_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            click.echo(f"{'ok  ' if finding.ok else 'FAIL'} {finding.check}: {finding.detail}")
            if finding.advice and not finding.ok:
                click.echo(f"     → {finding.advice}")
    return Exit.OK if all(finding.ok for finding in findings) else Exit.JOB_FAILED


def check_all(settings: Settings) -> Iterator[Finding]:
    """Every check in the order in which a cause explains what follows."""
    checks: list[Callable[[Settings], Finding]] = [
        check_database,
        check_migrations,
        check_broker,
        check_workers,
        check_providers,
    ]
    for check in checks:
        yield check(settings)


def check_database(settings: Settings) -> Finding:
    database = Database(settings.database_url, pool_size=1)
    try:
        database.ping()
    except Unavailable as error:
        cause = str(error.__cause__ or error).splitlines()[0]
        return Finding(
            "database", False, cause, "start it, or set DATABASE_URL to where it is reachable"
        )
    finally:
        database.dispose()
    return Finding("database", True, database.dialect)


def check_migrations(settings: Settings) -> Finding:
    database = Database(settings.database_url, pool_size=1)
    try:
        current, head = migrate.current(database.engine), migrate.head()
    except Exception as error:
        return Finding("migrations", False, type(error).__name__, "first mend the database")
    finally:
        database.dispose()
    if current == head:
        return Finding("migrations", True, f"at {head}")
    return Finding("migrations", False, f"at {current}, newest is {head}", "run: llm-jobs migrate")


def check_broker(settings: Settings) -> Finding:
    queue = WakeQueue(settings, connections=1)
    try:
        there = queue.ping()
        waiting = queue.depths() if there else {}
    finally:
        queue.close()
    if there:
        return Finding("broker", True, ", ".join(f"{n} {d}" for n, d in waiting.items()))
    return Finding(
        "broker",
        False,
        "no answer",
        "start Redis, or set REDIS_URL (or BROKER_URL) to it; accepted jobs wait in their rows",
    )


def check_workers(settings: Settings) -> Finding:
    database = Database(settings.database_url, pool_size=1)
    recent = WorkerHeartbeat.seen_at > now_plus(-3 * settings.heartbeat_seconds)
    try:
        with database.read() as session:
            alive = session.scalar(select(func.count()).where(recent)) or 0
    except Exception as error:
        return Finding("workers", False, type(error).__name__, "first mend the database")
    finally:
        database.dispose()
    advice = "start one: the `worker` line of the Procfile, or llm-jobs dev"
    return Finding("workers", alive > 0, f"{alive} alive", advice)


def check_providers(settings: Settings) -> Finding:
    ready = sorted({m.provider for m in known_models(settings) if m.configured})
    advice = "set OPENAI_API_KEY, ANTHROPIC_API_KEY, OLLAMA_BASE_URL or LLM_JOBS_ENDPOINTS"
    return Finding("providers", bool(ready), ", ".join(ready) or "none configured", advice)
