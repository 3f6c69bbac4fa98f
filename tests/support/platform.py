"""The whole platform for a test: database, private Redis, simulator, real worker processes.

    with running_platform(directory, database_url=url, workers=2) as platform:
        job = platform.submit(model="simulator/500")
        platform.wait_all_ended()
        platform.workers[0].kill()

Every part is a real process started from the shipped Procfile (the simulator is a thread of ours,
on a real socket), with short clocks, and can be killed, frozen and started again.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from redis import Redis
from sqlalchemy import func, select

from app import accounts, jobs, lifecycle
from app.accounts import Caller
from app.dev.ports import LOOPBACK, free_port
from app.dev.procfile import shipped_procfile
from app.dev.redis import EmbeddedRedis, find_redis_server
from app.jobs import JobRequest, Submission
from app.lifecycle import NewJob
from app.providers.registry import resolve
from app.runtime import Runtime
from app.settings import Settings
from app.simulator.testing import RunningSimulator, running_simulator
from models import ENDED, Attempt, LLMOutput, WorkerHeartbeat
from tests.support.plugin import DIE_BEFORE_PUBLISHING
from tests.support.processes import RunningProcess, run_process
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
TEMPLATE = "Explain {{concept}} to a beginner"
CONTEXT = {"concept": "machine learning"}
SHORT_CLOCKS = {
    "LLM_JOBS_LEASE_SECONDS": "4",
    "LLM_JOBS_HEARTBEAT_SECONDS": "1",
    "LLM_JOBS_RETRY_BASE_SECONDS": "0.05",
    "LLM_JOBS_RETRY_MAX_SECONDS": "0.4",
    "LLM_JOBS_DISPATCH_SECONDS": "0.1",
    "LLM_JOBS_REWAKE_SECONDS": "2",
    "LLM_JOBS_CALL_TIMEOUT_SECONDS": "30",
    "LLM_JOBS_FETCH_TIMEOUT_SECONDS": "1.5",
    "LLM_JOBS_SHUTDOWN_GRACE_SECONDS": "10",
    "LLM_JOBS_RATE_LIMIT": "60000/minute",
}
VENDOR_KEYS = {
    "OPENAI_API_KEY": "sk-canary-4f1d0c-openai",
    "ANTHROPIC_API_KEY": "canary-9be27a-anthropic",
}
_FLOWER_AUTH = ("admin", "flower-password")
_PLUGIN = "tests.support.plugin"


class Part:
    """One program of the platform: always the same command, started as often as a test likes."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        ready: str | Callable[[], object] | None = None,
        stdin: bytes = b"",
        grace: float = 20,
    ) -> None:
        self._start: dict[str, Any] = {
            "command": command,
            "env": env,
            "cwd": cwd,
            "ready": ready,
            "stdin": stdin,
            "grace": grace,
        }
        self._stack = ExitStack()
        self._written: list[str] = []
        self.process: RunningProcess | None = None

    def start(self, *, wait: bool = True) -> None:
        """Start it; returns when it is ready (`wait=False`: at once)."""
        self.stop()
        ready = self._start["ready"] if wait else None
        self.process = self._stack.enter_context(run_process(**{**self._start, "ready": ready}))

    def stop(self) -> None:
        """End it in an orderly way, if it runs."""
        self._stack.close()
        if self.process:
            self._written.append(self.process.output)
        self.process = None

    def kill(self) -> None:
        """`kill -9`; returns when it is gone."""
        self.running.signal(signal.SIGKILL)
        self.running.wait()

    def freeze(self) -> None:
        """SIGSTOP: it lives, and does nothing."""
        self.running.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self.running.signal(signal.SIGCONT)

    def terminate(self) -> None:
        """SIGTERM; it ends when it likes."""
        self.running.signal(signal.SIGTERM)

    @property
    def running(self) -> RunningProcess:
        assert self.process, "not started"
        return self.process

    @property
    def output(self) -> str:
        """All that it has written, since its first start."""
        return "".join([*self._written, self.process.output if self.process else ""])


