"""A Celery app whose tasks can be watched and held: what `test_pool.py` runs a real worker on.

Tasks write lines into `journal` and wait for files, both in `POOL_TEST_DIRECTORY`: that works while
the broker is away, and across processes.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
import time
from pathlib import Path

from celery import Celery
from celery.exceptions import Ignore, Retry
from kombu import Exchange, Queue

from workers.pool import current_delivery, equip

DIRECTORY = Path(os.environ.get("POOL_TEST_DIRECTORY", "."))
GRACE_SECONDS = float(os.environ.get("POOL_TEST_GRACE", "10"))
QUEUES = ("high", "default", "low")

_exchange = Exchange("pool-test", type="direct")


def make_app(broker: str) -> Celery:
    """An app on `broker`, configured as the product's worker is."""
    made = Celery("pool_test", broker=broker, set_as_current=False)
    made.conf.update(
        worker_pool="workers.pool:AsyncioPool",
        worker_disable_prefetch=os.environ.get("POOL_TEST_PREFETCH") != "1",
        worker_prefetch_multiplier=20 if os.environ.get("POOL_TEST_PREFETCH") == "1" else 1,
        worker_enable_prefetch_count_reduction=False,
        worker_send_task_events=True,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_cancel_long_running_tasks_on_connection_loss=True,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "queue_order_strategy": "workers.pool.queue_order:ReservedSlotOrder",
            "socket_timeout": 10,
            "socket_connect_timeout": 2,
        },
        task_ignore_result=True,
        task_publish_retry=False,
        task_queues=[Queue(name, _exchange, routing_key=name) for name in QUEUES],
        task_default_queue="default",
        task_default_exchange="pool-test",
        task_default_routing_key="default",
    )
    return made


class JournalService:
    """A service that only tells what is asked of it."""

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        if os.environ.get("POOL_TEST_SERVICE") == "broken":
            raise OSError("this service cannot start")
        journal(f"service started, loop running {loop.is_running()}")

    def drain(self) -> None:
        journal("service drains")

    def stop(self) -> None:
        journal("service stopped")


app = make_app(os.environ.get("POOL_TEST_BROKER", "memory://"))
equip(app, grace_seconds=GRACE_SECONDS, services=lambda: [JournalService()])

_ready: dict[str, int] = {}
_all_ready: dict[str, asyncio.Event] = {}
_own = contextvars.ContextVar("own", default="unset")


class Failed(Exception):
    """Carries a code and nothing else, as the product's exceptions do."""


def journal(line: str) -> None:
    """Append one line; small appends of several threads do not mix."""
    with (DIRECTORY / "journal").open("a") as file:
        file.write(f"{line}\n")


async def gate(name: str) -> None:
    """Wait until the test opens the gate `name`."""
    while not (DIRECTORY / f"open-{name}").exists():  # noqa: ASYNC110 - a file tells nobody
        await asyncio.sleep(0.01)


@app.task(bind=True)
async def note(self, text: str) -> str:
    journal(f"noted {text} as {self.request.id} try {self.request.retries}")
    return text


@app.task
async def hold(name: str) -> None:
    journal(f"began {name}")
    try:
        await gate(name)
    finally:
        await asyncio.sleep(0.1)  # cleaning up may take its time
        journal(f"left {name}")


@app.task
async def together(group: str, size: int) -> None:
    """Ends only when `size` of its group are in flight at the same time."""
    everybody = _all_ready.setdefault(group, asyncio.Event())
    _ready[group] = _ready.get(group, 0) + 1
    if _ready[group] == size:
        journal(f"all {size} of {group} in flight")
        everybody.set()
    await everybody.wait()


@app.task(claims_first=True)
async def refused() -> None:
    journal("refused")
    raise Ignore


@app.task(claims_first=True)
async def claimed(name: str) -> None:
    journal(f"claiming {name}")
    await gate(f"claim-{name}")
    current_delivery().accept()
    await gate(name)


@app.task(bind=True, claims_first=True)
async def twice(self) -> str:
    current_delivery().accept()
    if self.request.retries == 0:
        raise Retry("rate_limited, due in 7 s")
    return "done"


@app.task
async def fail(secret: str) -> None:
    prompt = f"the prompt says {secret}"
    try:
        raise ValueError(prompt)
    except ValueError as error:
        raise Failed("provider_failed (job 7)") from error


@app.task
async def leave() -> None:
    raise SystemExit(3)


@app.task(bind=True)
async def contexts(self, name: str) -> None:
    inherited = _own.get()
    _own.set(name)
    request = self.request.id
    await gate("contexts")
    same = self.request.id == request == current_delivery().id
    journal(f"{name} found {inherited}, kept {_own.get()}, request stays {same}")


@app.task(bind=True)
def synchronous(self, number: int) -> int:
    where = threading.current_thread().name
    journal(f"synchronous {self.request.id} in {where}")
    return number + 1


@app.task
def sleepy() -> None:
    journal("sleepy began")
    time.sleep(60)


@app.task
async def stubborn() -> None:
    """Refuses to be cancelled."""
    journal("began stubborn")
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            journal("stubborn was asked")


@app.task
async def blocking() -> None:
    """Keeps the whole loop."""
    journal("began blocking")
    time.sleep(60)  # noqa: ASYNC251
