"""The pool for Celery that runs coroutine tasks: many calls in flight, one thread, one loop.

Chosen by `worker_pool = "workers.pool:AsyncioPool"` in the app's configuration, or on the command
line by `CELERY_CUSTOM_WORKER_POOL=workers.pool:AsyncioPool celery … worker -P custom`.

Two threads matter. Celery's main thread consumes: it reads the broker, acknowledges, sends events
and keeps Celery's books. The loop's thread works: it runs the tasks and never touches the broker,
so that a slow or dead one delays messages and events, and no call. They meet in two places:

    main                                    loop
    on_apply ─────── call_soon_threadsafe ──▶ Runner: waiting room → slot → trace(task)
    Reception ◀────── Mailbox, wakes the hub ── accepted, then ended

What the loop posts, the hub runs in order: a delivery is first accepted (acknowledged, shown as
started), then ends (shown, its place given back, so that the consumer fetches the next at once).
Nothing is dropped, for nothing can pile up: one delivery makes two posts, and while the main
thread is busy with a dead broker it takes no deliveries in.

Order: a message waits by class (high, default, low), first come first served within one; one slot
is kept for the oldest waiting default or low message. `ReservedSlotOrder` keeps the same rule
where Redis is read, because with prefetching disabled hardly anything waits here.

End: Celery closes the pool first (nothing starts any more, services drain), stops its consumer,
then stops the pool, which waits for running tasks up to the grace, cancels the rest, and stops the
services and the loop. SIGQUIT and a second Ctrl-C cancel at once. `LastResort` ends the process
two seconds after the grace, whatever hangs.

A task ends as its coroutine does: return → succeeded, Retry → retried, Ignore → nothing at all,
any other exception → failed, with the exception's words and no traceback; cancelled by
`revoke(terminate=True)` → revoked, by a shutdown → retried. Synchronous tasks run in a few threads.
"""

from workers.pool.asyncio_pool import AsyncioPool
from workers.pool.delivery import Delivery, current_delivery
from workers.pool.services import Service, equip

__all__ = ["AsyncioPool", "Delivery", "Service", "current_delivery", "equip"]
