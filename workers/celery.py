"""The Celery app that `celery -A workers.celery worker` runs: queues, settings, the one task.

Early acknowledgement, no result backend, no countdown, eta, expires or Celery retry anywhere:
recovery comes from rows alone (`docs/explanation/design.md` has the measurements).
"""

from __future__ import annotations

import os
import sys
from logging import getLogger
from typing import Any

from celery import Celery, signals

from app import log as logging
from app.queue import TASK_NAME, celery_app
from app.runtime import Runtime
from app.settings import Settings, load_settings
from workers import careful_redis
from workers.carry_out import carry_out
from workers.dispatching import dispatcher_step
from workers.event_batches import EventBatches
from workers.pool import current_delivery, equip
from workers.revoking import cancel_revoked
from workers.services import JobServices

os.environ.setdefault("CELERY_CUSTOM_WORKER_POOL", "workers.pool:AsyncioPool")

_WORKER_OPTIONS = {
    "socket_timeout": 10,
    "socket_connect_timeout": 2,
    "socket_keepalive": True,
    "health_check_interval": 10,
    "max_connections": 50,
    "queue_order_strategy": "workers.pool.queue_order:ReservedSlotOrder",
}


def make_worker_app(settings: Settings) -> Celery:
    """The worker's Celery app. Nothing connects before the worker starts."""
    on_redis = settings.broker.startswith(("redis", "valkey", "unix"))
    careful_redis.use()
    app = celery_app(
        settings,
        broker_transport_options=_WORKER_OPTIONS if on_redis else {},
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        worker_pool="custom",
        worker_concurrency=settings.worker_concurrency,
        worker_disable_prefetch=on_redis,
        worker_prefetch_multiplier=1,
        worker_enable_prefetch_count_reduction=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_send_task_events=True,
        task_track_started=True,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
    )
    _furnish(app, settings)
    return app


def _furnish(app: Celery, settings: Settings) -> None:
    """Give the app its task, and its pool the services jobs are carried out with."""
    runtime = Runtime.from_settings(settings)
    services = JobServices(runtime, concurrency=lambda: settings.worker_concurrency)

    @app.task(name=TASK_NAME, bind=True, claims_first=True)  # type: ignore[untyped-decorator]
    async def run(_task: Any, output_id: object = None, *_more: Any, **_names: Any) -> str:
        return await carry_out(output_id, services.bench, current_delivery())

    @signals.celeryd_init.connect(weak=False)  # type: ignore[untyped-decorator]
    def learn_name(sender: str, **_: Any) -> None:
        services.worker = sender
        runtime.wake.speaker = lambda: sender

    equip(app, grace_seconds=settings.shutdown_grace_seconds, services=lambda: [services])
    app.steps["worker"].add(dispatcher_step(runtime))
    app.steps["consumer"].add(EventBatches)
    cancel_revoked(runtime)


@signals.setup_logging.connect(weak=False)  # type: ignore[untyped-decorator]
def _one_log_pipeline(**_: Any) -> None:
    logging.configure(load_settings(), json=not sys.stderr.isatty())
    # "Task … received": each job tells of its own start, and a refused message is no news.
    getLogger("celery.worker.strategy").setLevel("WARNING")


app = make_worker_app(load_settings())
