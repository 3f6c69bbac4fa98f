"""Events of a quiet worker leave at once, those of a busy one in batches, and none stays behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from workers import event_batches
from workers.event_batches import GATHER_SECONDS, EventBatches


@dataclass
class Hub:
    """Celery's loop: keeps what it is asked to call."""

    soon: list[Callable[[], None]] = field(default_factory=list)
    later: list[tuple[float, Callable[[], None]]] = field(default_factory=list)

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.soon.append(callback)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> None:
        self.later.append((seconds, callback))


@dataclass
class Dispatcher:
    """Celery's event dispatcher: gathers, and publishes when it is flushed."""

    gathered: list[str] = field(default_factory=list)
    published: list[list[str]] = field(default_factory=list)
    on_send_buffered: Callable[[], None] = lambda: None
    buffer_limit: int = 24

    def send(self, *events: str) -> None:
        for event in events:
            self.gathered.append(event)
            self.on_send_buffered()

    def flush(self) -> None:
        self.published.append(self.gathered)
        self.gathered = []


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The time, which stands still until it is set."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(event_batches, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def test_after_a_pause_at_once_then_together(clock: SimpleNamespace) -> None:
    hub, dispatcher = Hub(), Dispatcher()
    EventBatches(None).start(SimpleNamespace(hub=hub, event_dispatcher=dispatcher))
    dispatcher.send("received", "started")
    (flush,) = hub.soon
    flush()
    assert dispatcher.published == [["received", "started"]]

    clock.now += GATHER_SECONDS / 2
    dispatcher.send("succeeded", "received")
    ((wait, flush_later),) = hub.later
    assert wait == pytest.approx(GATHER_SECONDS / 2)
    flush_later()
    assert dispatcher.published[1:] == [["succeeded", "received"]]

    clock.now += GATHER_SECONDS
    dispatcher.send("started")
    assert (len(hub.soon), len(hub.later)) == (2, 1)


def test_stopping_sends_what_has_gathered(clock: SimpleNamespace) -> None:
    consumer = SimpleNamespace(hub=Hub(), event_dispatcher=Dispatcher())
    step = EventBatches(None)
    step.start(consumer)
    consumer.event_dispatcher.send("received")
    step.stop(consumer)
    assert consumer.event_dispatcher.published == [["received"]]
    consumer.event_dispatcher = None
    step.stop(consumer)  # the connection was lost before there was one