@dataclass
class Platform:
    """A running platform, and what a test does with it. Its caller is an ordinary user."""

    directory: Path
    env: dict[str, str]
    runtime: Runtime
    simulator: RunningSimulator
    redis: Part
    redis_url: str
    workers: list[Part] = field(default_factory=list)
    web: Part | None = None
    web_url: str = ""
    flower: Part | None = None
    flower_url: str = ""
    accepted: list[int] = field(default_factory=list)
    """Every row that this platform has promised to bring to an end, by whatever door."""
    caller: Caller = field(init=False)
    key: str = field(init=False)

    def __post_init__(self) -> None:
        with self.runtime.database.write() as session:
            user = accounts.create_user(session, email=f"{uuid.uuid4().hex}@example.org")
            self.caller = accounts.caller_of(user)
            self.key = accounts.create_key(session, user.id).text

    # --- asking for work ----------------------------------------------------------------------

    def submit(self, **wanted: Any) -> Submission:
        """Submit one job by way of `app.jobs`; a template, context and model are at hand."""
        return self._note(jobs.submit(self.runtime, self.caller, _request(wanted)))

    def submit_many(self, number: int, **wanted: Any) -> list[Submission]:
        """The same, `number` times in one transaction."""
        wishes = [_request(wanted)] * number
        return [self._note(job) for job in jobs.submit_many(self.runtime, self.caller, wishes)]

    def submit_for_later(self, **wanted: Any) -> Submission:
        """A job that waits until `begin`: nothing happens to it before a test is ready."""
        return self.submit(run_at=datetime.now(UTC) + timedelta(hours=1), **wanted)

    def begin(self, job: Submission) -> None:
        """Make a job of `submit_for_later` due now."""
        jobs.advance(self.runtime, self.caller, job.job_id)

    def insert(self, **columns: Any) -> int:
        """A pending row that nobody has looked at, and no message: what a test forges by hand."""
        model = columns.pop("model", "simulator/echo")
        job = NewJob(
            **{
                "template_name": TEMPLATE,
                "model_name": model,
                "context": CONTEXT,
                "bucket": resolve(model, self.runtime.settings).bucket,
                "max_tries": self.runtime.settings.max_tries,
                "max_age_seconds": self.runtime.settings.max_age_seconds,
                "user_id": self.caller.user_id,
                **columns,
            }
        )
        with self.runtime.database.write() as session:
            output_id = lifecycle.create(session, [job])[job.job_id].output_id
        self.accepted.append(output_id)
        return output_id

    def post(self, **wanted: Any) -> Any:
        """The answer to the same job when it is asked for over HTTP."""
        body = {"template": TEMPLATE, "model": "simulator/echo", "context": CONTEXT, **wanted}
        answer = self.ask("POST", "/api/v1/llm_jobs", body)
        if answer.status_code == 201:
            self.accepted.append(answer.json()["output_id"])
        return answer

    def kill_web_before_it_publishes(self) -> None:
        """The process that accepts the next job dies between its commit and its message."""
        _deadly_file(self).touch()

    def ask(self, method: str, path: str, body: Any = None, *, timeout: float = 30) -> Any:
        """The answer to an HTTP request with the caller's key."""
        return httpx2.request(
            method,
            f"{self.web_url}{path}",
            json=body,
            headers={"Authorization": f"Bearer {self.key}"},
            timeout=timeout,
        )

    # --- looking ------------------------------------------------------------------------------

    def row(self, job: Submission | int) -> LLMOutput:
        """The row as it stands now."""
        with self.runtime.database.read() as session:
            output = session.get(LLMOutput, _id_of(job))
            assert output is not None
            session.expunge(output)
            return output

    def rows(self, *jobs: Submission | int) -> list[LLMOutput]:
        """The rows, in the order asked for."""
        ids = [_id_of(job) for job in jobs]
        with self.runtime.database.read() as session:
            found = session.scalars(select(LLMOutput).where(LLMOutput.id.in_(ids))).all()
            session.expunge_all()
        by_id = {row.id: row for row in found}
        return [by_id[id_] for id_ in ids]

    def attempts(self, job: Submission | int) -> list[Attempt]:
        """Its attempts, in their order."""
        query = select(Attempt).where(Attempt.output_id == _id_of(job)).order_by(Attempt.number)
        with self.runtime.database.read() as session:
            found = list(session.scalars(query))
            session.expunge_all()
            return found

    def count(self, *statuses: str) -> int:
        """Rows of these statuses."""
        query = select(func.count()).select_from(LLMOutput).where(LLMOutput.status.in_(statuses))
        with self.runtime.database.read() as session:
            return session.scalar(query) or 0

    def calls(self, job: Submission) -> int:
        """How many calls of a model the simulator has seen for a job."""
        return len(self.simulator.calls(job.job_id))

    def lines(self, event: str = "", **facts: Any) -> list[dict[str, Any]]:
        """The log lines of all workers whose message begins with `event` and that hold `facts`."""
        return [
            line
            for worker in self.workers
            for line in _json_lines(worker.output)
            if str(line.get("message", "")).startswith(event) and facts.items() <= line.items()
        ]

    def broker(self) -> Redis:
        """A client of the platform's Redis."""
        return Redis.from_url(self.redis_url, socket_timeout=5)

    # --- waiting ------------------------------------------------------------------------------

    def wait_status(self, job: Submission | int, *statuses: str, timeout: float = 15) -> LLMOutput:
        """Wait until the row has one of these statuses; returns it."""

        def reached() -> LLMOutput | None:
            row = self.row(job)
            return row if row.status in statuses else None

        found = eventually(reached, timeout=timeout, message=lambda: self._story(job))
        assert found
        return found

    def wait_ended(self, *jobs: Submission | int, timeout: float = 20) -> list[LLMOutput]:
        """Wait until all of these have ended; returns their rows."""
        return [self.wait_status(job, *ENDED, timeout=timeout) for job in jobs]

    def wait_all_ended(self, timeout: float = 30) -> None:
        """Wait until nothing is pending or processing."""
        waits = LLMOutput.status.in_(("pending", "processing"))
        facts = select(LLMOutput.id, LLMOutput.status, LLMOutput.model_name, LLMOutput.run_at)

        def left() -> list[tuple[object, ...]]:
            with self.runtime.database.read() as session:
                return [tuple(row) for row in session.execute(facts.where(waits).limit(10))]

        eventually(
            lambda: not left(), timeout=timeout, message=lambda: f"{self._tail()}\nleft: {left()}"
        )

    def wait_call(self, job: Submission, *, number: int = 1, timeout: float = 15) -> None:
        """Wait until the simulator has seen so many calls of a job."""
        try:
            self.simulator.wait_for(lambda seen: len(seen.calls(job.job_id)) >= number, timeout)
        except TimeoutError:
            raise AssertionError(self._story(job)) from None

    def wait_in_flight(self, number: int, *, timeout: float = 20) -> None:
        """Wait until so many calls are under way at once."""
        self.simulator.wait_for(lambda seen: seen.in_flight >= number, timeout)

    def wait_worker_rows(self, number: int, *, timeout: float = 15) -> None:
        """Wait until so many workers have reported."""
        query = select(func.count()).select_from(WorkerHeartbeat)

        def reported() -> bool:
            with self.runtime.database.read() as session:
                return session.scalar(query) == number

        eventually(reported, timeout=timeout, message=self._tail)

    # --- Flower -------------------------------------------------------------------------------

    def in_flower(self, job_id: str) -> dict[str, Any] | None:
        """What Flower knows of a task, or None."""
        return self.ask_flower(f"/api/task/info/{job_id}")

    def ask_flower(self, path: str) -> Any:
        """The answer of Flower's API, or None when it knows nothing of that."""
        found = httpx2.get(f"{self.flower_url}{path}", auth=_FLOWER_AUTH, timeout=10)
        return found.json() if found.status_code == 200 else None

    def _note(self, job: Submission) -> Submission:
        self.accepted.append(job.output_id)
        return job

    def _story(self, job: Submission | int) -> str:
        row = self.row(job)
        attempts = [(a.number, a.kind, a.outcome, a.error_code) for a in self.attempts(job)]
        facts = f"{row.status} tries={row.tries} fence={row.fence} {row.error_code}: {attempts}"
        return f"{facts}\n{self._tail()}"

    def _tail(self) -> str:
        return "\n".join(worker.output[-3000:] for worker in self.workers)


