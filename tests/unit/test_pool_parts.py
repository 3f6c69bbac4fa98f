"""The parts of the asyncio pool that need no worker."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from workers.pool import current_delivery
from workers.pool.last_resort import EXIT_STATUS, LastResort
from workers.pool.mailbox import Mailbox
from workers.pool.tracing import RequestStack


def test_the_last_resort_exits_at_the_earliest_deadline_it_was_given() -> None:
    exited = threading.Event()
    statuses: list[int] = []

    def leave(status: int) -> None:
        statuses.append(status)
        exited.set()

    last_resort = LastResort(leave)
    last_resort.start()
    last_resort.arm(3600)
    last_resort.arm(0.01)

    assert exited.wait(5)
    assert statuses == [EXIT_STATUS]


def test_a_post_that_raises_does_not_keep_the_others() -> None:
    mailbox, seen = Mailbox(), []

    mailbox.post(_raise)
    mailbox.post(seen.append, "next")

    assert seen == ["next"]
    mailbox.close()


class Hub:
    """As much of kombu's hub as the mailbox uses."""

    def __init__(self) -> None:
        self.callback: Callable[[], None] | None = None

    def add_reader(self, _: object, callback: Callable[[], None]) -> None:
        self.callback = callback

    def remove_reader(self, _: object) -> None:
        self.callback = None


def test_posts_wait_for_the_hub_and_then_come_in_their_order() -> None:
    mailbox, hub, seen = Mailbox(), Hub(), []
    mailbox.attach(hub)

    for number in range(3):
        mailbox.post(seen.append, number)
    assert seen == []

    assert hub.callback
    hub.callback()
    assert seen == [0, 1, 2]
    mailbox.close()


def test_a_hub_that_failed_hears_of_what_was_posted_before() -> None:
    mailbox, failed, fresh, seen = Mailbox(), Hub(), Hub(), []
    mailbox.attach(failed)
    mailbox.post(seen.append, "posted to the failed hub")

    mailbox.attach(fresh)

    assert fresh.callback
    fresh.callback()
    assert seen == ["posted to the failed hub"]
    mailbox.close()


def test_a_request_stack_holds_what_was_pushed_last() -> None:
    stack = RequestStack("test")
    assert stack.top is None

    stack.push("outer")
    stack.push("inner")

    assert (stack.top, len(stack), stack.stack) == ("inner", 2, ["outer", "inner"])
    assert [stack.pop(), stack.pop(), stack.pop()] == ["inner", "outer", None]


def test_there_is_no_delivery_outside_of_a_task() -> None:
    with pytest.raises(RuntimeError, match="no coroutine task is running here"):
        current_delivery()


def _raise() -> None:
    raise ValueError("told to")
