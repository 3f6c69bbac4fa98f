"""What a follower sees while the model writes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import groupby

from app.jobs import Submission
from app.streaming import StreamEvent
from models import ENDED
from tests.support.platform import Platform
from tests.support.waiting import eventually

WRITES = "simulator/tokens-60+rate-120"


class Follower:
    """Follows a job in a thread until it has ended, or until it is told to stop."""

    def __init__(self, platform: Platform, job: Submission, after: str = "0-0") -> None:
        self.events: list[StreamEvent] = []
        self.listening = threading.Event()
        self._source = platform.runtime.events.follow(job.job_id, after, keepalive_seconds=0.2)
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def named(self, event: str) -> list[StreamEvent]:
        return [one for one in self.events if one.event == event]

    @property
    def statuses(self) -> list[str]:
        return [one.data["status"] for one in self.named("status")]

    @property
    def text(self) -> str:
        return "".join(delta.data["text"] for delta in self.named("delta"))

    def until(self, seen: Callable[[], object]) -> None:
        eventually(seen, timeout=15, message=lambda: self.events)

    def stop(self) -> None:
        self._enough.set()
        self._thread.join(5)

    def _follow(self) -> None:
        for event in self._source:
            self.listening.set()
            if event.event != "keepalive":
                self.events.append(event)
            if self._enough.is_set():
                return


@contextmanager
def following(platform: Platform, job: Submission, after: str = "0-0") -> Iterator[Follower]:
    """A follower; it listens before the job begins (`after`: the job has begun long ago)."""
    follower = Follower(platform, job, after)
    try:
        if after == "0-0":
            assert follower.listening.wait(15)
            platform.begin(job)
        yield follower
    finally:
        follower.stop()


def test_a_follower_sees_the_text_while_it_is_written(any_platform: Platform) -> None:
    job = any_platform.submit_for_later(model=WRITES)
    with following(any_platform, job) as follower:
        follower.until(lambda: follower.text)
        assert any_platform.row(job).status == "processing"
        follower.until(lambda: follower.statuses[-1:] == ["completed"])
    (row,) = any_platform.wait_ended(job)
    assert follower.text == row.raw_response
    assert len(follower.named("delta")) > 3
    position = 0
    for delta in follower.named("delta"):
        assert (delta.data["offset"], delta.data["attempt"]) == (position, 1)
        position += len(delta.data["text"])


def test_a_follower_sees_each_change_of_status(any_platform: Platform) -> None:
    job = any_platform.submit_for_later(model="simulator/500-once")
    with following(any_platform, job) as follower:
        follower.until(lambda: follower.statuses[-1:] == ["completed"])
    # The end may be heard twice: as news, and by looking the row up.
    changes = [status for status, _ in groupby(follower.statuses)]
    assert changes == ["processing", "pending", "processing", "completed"]


def test_a_further_call_begins_with_a_reset(platform: Platform) -> None:
    job = platform.submit_for_later(model="simulator/cut-once+tokens-60")
    with following(platform, job) as follower:
        follower.until(lambda: follower.statuses[-1:] == ["completed"])
    (row,) = platform.wait_ended(job)
    kinds = [one.event for one in follower.events if one.event in ("delta", "reset")]
    assert kinds.count("reset") == 1
    after = follower.events[[one.event for one in follower.events].index("reset") :]
    text = "".join(one.data["text"] for one in after if one.event == "delta")
    assert text == row.raw_response


def test_a_reader_that_comes_back_goes_on_where_it_was(platform: Platform) -> None:
    job = platform.submit_for_later(model=WRITES)
    with following(platform, job) as first:
        first.until(lambda: len(first.named("delta")) >= 2)
    seen = first.named("delta")
    with following(platform, job, after=seen[-1].id) as second:
        second.until(lambda: second.statuses[-1:] == ["completed"])
    assert next(one.id for one in second.named("delta")) > seen[-1].id
    (row,) = platform.wait_ended(job)
    texts = [delta.data["text"] for delta in [*seen, *second.named("delta")]]
    assert "".join(texts) == row.raw_response


def test_only_jobs_that_somebody_follows_are_streamed(platform: Platform) -> None:
    followed, alone = platform.submit_for_later(), platform.submit_for_later()
    with following(platform, followed) as follower:
        follower.until(lambda: follower.statuses[-1:] == ["completed"])
    platform.begin(alone)
    platform.wait_ended(alone)
    assert [platform.simulator.calls(j.job_id)[0].stream for j in (followed, alone)] == [
        True,
        False,
    ]


def test_a_long_answer_is_streamed_in_any_case(platform: Platform) -> None:
    job = platform.submit(options={"max_tokens": 8000})
    platform.wait_ended(job)
    assert platform.simulator.calls(job.job_id)[0].stream
    assert platform.attempts(job)[0].first_token_seconds is not None


def test_waiting_ends_with_the_job(any_platform: Platform) -> None:
    job = any_platform.submit(model="simulator/latency-0.5")
    any_platform.runtime.events.wait_ended([job.job_id], 20)
    assert any_platform.row(job).status in ENDED
