"""The order in which Redis is asked for messages: the waiting room's rule, one step earlier.

With prefetching disabled next to nothing waits in the worker, so the rule must hold where messages
are fetched. Kombu's own orders cannot keep a slot: `priority` starves what stands last, and
`round_robin` knows no priority. Named in the worker's transport options:

    queue_order_strategy = "workers.pool.queue_order:ReservedSlotOrder"
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from kombu.utils.scheduling import priority_cycle

from workers.pool.waiting_room import Rank


class ReservedSlotOrder(priority_cycle):
    """High, default, low; while the reserved slot is free, default and low first, in turns.

    Redis does not tell which of two queues holds the older message, hence turns.
    """

    # Kombu makes one of these per channel and tells it nothing, so the pool of this process,
    # which there is one of, leaves its question here.
    reserved_is_free: ClassVar[Callable[[], bool]] = staticmethod(lambda: False)

    _last_lower: str | None = None

    def consume(self, n: int) -> list[str]:
        """The first `n` queues to ask, in their order."""
        queues: list[str] = sorted(self.items, key=Rank.of)
        if type(self).reserved_is_free():
            queues.sort(key=lambda queue: (Rank.of(queue) is Rank.HIGH, queue == self._last_lower))
        return queues[:n]

    def rotate(self, last_used: str) -> None:
        """Told which queue gave the last message."""
        if Rank.of(last_used) is not Rank.HIGH:
            self._last_lower = last_used
