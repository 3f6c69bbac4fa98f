"""Chats about one of many assets: what is read of one for a model, and a chat without a prompt."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import insert, text

from app import accounts, assets, chats
from app.accounts import Caller
from app.assets import AssetRef
from app.chats import NewChat
from app.migrate import upgrade
from app.runtime import Runtime
from app.settings import Settings
from benchmarks.measure import machine, table
from models import AssetVersion, StoredAsset
from tests.support.postgres_server import running_postgres
from tests.support.redis_server import running_redis

ASSETS = 20_000
METRICS = 20
"""In each dashboard; the last tenth of the assets are dashboards."""
ROUNDS = 500
GOALS = {"context load": 200, "chat without a prompt": 300}


def main() -> None:
    """Print a table per database."""
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory() as place, running_redis(Path(place)) as (redis, _):
        with running_postgres() as postgres, postgres.database() as name:
            show("PostgreSQL", postgres.url(name), redis.url)
        show("SQLite", f"sqlite:///{place}/assets.db", redis.url)


def show(label: str, database_url: str, redis_url: str) -> None:
    """Measure both among all assets, and print the table."""
    upgrade(database_url)
    runtime = Runtime.from_settings(Settings(DATABASE_URL=database_url, REDIS_URL=redis_url))
    with runtime.database.write() as session:
        user = accounts.create_user(session, email="ada@example.org")
        session.flush()
        caller = accounts.caller_of(user)
    fill(runtime, caller)
    acts: dict[str, Callable[[int], Any]] = {
        "context load": lambda n: load(runtime, caller, n),
        "chat without a prompt": lambda n: start(runtime, caller, n),
    }
    lines = []
    for name, act in acts.items():
        act(ASSETS)  # warm
        took = sorted(milliseconds(act, ASSETS - n) for n in range(ROUNDS))
        p50, p99 = took[ROUNDS // 2], took[ROUNDS * 99 // 100]
        lines.append([name, round(p50, 1), round(p99, 1), round(took[-1], 1), f"< {GOALS[name]}"])
    head = ["act", "p50, ms", "p99, ms", "most, ms", "goal of p99, ms"]
    print(f"\n{label}, {ASSETS:,} assets, {ROUNDS} times\n\n{table(head, lines)}", flush=True)


def fill(runtime: Runtime, caller: Caller) -> None:
    """The assets: metrics first, then dashboards of twenty of them."""
    metrics = ASSETS * 9 // 10
    for first in range(1, ASSETS + 1, 2_000):
        numbers = range(first, min(first + 2_000, ASSETS + 1))
        with runtime.database.write() as session:
            session.execute(insert(StoredAsset), [asset(caller, n, n > metrics) for n in numbers])
            versions = [version(caller, n, metrics) for n in numbers]
            session.execute(insert(AssetVersion), versions)
    if runtime.database.dialect == "postgresql":
        with runtime.database.write() as session:
            session.execute(text("ANALYZE"))  # as its own autovacuum does


def asset(caller: Caller, number: int, board: bool) -> dict[str, Any]:
    kind = "dashboard_file" if board else "metric_file"
    facts = {"type": kind, "name": f"Asset {number}", "project": "", "shared": False, "version": 1}
    return {"id": number, "user_id": caller.user_id, **facts}


def version(caller: Caller, number: int, metrics: int) -> dict[str, Any]:
    ids = [1 + (number * METRICS + i) % metrics for i in range(METRICS)]
    content = {"sql": "SELECT 1 " * 200} if number <= metrics else {"metrics": ids}
    return {"asset_id": number, "version": 1, "content": content, "user_id": caller.user_id}


def load(runtime: Runtime, caller: Caller, number: int) -> None:
    """What a model is given of a dashboard."""
    ref = AssetRef("dashboard_file", str(number))
    with runtime.database.read() as session:
        told = assets.material(session, caller, ref)
    if not told or told.text.count("SELECT 1 SELECT") < METRICS:
        raise RuntimeError("a dashboard without its metrics")


def start(runtime: Runtime, caller: Caller, number: int) -> None:
    """A chat about a dashboard, committed."""
    ref = AssetRef("dashboard_file", str(number))
    chats.create(runtime, caller, NewChat(asset=ref))


def milliseconds(act: Callable[[int], Any], number: int) -> float:
    started = time.perf_counter()
    act(number)
    return 1000 * (time.perf_counter() - started)
