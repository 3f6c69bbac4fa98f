"""What the pool owns besides tasks: the services that must outlive Celery's own parts.

Celery stops its bootsteps *before* the pool, while tasks still run. Whatever running tasks depend
on (the heartbeat that keeps their leases, the writer that stores their ends) is therefore started
and stopped by the pool. The application says which: `equip(app, services=…, grace_seconds=…)`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

_ATTRIBUTE = "asyncio_pool_equipment"


class Service(Protocol):
    """Something that lives exactly as long as the pool.

    `start` and `drain` are called on Celery's main thread, `stop` on one of its own.
    """

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin; `loop` is the running loop of the tasks. Raising stops the worker's start."""

    def drain(self) -> None:
        """The worker shuts down: nothing new will start, running tasks go on. Returns at once."""

    def stop(self) -> None:
        """No task runs any more: finish what is left and end. Given about a second."""


@dataclass(frozen=True, kw_only=True)
class Equipment:
    """How an application's pool is furnished.

    `grace_seconds` is how long running tasks may take to finish at a warm shutdown; `services` is
    called once when the pool starts, and its services are started in their order and stopped in
    reverse.
    """

    grace_seconds: float = 30.0
    services: Callable[[], Sequence[Service]] = tuple


def equip(
    app: Any,
    *,
    grace_seconds: float = Equipment.grace_seconds,
    services: Callable[[], Sequence[Service]] = tuple,
) -> None:
    """Furnish the pool of the Celery `app`, as `Equipment` says; call before its worker starts."""
    setattr(app, _ATTRIBUTE, Equipment(grace_seconds=grace_seconds, services=services))


def equipment_of(app: Any) -> Equipment:
    """What `equip` said, or the defaults."""
    equipment = getattr(app, _ATTRIBUTE, None)
    return equipment if isinstance(equipment, Equipment) else Equipment()
