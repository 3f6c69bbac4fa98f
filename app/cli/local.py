"""Commands that touch this machine: its database, its processes. They need no API key."""

from __future__ import annotations

import math
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import click
from sqlalchemy.exc import OperationalError

from app.accounts import (
    OPERATOR,
    create_key,
    create_user,
    find_user,
    list_keys,
    revoke_key,
    update_user,
)
from app.cli.machine import machine_database, machine_settings
from app.cli.output import Exit, fail, note, show_json, show_table
from app.db import Database
from app.errors import Unavailable
from app.paging import MOST, every_row
from models import ApiKey, Role, User, WorkerHeartbeat

_LONGEST_LIFE_DAYS = 36_500


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), help="Web port (default: PORT or 8000).")
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("var"),
    show_default=True,
    help="Where database, secrets and Flower's state live.",
)
def dev(port: int | None, data_dir: Path) -> None:
    """Run everything on this machine: web, worker, Flower, a private Redis, the simulator."""
    from app.dev.service import Options, run

    sys.exit(run(Options(port=port, data_dir=data_dir)))


@click.command()
def migrate() -> None:
    """Bring the database to the newest schema, and fill in known prices."""
    from app.migrate import upgrade
    from app.prices import seed

    settings = machine_settings()
    try:
        revision = upgrade(settings.database_url)
    except OperationalError as error:
        raise Unavailable("The database is not available") from error
    database = Database(settings.database_url, pool_size=1)
    with database.write() as session:
        added = seed(session)
    database.dispose()
    note(f"database at revision {revision}; {added} prices added")


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Where it listens.")
@click.option(
    "--port",
    default=8099,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Its port (0: any free one).",
)
def simulator(host: str, port: int) -> None:
    """Run the simulator: it answers as OpenAI and Anthropic do, and misbehaves on demand."""
    from app.simulator.server import run

    try:
        run(host, port, on_ready=lambda url: note(f"simulator at {url}"))
    except OSError as error:
        fail(f"it cannot listen on {host}:{port}: {error.strerror or error}", Exit.USAGE)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
def workers(as_json: bool) -> None:
    """List the workers and when they last reported."""
    database = machine_database()
    with database.read() as session:
        found = [_worker(w) for w in session.query(WorkerHeartbeat).order_by(WorkerHeartbeat.name)]
    if as_json:
        show_json(found)
        return
    show_table(["name", "pid", "in_flight", "concurrency", "draining", "seen_seconds_ago"], found)
    if not found:
        note("no worker has reported; start one with the `worker` line of the Procfile")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of lines.")
@click.option("--settings", is_flag=True, help="Show the settings in force instead of checking.")
def doctor(as_json: bool, settings: bool) -> None:
    """Check database, migrations, broker, workers and providers; say what to do.

    With --settings: every setting of this machine and its value; secrets are only told as set.
    """
    from app.cli.doctor import examine, show_settings

    sys.exit(show_settings(as_json=as_json) if settings else examine(as_json=as_json))


@click.group()
def keys() -> None:
    """Create, list and revoke API keys."""


@keys.command("create")
@click.option("--user", "email", required=True, help="The owner's address; made if unknown.")
@click.option("--admin", is_flag=True, help="Make the owner an administrator.")
@click.option("--name", default="", help="What the key is for.")
@click.option("--scope", "scopes", multiple=True, help="Limit the key (repeat for several).")
@click.option(
    "--expires-in-days",
    type=click.FloatRange(min=0, min_open=True),
    help="When it ends by itself (default: never).",
)
def keys_create(
    email: str, admin: bool, name: str, scopes: tuple[str, ...], expires_in_days: float | None
) -> None:
    """Print a new key, and only the key, on standard output. It is shown this once."""
    expires = None if expires_in_days is None else _in_days(expires_in_days)
    with machine_database().write() as session:
        user = find_user(session, email) or create_user(session, email=email)
        if admin:
            update_user(session, OPERATOR, user.id, role=Role.ADMIN)
        made = create_key(session, user.id, name=name, scopes=scopes or None, expires_at=expires)
        owner = f"{user.email} ({user.role})"
    click.echo(made.text)
    note(f"key {made.key.id} for {owner}")


@keys.command("list")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
def keys_list(as_json: bool) -> None:
    """List every key: its visible part, never its secret."""
    with machine_database().read() as session:
        list_page = partial(list_keys, session, OPERATOR, all_users=True, limit=MOST)
        found = [_key(key) for key in every_row(lambda after: list_page(after=after))]
    if as_json:
        show_json(found)
    else:
        show_table(["id", "user", "key", "name", "scopes", "last_used_at", "state"], found)


@keys.command("revoke")
@click.argument("key_id", type=int)
def keys_revoke(key_id: int) -> None:
    """End a key for good."""
    with machine_database().write() as session:
        key = revoke_key(session, OPERATOR, key_id)
    note(f"key {key.id} revoked")


def _in_days(days: float) -> datetime:
    if not math.isfinite(days) or days > _LONGEST_LIFE_DAYS:
        raise click.UsageError(f"--expires-in-days: at most {_LONGEST_LIFE_DAYS:,}")
    return datetime.now(UTC) + timedelta(days=days)


def _key(key: ApiKey) -> dict[str, Any]:
    user: User = key.user
    expired = key.expires_at is not None and key.expires_at <= datetime.now(UTC)
    return {
        "id": key.id,
        "user": user.email,
        "key": f"{key.prefix}…{key.last4}",
        "name": key.name,
        "scopes": key.scopes,
        "last_used_at": key.last_used_at and key.last_used_at.isoformat(timespec="seconds"),
        "state": "revoked" if key.revoked_at else "expired" if expired else "active",
    }


def _worker(worker: WorkerHeartbeat) -> dict[str, Any]:
    return {
        "name": worker.name,
        "host": worker.host,
        "pid": worker.pid,
        "in_flight": worker.in_flight,
        "concurrency": worker.concurrency,
        "draining": worker.draining,
        "seen_seconds_ago": round((datetime.now(UTC) - worker.seen_at).total_seconds(), 1),
    }