@contextmanager
def running_platform(
    directory: Path,
    *,
    database_url: str,
    workers: int = 1,
    web: bool = False,
    flower: bool = False,
    vendors: bool = False,
    **settings: object,
) -> Iterator[Platform]:
    """A platform on a migrated database, until the block ends. Each part is ready, and warm.

    With `vendors` the simulator stands in for OpenAI and Anthropic, each by its own wire format and
    with `VENDOR_KEYS`. `settings` are given as `lease_seconds=2`; the rest are `SHORT_CLOCKS` and
    defaults.
    """
    with ExitStack() as stack:
        machine = stack.enter_context(pytest.MonkeyPatch.context())
        for one in Settings.model_fields.values():
            machine.delenv(str(one.alias), raising=False)
        simulator = stack.enter_context(running_simulator())
        server = EmbeddedRedis(program=find_redis_server())
        redis = Part(
            server.command,
            env={},
            cwd=directory,
            stdin=server.configuration,
            ready=server.answers,
            grace=2,
        )
        stack.callback(redis.stop)
        redis.start()
        env = _environment(directory, settings) | {
            "DATABASE_URL": database_url,
            "REDIS_URL": server.url,
            "LLM_JOBS_SIMULATOR_URL": simulator.url,
        }
        if vendors:
            env |= VENDOR_KEYS | {
                "OPENAI_BASE_URL": simulator.openai_url,
                "ANTHROPIC_BASE_URL": simulator.anthropic_url,
            }
        runtime = Runtime.from_settings(_settings(env))
        stack.callback(runtime.close)
        platform = Platform(directory, env, runtime, simulator, redis, server.url)
        _start(stack, platform, workers=workers, web=web, flower=flower)
        yield platform


