"""A program with a worker inside: the pool on a thread that is not the main one, without a hub."""

from __future__ import annotations

import threading

from celery import Celery
from celery.contrib.testing.worker import start_worker

from tests.support.waiting import eventually
from workers.pool import AsyncioPool, current_delivery

app = Celery("embedded", broker="memory://", set_as_current=False)
app.conf.update(task_ignore_result=True, worker_hijack_root_logger=False)


@app.task(claims_first=True)
async def where() -> None:
    current_delivery().accept()
    print(f"ran on {threading.current_thread().name}", flush=True)


def main() -> None:
    with start_worker(app, pool=AsyncioPool, perform_ping_check=False) as worker:
        app.send_task(where.name)
        eventually(lambda: worker.pool.info["accepted"] == 1 and not worker.pool.info["running"])
    names = {thread.name for thread in threading.enumerate()}
    print(f"left behind: {names & {'asyncio-pool', 'last-resort'}}", flush=True)


if __name__ == "__main__":
    main()
