"""The parts of the asyncio pool that need no worker."""

from __future__ import annotations

import asyncio
import select
import socket
import threading
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from celery import signals

from workers.pool import Delivery, current_delivery
from workers.pool.delivery import Callbacks, End, Outcome
from workers.pool.last_resort import EXIT_STATUS, LastResort
from workers.pool.mailbox import Mailbox
from workers.pool.runner import Runner
from workers.pool.tracing import RequestStack, trace


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
        self._reader: tuple[socket.socket, Callable[[], None]] | None = None

    def add_reader(self, file: socket.socket, callback: Callable[[], None]) -> None:
        self._reader = (file, callback)

    def remove_reader(self, _: socket.socket) -> None:
        self._reader = None

    def poll(self) -> None:
        """Call back if there is something to read."""
        assert self._reader
        file, callback = self._reader
        if select.select([file], [], [], 0)[0]:
            callback()


def test_posts_wait_for_the_hub_and_then_come_in_their_order() -> None:
    mailbox, hub, seen = Mailbox(), Hub(), []
    mailbox.attach(hub)
    hub.poll()

    for number in range(3):
        mailbox.post(seen.append, number)
    assert seen == []

    hub.poll()
    assert seen == [0, 1, 2]
    mailbox.close()


def test_a_hub_that_failed_hears_of_what_was_posted_before() -> None:
    mailbox, failed, fresh, seen = Mailbox(), Hub(), Hub(), []
    mailbox.attach(failed)
    failed.poll()
    mailbox.post(seen.append, "posted to the failed hub")

    mailbox.attach(fresh)

    fresh.poll()
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


# --- the runner ---------------------------------------------------------------------------------


class Stage:
    """A runner of `limit` slots with deliveries that last until they are told to end."""

    def __init__(self, *, limit: int) -> None:
        self.ends: list[tuple[str, End]] = []
        self.began: list[str] = []
        self.curtain = asyncio.Event()
        self.runner = Runner(limit=limit, on_end=self._ended)

    def arrive(self, name: str, *, cancellable: bool = True) -> Delivery:
        delivery = Delivery(
            request=SimpleNamespace(id=name, delivery_info={}),
            pid=0,
            callbacks=Callbacks(accepted=_raise, succeeded=_raise, failed=_raise),
            work=self._play,
            cancellable=cancellable,
            on_accept=_raise,
            on_terminate=_raise,
        )
        self.runner.arrive(delivery)
        return delivery

    async def settle(self) -> None:
        """Until everything that can happen now has happened."""
        for _ in range(5):
            await asyncio.sleep(0)

    async def _play(self, delivery: Delivery) -> Outcome:
        self.began.append(delivery.id)
        await self.curtain.wait()
        return Outcome(End.SUCCEEDED)

    def _ended(self, delivery: Delivery, outcome: Outcome) -> None:
        self.ends.append((delivery.id, outcome.end))


def test_a_larger_limit_starts_who_waits() -> None:
    async def scene() -> None:
        stage = Stage(limit=1)
        stage.arrive("a")
        stage.arrive("b")
        await stage.settle()
        assert (stage.began, stage.runner.running, stage.runner.waiting) == (["a"], 1, 1)

        stage.runner.resize(2)
        await stage.settle()

        assert stage.began == ["a", "b"]
        stage.curtain.set()
        await stage.settle()

    asyncio.run(scene())


def test_a_closed_runner_releases_who_waits_and_who_still_comes() -> None:
    async def scene() -> None:
        stage = Stage(limit=1)
        for name in ("running", "waiting"):
            stage.arrive(name)

        stage.runner.close()
        stage.arrive("late")
        assert stage.ends == [("waiting", End.RELEASED), ("late", End.RELEASED)]
        assert not stage.runner.idle

        stage.curtain.set()
        await stage.settle()
        assert stage.ends[2:] == [("running", End.SUCCEEDED)]
        assert stage.runner.idle

    asyncio.run(scene())


def test_cancelling_ends_a_delivery_that_waits_and_one_that_has_not_taken_a_step() -> None:
    async def scene() -> None:
        stage = Stage(limit=1)
        running, waiting = stage.arrive("running"), stage.arrive("waiting")

        stage.runner.cancel(waiting, End.TERMINATED)
        stage.runner.cancel(running, End.INTERRUPTED)
        await stage.settle()

        assert stage.ends == [("waiting", End.TERMINATED), ("running", End.INTERRUPTED)]
        assert stage.runner.running == 0

    asyncio.run(scene())


def test_a_thread_keeps_its_slot_until_it_ends_by_itself() -> None:
    async def scene() -> None:
        stage = Stage(limit=1)
        thread = stage.arrive("thread", cancellable=False)
        await stage.settle()

        stage.runner.cancel(thread, End.TERMINATED)
        await stage.settle()
        assert (stage.runner.running, stage.ends) == (1, [])

        stage.curtain.set()
        await stage.settle()
        assert stage.ends == [("thread", End.SUCCEEDED)]

    asyncio.run(scene())


# --- tracing ------------------------------------------------------------------------------------


class FailingTask:
    """As much of a Celery task as tracing uses."""

    name = "failing"
    claims_first = True

    def __init__(self) -> None:
        self.request_stack = RequestStack(self.name)

    async def run(self, prompt: str) -> None:
        try:
            raise ValueError(prompt)
        except ValueError as error:
            raise RuntimeError("failed (job 7)") from error


@pytest.fixture
def failing() -> Delivery:
    """A delivery whose task fails."""
    facts = {"task": FailingTask(), "args": ("secret",), "kwargs": {}, "request_dict": {}}
    return Delivery(
        request=SimpleNamespace(id="7", **facts),
        pid=0,
        callbacks=Callbacks(accepted=_raise, succeeded=_raise, failed=_raise),
        work=trace,
        cancellable=True,
        on_accept=lambda _: None,
        on_terminate=_raise,
    )


def test_what_a_failed_task_leaves_holds_no_frames(failing: Delivery) -> None:
    outcome = asyncio.run(trace(failing))

    assert outcome.end is End.FAILED
    assert repr(outcome.error) == "RuntimeError('failed (job 7)')"
    assert outcome.error
    assert outcome.error.__traceback__ is None
    assert outcome.error.__context__ is outcome.error.__cause__ is None


def test_receivers_of_the_run_signals_hear_of_a_coroutine_task(failing: Delivery) -> None:
    heard: list[tuple[str, object]] = []

    def before(task_id: str, **_: object) -> None:
        heard.append((task_id, "before"))

    def after(task_id: str, state: str, **_: object) -> None:
        heard.append((task_id, state))

    signals.task_prerun.connect(before)
    signals.task_postrun.connect(after)
    try:
        asyncio.run(trace(failing))
    finally:
        signals.task_prerun.disconnect(before)
        signals.task_postrun.disconnect(after)

    assert heard == [("7", "before"), ("7", "FAILURE")]


def _raise(*_: object) -> None:
    raise ValueError("told to")
