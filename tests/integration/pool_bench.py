"""What `test_pool.py` works with: a real worker on a real Redis, and all the events it sends."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from celery import Celery
from celery.events import EventDispatcher, EventReceiver

from app.dev.redis import EmbeddedRedis
from tests.integration.pool_app import make_app
from tests.support.processes import RunningProcess, run_process
from tests.support.redis_server import running_redis
from tests.support.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]


class Events:
    """Every event on the broker, in order, from the moment the block begins."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._all: list[dict[str, Any]] = []
        self._receiver: Any = None
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Events:
        self._thread.start()
        with self._app.connection_for_write() as connection:
            dispatcher = EventDispatcher(connection, app=self._app, hostname="test")

            def heard() -> bool:
                dispatcher.send("test-begin")
                return bool(self._all)

            eventually(heard, message="no event was heard")
        return self

    def __exit__(self, *_: object) -> None:
        self._receiver.should_stop = True
        self._thread.join(5)

    def of(self, task_id: str) -> list[dict[str, Any]]:
        """All events of one task."""
        return [event for event in list(self._all) if event.get("uuid") == task_id]

    def kinds(self, task_id: str) -> list[str]:
        """The types of one task's events, without their common prefix."""
        return [event["type"].removeprefix("task-") for event in self.of(task_id)]

    def wait_for(self, task_id: str, kind: str) -> dict[str, Any]:
        """Wait for an event of one task; returns it."""
        eventually(
            lambda: kind in self.kinds(task_id),
            timeout=20,
            message=lambda: f"{kind} of {task_id}: {self.kinds(task_id)}",
        )
        return next(event for event in self.of(task_id) if event["type"] == f"task-{kind}")

    def _listen(self) -> None:
        with self._app.connection_for_read() as connection:
            handlers = {"*": self._all.append}
            self._receiver = EventReceiver(connection, handlers=handlers, app=self._app)
            self._receiver.capture(limit=None, timeout=None, wakeup=False)


@dataclass(kw_only=True)
class Bench:
    """One Redis, at most one worker, and a directory in which tasks and tests meet."""

    directory: Path
    server: EmbeddedRedis
    redis: RunningProcess
    app: Celery = field(init=False)

    def __post_init__(self) -> None:
        self.app = make_app(self.server.url)

    @contextmanager
    def worker(
        self, *options: str, concurrency: int = 10, **environment: str
    ) -> Iterator[RunningProcess]:
        """A worker of `pool_app`, ready to consume, until the block ends."""
        command = [sys.executable, "-m", "celery", "-A", "tests.integration.pool_app", "worker"]
        command += ["-c", str(concurrency), "-Q", "high,default,low", "-l", "INFO", "-E"]
        command += ["--without-gossip", "--without-mingle", *options]
        env = {"POOL_TEST_BROKER": self.server.url, "POOL_TEST_DIRECTORY": str(self.directory)}
        with run_process(
            command, env=env | environment, cwd=ROOT, ready=r"\bready\.", grace=0.1
        ) as process:
            yield process

    @contextmanager
    def redis_again(self) -> Iterator[None]:
        """The Redis that was killed, empty, until the block ends."""
        server = self.server
        with run_process(
            server.command,
            cwd=self.directory,
            stdin=server.configuration,
            ready=server.answers,
        ):
            yield

    @contextmanager
    def events(self) -> Iterator[Events]:
        """All events while the block runs."""
        with Events(self.app) as events:
            yield events

    def send(
        self, name: str, *args: object, queue: str = "default", retries: int = 0, id: str = ""
    ) -> str:
        """Send one message; returns its task id."""
        task_id = id or uuid4().hex
        self.app.send_task(
            f"tests.integration.pool_app.{name}",
            args=args,
            task_id=task_id,
            retries=retries,
            queue=queue,
        )
        return task_id

    def open(self, gate: str) -> None:
        """Let the tasks that wait for `gate` go on."""
        (self.directory / f"open-{gate}").touch()

    @property
    def journal(self) -> list[str]:
        """What the tasks have written so far."""
        path = self.directory / "journal"
        return path.read_text().splitlines() if path.exists() else []

    def wait_for(self, *lines: str, timeout: float = 20) -> None:
        """Wait until the journal holds all of `lines`."""
        eventually(
            lambda: set(lines) <= set(self.journal),
            timeout=timeout,
            message=lambda: f"{lines} not all in {self.journal}",
        )


@contextmanager
def bench(directory: Path) -> Iterator[Bench]:
    """A bench with a Redis of its own."""
    with ExitStack() as stack:
        server, process = stack.enter_context(running_redis(directory))
        yield Bench(directory=directory, server=server, redis=process)