def _start(stack: ExitStack, platform: Platform, *, workers: int, web: bool, flower: bool) -> None:
    parts: list[Part] = []
    for number in range(workers):
        platform.workers.append(_worker(platform, number))
    parts += platform.workers
    if web:
        platform.web = _web(platform)
        parts.append(platform.web)
    if flower:
        platform.flower = _flower(platform)
        parts.append(platform.flower)
    for part in parts:
        stack.callback(part.stop)
        part.start(wait=False)  # side by side: each takes seconds
    for part in parts:
        _await_ready(part)
    if workers:
        warm = platform.submit(model="simulator/echo")
        platform.wait_ended(warm, timeout=40)
        platform.simulator.reset()
        platform.accepted.clear()


def _await_ready(part: Part) -> None:
    ready = part._start["ready"]
    if isinstance(ready, str):
        part.running.wait_for(ready, timeout=40)
    else:
        eventually(ready, timeout=40, message=lambda: part.output)


def _worker(platform: Platform, number: int) -> Part:
    line = shipped_procfile()["worker"].replace("worker-$$@%h", f"worker-{number}@test")
    return Part(_shell(line), env=platform.env, cwd=platform.directory, ready=r"ready\.")


def _web(platform: Platform) -> Part:
    port = free_port()
    platform.web_url = f"http://{LOOPBACK}:{port}"
    return Part(
        _shell(shipped_procfile()["web"]),
        env=platform.env | {"PORT": str(port), DIE_BEFORE_PUBLISHING: str(_deadly_file(platform))},
        cwd=platform.directory,
        ready=lambda: _answers(f"{platform.web_url}/healthz"),
    )


def _deadly_file(platform: Platform) -> Path:
    return platform.directory / "die-before-publishing"


def _flower(platform: Platform) -> Part:
    port = free_port()
    platform.flower_url = f"http://{LOOPBACK}:{port}/flower"
    env = {
        "FLOWER_BASIC_AUTH": ":".join(_FLOWER_AUTH),
        "FLOWER_PORT": str(port),
        "FLOWER_DB": str(platform.directory / "flower"),
        "FLOWER_UNAUTHENTICATED_API": "true",
    }
    return Part(
        _shell(shipped_procfile()["flower"]),
        env=platform.env | env,
        cwd=platform.directory,
        ready=lambda: _answers(f"{platform.flower_url}/healthcheck"),
    )


def _shell(line: str) -> list[str]:
    return ["sh", "-c", f"exec {line}"]


def _answers(url: str) -> bool:
    try:
        return httpx2.get(url, timeout=1).status_code == 200
    except httpx2.HTTPError:
        return False


def _environment(directory: Path, settings: Mapping[str, object]) -> dict[str, str]:
    """Short clocks, and the plugin of the tests."""
    wanted = {f"LLM_JOBS_{name.upper()}": str(value) for name, value in settings.items()}
    return {
        **SHORT_CLOCKS,
        **wanted,
        "LLM_JOBS_SIMULATE_MISSING": "true",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT}:{_install_plugin(directory / 'site')}",
    }


def _settings(env: Mapping[str, str]) -> Settings:
    aliases = {str(one.alias) for one in Settings.model_fields.values()}
    return Settings(**{name: value for name, value in env.items() if name in aliases and value})


def _install_plugin(site: Path) -> Path:
    """Leave what pip would leave of a package whose entry point names the tests' plugin."""
    about = site / "llm_jobs_tests-1.dist-info"
    about.mkdir(parents=True, exist_ok=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: llm-jobs-tests\nVersion: 1\n")
    (about / "entry_points.txt").write_text(f"[llm_jobs.plugins]\ntests = {_PLUGIN}\n")
    return site


def _request(wanted: Mapping[str, Any]) -> JobRequest:
    own = {"template": TEMPLATE, "context": CONTEXT, "model": "simulator/echo"}
    return JobRequest(**{**own, **wanted})


def _id_of(job: Submission | int) -> int:
    return job if isinstance(job, int) else job.output_id


def _json_lines(output: str) -> Iterator[dict[str, Any]]:
    for line in output.splitlines():
        if line.startswith("{"):
            yield json.loads(line)
