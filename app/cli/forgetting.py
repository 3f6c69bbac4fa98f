"""Commands that forget, on this machine: what is too old, and what was somebody's."""

from __future__ import annotations

import time
from dataclasses import asdict

import click

from app.accounts import OPERATOR, find_user
from app.cli.machine import machine_database, machine_runtime, machine_settings
from app.cli.output import Exit, fail, note, show_json
from app.errors import NotFound
from app.retention import Erasure, Forgotten, Keeping, erase_person, forget
from app.retention.ageing import count_old
from app.runtime import Runtime

_STOPPING_SECONDS = 60
_LOOK_AGAIN_SECONDS = 0.5
_DAYS = click.FloatRange(min=0, max=36_500, min_open=True)


@click.command()
@click.option("--texts-days", type=_DAYS, help="Default: LLM_JOBS_KEEP_TEXTS_DAYS.")
@click.option("--rows-days", type=_DAYS, help="Default: LLM_JOBS_KEEP_ROWS_DAYS.")
@click.option("--dry-run", is_flag=True, help="Only count.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of a sentence.")
def prune(texts_days: float | None, rows_days: float | None, dry_run: bool, as_json: bool) -> None:
    """Forget what ended long ago: texts after some days, whole rows after more.

    Workers do the same by themselves where the settings say how long. What was spent stays counted.
    """
    shipped = Keeping.by(machine_settings())
    keeping = Keeping(texts_days or shipped.texts_days, rows_days or shipped.rows_days)
    if keeping.forever:
        raise click.UsageError(
            "everything is kept for ever: say --texts-days or --rows-days, or set"
            " LLM_JOBS_KEEP_TEXTS_DAYS or LLM_JOBS_KEEP_ROWS_DAYS"
        )
    database = machine_database()
    if dry_run:
        with database.read() as session:
            done = count_old(session, keeping)
    else:
        done = Forgotten()
        while True:
            with database.write() as session:
                step = forget(session, keeping)
            if not step:
                break
            done += step
    if as_json:
        show_json(asdict(done))
    else:
        would = "would lose" if dry_run else "lost"
        click.echo(
            f"{done.texts} jobs {would} their texts; {done.rows} jobs and {done.chats} removed"
            f" chats {'would go' if dry_run else 'are gone'}"
        )


def erase(user: str, *, ask: bool) -> None:
    """What `llm-jobs users erase` does: waits a minute for jobs that have to be stopped first."""
    with machine_runtime() as runtime:
        user_id, address = _find(runtime, user)
        if ask:
            click.confirm(f"Erase user {user_id} ({address}) for good?", abort=True, err=True)
        done = _erase(runtime, user_id)
    if done.running:
        fail(
            f"{done.running} jobs of user {user_id} have not stopped yet: ask again"
            f" (llm-jobs users erase {user_id})",
            Exit.TIMEOUT,
        )
    note(
        f"user {user_id} is erased: {done.texts} jobs' texts, {done.chats} chats,"
        f" {done.prompts} prompts"
    )


def _find(runtime: Runtime, user: str) -> tuple[int, str]:
    from models import User

    with runtime.database.read() as session:
        found = session.get(User, int(user)) if _is_number(user) else find_user(session, user)
        if found is None:
            raise NotFound(f"Unknown user: {user}")
        return found.id, found.email


def _is_number(user: str) -> bool:
    return user.isascii() and user.isdigit() and len(user) < 19


def _erase(runtime: Runtime, user_id: int) -> Erasure:
    until = time.monotonic() + _STOPPING_SECONDS
    total = erase_person(runtime, OPERATOR, user_id)
    while total.running and time.monotonic() < until:
        time.sleep(_LOOK_AGAIN_SECONDS)
        more = erase_person(runtime, OPERATOR, user_id)
        total = Erasure(
            total.texts + more.texts,
            total.chats + more.chats,
            total.prompts + more.prompts,
            more.running,
        )
    return total
