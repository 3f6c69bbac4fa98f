"""Pages among a thousand rows and among a million: opening one must not cost what is not shown.

A signed-in administrator asks the application itself, without a server between: the time is the
page's own, with its queries and its template.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flask.testing import FlaskClient
from sqlalchemy import text

from api.app import create_app
from app import accounts
from app.migrate import upgrade
from app.runtime import Runtime
from app.settings import Settings
from benchmarks.measure import machine, middle, table
from models import Role
from tests.support.many_rows import fill
from tests.support.postgres_server import running_postgres
from tests.support.redis_server import running_redis

ROUNDS = 9
SIZES = (1_000, 1_000_000)
PER_STATEMENT = 100_000
PASSWORD = "correct horse battery"

PAGES = {
    "outputs": "/llm_outputs",
    "outputs, everybody's": "/llm_outputs?all=1",
    "outputs, failed": "/llm_outputs?status=failed",
    "outputs, everybody's failed": "/llm_outputs?status=failed&all=1",
    "outputs, liked": "/llm_outputs?feedback=thumbs_up",
    "tabs and new rows": "/llm_outputs/summary?newest=900",
}


def main() -> None:
    """Print a table per database."""
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory() as place, running_redis(Path(place)) as (redis, _):
        with running_postgres() as postgres, postgres.database() as name:
            show("PostgreSQL", postgres.url(name), redis.url)
        show("SQLite", f"sqlite:///{place}/pages.db", redis.url)


def show(label: str, database_url: str, redis_url: str) -> None:
    """Measure every page at each size and print the table."""
    upgrade(database_url)
    with visitor(database_url, redis_url) as (client, runtime, user_id):
        found: dict[str, list[float]] = {name: [] for name in PAGES}
        rows = 0
        for size in SIZES:
            while rows < size:
                more = min(PER_STATEMENT, size - rows)
                fill(runtime.database, user_id, rows + 1, rows + more)
                rows += more
            if runtime.database.dialect == "postgresql":
                with runtime.database.write() as session:
                    session.execute(text("ANALYZE"))  # as its own autovacuum does
            for name, path in PAGES.items():
                found[name].append(milliseconds(client, path))
    lines = [[name, few, many, round(many / few, 2)] for name, (few, many) in found.items()]
    head = ["page", *(f"{size:,} rows, ms" for size in SIZES), "ratio"]
    print(f"\n{label}, median of {ROUNDS}\n\n{table(head, lines)}", flush=True)


def milliseconds(client: FlaskClient, path: str) -> float:
    """How long a page takes, once it is warm."""
    times = []
    for _ in range(ROUNDS + 1):
        started = time.perf_counter()
        answer = client.get(path)
        times.append(1000 * (time.perf_counter() - started))
        if answer.status_code != 200:
            raise RuntimeError(f"{path}: {answer.status}")
    return middle(times[1:])


@contextmanager
def visitor(database_url: str, redis_url: str) -> Iterator[tuple[FlaskClient, Runtime, int]]:
    """An administrator's browser, signed in, and the parts behind it."""
    runtime = Runtime.from_settings(Settings(DATABASE_URL=database_url, REDIS_URL=redis_url))
    try:
        with runtime.database.write() as session:
            user = accounts.create_user(session, email="bench@example.org", role=Role.ADMIN)
            accounts.set_password(session, accounts.OPERATOR, user.id, PASSWORD)
            user_id = user.id
        client = create_app(runtime).test_client()
        token = re.search(r'csrf-token" content="(\w+)"', client.get("/sign-in").text)
        if token is None:
            raise RuntimeError("the sign-in has no token")
        client.post(
            "/sign-in",
            data={"email": "bench@example.org", "password": PASSWORD},
            headers={"X-CSRF-Token": token[1]},
        )
        yield client, runtime, user_id
    finally:
        runtime.close()
