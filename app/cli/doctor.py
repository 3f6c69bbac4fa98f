"""`llm-jobs doctor`: is everything there that jobs need, and if not, what to do about it.

Also the settings in force here, without their secrets.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from sqlalchemy import func, make_url, select
from sqlalchemy.exc import SQLAlchemyError

from app import log, migrate
from app.cli.output import Exit, show_json
from app.db import Database
from app.effective import effective
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
    settings = load_settings()
    # What the parts complain of is found below; here their lines would only be in the way.
    log.configure(settings.model_copy(update={"log_level": "ERROR"}), json=False)
    findings = list(check_all(settings))
    if as_json:
        show_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            click.echo(f"{'ok  ' if finding.ok else 'FAIL'} {finding.check}: {finding.detail}")
            if finding.advice and not finding.ok:
                click.echo(f"     → {finding.advice}")
    return Exit.OK if all(finding.ok for finding in findings) else Exit.JOB_FAILED


def show_settings(*, as_json: bool) -> int:
    """Show what is in force here, as the page of settings does; those that differ are marked."""
    shown = effective(load_settings())
    if as_json:
        show_json([asdict(one) for one in shown])
    else:
        for one in shown:
            click.echo(f"{' ' if one.is_default else '*'} {one.name}: {one.value}")
    return Exit.OK


def check_all(settings: Settings) -> Iterator[Finding]:
    """Every check in the order in which a cause explains what follows."""
    database = check_database(settings)
    yield database
    yield check_migrations(settings) if database.ok else _unknown("migrations")
    yield check_broker(settings)
    yield check_workers(settings) if database.ok else _unknown("workers")
    yield check_providers(settings)


def check_database(settings: Settings) -> Finding:
    """Looks without touching: connecting to a SQLite file that is not there would make it."""
    if missing := _missing_file(settings.database_url):
        return Finding("database", False, f"there is no file {missing}", "run: llm-jobs migrate")
    database = Database(settings.database_url, pool_size=1)
    try:
        database.ping()
    except (Unavailable, SQLAlchemyError) as error:
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
        return Finding("workers", False, type(error).__name__, "first run: llm-jobs migrate")
    finally:
        database.dispose()
    advice = "start one: the `worker` line of the Procfile, or llm-jobs dev"
    return Finding("workers", alive > 0, f"{alive} alive", advice)


def check_providers(settings: Settings) -> Finding:
    ready = sorted({m.provider for m in known_models(settings) if m.configured})
    advice = "set OPENAI_API_KEY, ANTHROPIC_API_KEY, OLLAMA_BASE_URL or LLM_JOBS_ENDPOINTS"
    return Finding("providers", bool(ready), ", ".join(ready) or "none configured", advice)


def _missing_file(database_url: str) -> str | None:
    if not database_url.startswith("sqlite:"):
        return None
    path = make_url(database_url).database or ""
    return None if Path(path).is_file() else path


def _unknown(check: str) -> Finding:
    return Finding(check, False, "unknown without the database", "first mend the database")
