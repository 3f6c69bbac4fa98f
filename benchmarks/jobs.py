"""A job's own cost: whole jobs through a real worker, against the adapter's call alone.

Each run submits rows, wakes them, and waits until all have ended. The worker's CPU comes from the
system's own accounting of its process; the simulator, Redis and the database run beside it.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app import lifecycle
from app.migrate import upgrade
from app.providers.contract import Call, Message
from app.providers.registry import Providers, resolve
from app.runtime import Runtime
from app.settings import Settings
from benchmarks.measure import cpu_seconds, machine, middle, resident_mib, table
from models import LLMOutput, Status, User
from tests.support.postgres_server import running_postgres
from tests.support.processes import RunningProcess, run_process
from tests.support.redis_server import running_redis

ROUNDS = 3
JOBS = 1000


@dataclass(frozen=True)
class Load:
    """How much at a time, of which simulator behaviour."""

    name: str
    model: str
    in_flight: int
    latency_seconds: float


LOADS = (
    Load("no latency", "simulator/echo", 100, 0),
    Load("1 s calls, 200 in flight", "simulator/latency-1", 200, 1),
    Load("1 s calls, 1,000 in flight", "simulator/latency-1", 1000, 1),
)


@dataclass(frozen=True)
class Run:
    """One round's figures."""

    seconds: float
    worker_cpu: float
    memory: float


def main() -> None:
    """Print a table per database."""
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory() as place, running_postgres() as postgres:
        with postgres.database() as name:
            show("PostgreSQL", postgres.url(name))
        show("SQLite", f"sqlite:///{place}/jobs.db")


def show(label: str, database_url: str) -> None:
    """Measure every load on one database and print the table."""
    upgrade(database_url)
    rows = []
    for load in LOADS:
        with platform(database_url, load) as (runtime, worker):
            measure(runtime, worker, load)  # warm: imports, connections, caches
            runs = [measure(runtime, worker, load) for _ in range(ROUNDS)]
            alone = middle([call_alone(runtime.settings, load) for _ in range(ROUNDS)])
        rows.append(row_of(load, runs, alone))
    head = ["load", "jobs/s", "share of ideal", "worker CPU ms/job", "call alone CPU ms", "ratio"]
    print(f"\n{label}, {JOBS} jobs, median of {ROUNDS}\n\n{table([*head, 'memory MiB'], rows)}")


def row_of(load: Load, runs: list[Run], alone_ms: float) -> list[object]:
    """One line of the table."""
    per_second = middle([JOBS / run.seconds for run in runs], 0)
    ideal = load.in_flight / load.latency_seconds if load.latency_seconds else None
    share = f"{per_second / min(ideal, JOBS):.0%}" if ideal else "–"
    cpu_ms = middle([1000 * run.worker_cpu / JOBS for run in runs])
    memory = middle([run.memory for run in runs], 0)
    ratio = round(cpu_ms / alone_ms, 2)
    return [load.name, per_second, share, cpu_ms, alone_ms, ratio, memory]


@contextmanager
def platform(database_url: str, load: Load) -> Iterator[tuple[Runtime, RunningProcess]]:
    """Redis, simulator and one worker, as separate processes."""
    with tempfile.TemporaryDirectory() as place, running_redis(Path(place)) as (redis, _):
        redis_url = redis.url
        python = sys.executable
        serve = "from app.simulator.server import run; run('127.0.0.1', 0)"
        with run_process([python, "-c", serve]) as simulator:
            url = simulator.wait_for(r"http://[\d.:]+").group()
            env = {
                "DATABASE_URL": database_url,
                "REDIS_URL": redis_url,
                "LLM_JOBS_SIMULATOR_URL": url,
                "LLM_JOBS_LOG_LEVEL": "WARNING",
                "LLM_JOBS_WORKER_CONCURRENCY": str(load.in_flight),
                "LLM_JOBS_QUEUE_WINDOW": "2000",
                "CELERY_CUSTOM_WORKER_POOL": "workers.pool:AsyncioPool",
            }
            celery = [str(Path(python).with_name("celery")), "-A", "workers.celery", "worker"]
            celery += ["-P", "custom", "-Q", "high,default,low", "-E"]
            celery += ["--without-gossip", "--without-mingle"]
            with run_process(celery, env=env) as worker:
                runtime = Runtime.from_settings(
                    Settings(
                        DATABASE_URL=database_url,
                        REDIS_URL=redis_url,
                        LLM_JOBS_SIMULATOR_URL=url,
                        LLM_JOBS_QUEUE_WINDOW=2000,
                    )
                )
                try:
                    yield runtime, worker
                finally:
                    runtime.close()


def measure(runtime: Runtime, worker: RunningProcess, load: Load) -> Run:
    """Submit, wake, wait for the last end."""
    cpu, started = cpu_seconds(worker.pid), time.monotonic()
    submit(runtime, load)
    while unfinished(runtime):
        time.sleep(0.02)
    seconds = time.monotonic() - started
    return Run(seconds, cpu_seconds(worker.pid) - cpu, resident_mib(worker.pid))


def submit(runtime: Runtime, load: Load) -> None:
    """Rows for the dispatcher: accepting is another benchmark's subject."""
    with runtime.database.write() as session:
        user = session.scalar(select(User.id)) or _user(session)
        new = lifecycle.NewJob(
            template_name="Explain {{concept}} to a beginner",
            context={"concept": "queues"},
            model_name=load.model,
            bucket=resolve(load.model, runtime.settings).bucket,
            user_id=user,
            max_tries=6,
            max_age_seconds=3600,
        )
        fields = {name: getattr(new, name) for name in new.__dataclass_fields__ if name != "job_id"}
        lifecycle.create(session, [lifecycle.NewJob(**fields) for _ in range(JOBS)])


def unfinished(runtime: Runtime) -> bool:
    with runtime.database.read() as session:
        pending = select(func.count()).where(
            LLMOutput.status.in_([Status.PENDING, Status.PROCESSING])
        )
        return bool(session.scalar(pending))


def call_alone(settings: Settings, load: Load) -> float:
    """CPU milliseconds of one call through our adapter and the SDK, at the same concurrency."""

    async def calls() -> None:
        providers = Providers(settings)
        route = resolve(load.model, settings)
        provider = providers.get(route)
        call = Call(model=route.model, messages=(Message("user", "Explain queues"),))
        await provider.call(call)
        nonlocal started
        started = time.process_time()
        room = asyncio.Semaphore(load.in_flight)

        async def one() -> None:
            async with room:
                await provider.call(call)

        await asyncio.gather(*(one() for _ in range(JOBS)))
        await providers.close()

    started = 0.0
    asyncio.run(calls())
    return 1000 * (time.process_time() - started) / JOBS


def _user(session: Session) -> int:
    user = User(email="bench@localhost")
    session.add(user)
    session.flush()
    return user.id
