"""The asyncio pool under a real worker on a real Redis: what Celery, Flower and operators see."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.pool_bench import ROOT, Bench, Events, bench
from tests.support.processes import run_process
from tests.support.waiting import eventually

START = ["received", "started"]

_LATE_SECONDS = 10
"""How late a slow machine may be; what must not hold the exit holds for a minute."""


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Bench]:
    """A bench without a worker."""
    with bench(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Bench, Events]]:
    """A bench with a worker of 1,000 slots, and its events: for tests that leave it running."""
    with (
        bench(tmp_path_factory.mktemp("pool")) as made,
        made.worker(concurrency=1000),
        made.events() as events,
    ):
        yield made, events


# --- running ------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [200, 1000])
def test_as_many_coroutines_as_there_are_slots_are_in_flight_together(
    shared: tuple[Bench, Events], size: int
) -> None:
    made, events = shared

    sent = [made.send("together", f"group-{size}", size) for _ in range(size)]

    made.wait_for(f"all {size} of group-{size} in flight", timeout=30)
    for task_id in sent:
        events.wait_for(task_id, "succeeded")
        assert events.kinds(task_id) == [*START, "succeeded"]


def test_a_task_sees_its_own_request_and_reports_its_result(
    shared: tuple[Bench, Events],
) -> None:
    made, events = shared

    task_id = made.send("note", "hello", retries=3)

    ended = events.wait_for(task_id, "succeeded")
    assert ended["result"] == "'hello'"
    assert ended["runtime"] >= 0
    assert f"noted hello as {task_id} try 3" in made.journal


def test_tasks_running_side_by_side_keep_their_own_context_and_request(
    shared: tuple[Bench, Events],
) -> None:
    made, events = shared
    sent = [made.send("contexts", name) for name in ("anne", "bert")]
    for task_id in sent:
        events.wait_for(task_id, "started")

    made.open("contexts")

    made.wait_for(
        "anne found unset, kept anne, request stays True",
        "bert found unset, kept bert, request stays True",
    )


def test_a_synchronous_task_runs_in_a_thread_with_the_usual_events(
    shared: tuple[Bench, Events],
) -> None:
    made, events = shared

    task_id = made.send("synchronous", 41)

    assert events.wait_for(task_id, "succeeded")["result"] == "42"
    assert events.kinds(task_id) == [*START, "succeeded"]
    assert any(line.startswith(f"synchronous {task_id} in pool-sync") for line in made.journal)


# --- what is shown ------------------------------------------------------------------------------


def test_a_message_whose_claim_is_refused_is_never_shown_as_started_or_ended(
    shared: tuple[Bench, Events],
) -> None:
    made, events = shared

    refused = made.send("refused")
    made.wait_for("refused")
    later = made.send("note", "later")

    events.wait_for(later, "succeeded")
    assert events.kinds(refused) == ["received"]
    active = made.app.control.inspect(limit=1).query_task(refused)
    assert [list(found.values()) for found in active.values()] == [[]]  # forgotten
    eventually(lambda: _unacknowledged(made) == 0, message=lambda: _unacknowledged(made))


def test_a_task_that_claims_first_is_started_when_it_says_so(
    shared: tuple[Bench, Events],
) -> None:
    made, events = shared
    task_id = made.send("claimed", "job")
    made.wait_for("claiming job")
    sentinel = made.send("note", "sentinel")
    events.wait_for(sentinel, "succeeded")
    assert events.kinds(task_id) == ["received"]

    made.open("claim-job")
    events.wait_for(task_id, "started")
    made.open("job")

    events.wait_for(task_id, "succeeded")


def test_a_retry_shows_its_reason_and_the_next_message_of_that_id_may_succeed(
    shared: tuple[Bench, Events],
) -> None:
    made, events = shared

    task_id = made.send("twice")
    retried = events.wait_for(task_id, "retried")
    made.send("twice", retries=1, id=task_id)

    events.wait_for(task_id, "succeeded")
    assert "rate_limited, due in 7 s" in retried["exception"]
    assert events.kinds(task_id) == [*START, "retried", *START, "succeeded"]


def test_a_failure_shows_the_words_of_its_exception_and_nothing_else(
    shared: tuple[Bench, Events],
) -> None:
    made, events = shared

    task_id = made.send("fail", "hunter2")

    failed = events.wait_for(task_id, "failed")
    assert failed["exception"] == "Failed('provider_failed (job 7)')"
    assert not failed["traceback"]
    assert events.kinds(task_id) == [*START, "failed"]
    shown = [event for event in events.of(task_id) if event["type"] != "task-received"]
    assert "hunter2" not in repr(shown)


def test_a_task_that_wants_to_leave_the_process_only_fails(
    shared: tuple[Bench, Events],
) -> None:
    made, events = shared

    task_id = made.send("leave")

    assert "SystemExit" in events.wait_for(task_id, "failed")["exception"]
    events.wait_for(made.send("note", "still here"), "succeeded")


# --- revoking, sizes, numbers -------------------------------------------------------------------


def test_revoking_a_running_task_cancels_it_and_lets_it_clean_up(
    shared: tuple[Bench, Events],
) -> None:
    made, events = shared
    task_id = made.send("hold", "revoked")
    events.wait_for(task_id, "started")

    made.app.control.revoke(task_id, terminate=True)

    made.wait_for("left revoked")
    events.wait_for(task_id, "revoked")
    sentinel = made.send("note", "after revoke")
    events.wait_for(sentinel, "succeeded")
    assert events.kinds(task_id) == [*START, "revoked"]


def test_revoking_a_task_that_still_claims_ends_it_as_revoked(
    shared: tuple[Bench, Events],
) -> None:
    made, events = shared
    task_id = made.send("claimed", "never")
    made.wait_for("claiming never")

    made.app.control.revoke(task_id, terminate=True)

    events.wait_for(task_id, "revoked")
    assert events.kinds(task_id) == ["received", "revoked"]


def test_a_task_revoked_while_it_waits_is_never_begun(own: Bench) -> None:
    with own.events() as events, own.worker(concurrency=1, POOL_TEST_PREFETCH="1"):
        own.send("hold", "first")
        waiting = own.send("hold", "revoked")
        own.wait_for("began first")
        eventually(lambda: _pool(own)["waiting"] == 1)
        own.app.control.revoke(waiting, reply=True, limit=1)

        own.open("first")

        events.wait_for(waiting, "revoked")
        own.send("note", "next")
        eventually(lambda: any("noted next" in line for line in own.journal))
        assert "began revoked" not in own.journal


def test_a_duplicate_that_is_refused_leaves_the_running_one_terminable(
    shared: tuple[Bench, Events],
) -> None:
    made, events = shared
    task_id = made.send("hold", "original")
    events.wait_for(task_id, "started")
    made.send("refused", id=task_id)
    eventually(lambda: events.kinds(task_id).count("received") == 2)
    events.wait_for(made.send("note", "after duplicate"), "succeeded")

    made.app.control.revoke(task_id, terminate=True)

    made.wait_for("left original")


def test_the_pool_tells_its_size_and_takes_another(shared: tuple[Bench, Events]) -> None:
    made, events = shared
    events.wait_for(made.send("hold", "counted"), "started")

    before = _pool(made)
    assert before["implementation"].endswith("AsyncioPool")
    assert before["max-concurrency"] == 1000
    assert before["running"] == 1
    assert before["waiting"] == 0
    assert before["accepted"] >= 1

    made.app.control.pool_grow(2, reply=True)
    assert _pool(made)["max-concurrency"] == 1002
    made.app.control.pool_shrink(2, reply=True)
    assert _pool(made)["max-concurrency"] == 1000
    made.open("counted")


# --- order --------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefetch", ["0", "1"])
def test_a_high_job_behind_twenty_low_ones_starts_next(own: Bench, prefetch: str) -> None:
    names = [f"low-{number}" for number in range(20)]
    with own.worker(concurrency=3, POOL_TEST_PREFETCH=prefetch):
        for name in names:
            own.send("hold", name, queue="low")
        own.wait_for("began low-0", "began low-1", "began low-2")
        own.send("hold", "urgent", queue="high")
        if prefetch == "1":
            eventually(lambda: _pool(own)["waiting"] == 18)

        own.open("low-1")

        own.wait_for("began urgent")
        began = [line for line in own.journal if line.startswith("began")]
        assert began[3:] == ["began urgent"]


@pytest.mark.parametrize("prefetch", ["0", "1"])
def test_a_stream_of_high_jobs_leaves_one_slot_to_the_others(own: Bench, prefetch: str) -> None:
    with own.worker(concurrency=3, POOL_TEST_PREFETCH=prefetch):
        for number in range(3):
            own.send("hold", f"high-{number}", queue="high")
        own.wait_for("began high-0", "began high-1", "began high-2")
        for number in range(3, 13):
            own.send("hold", f"high-{number}", queue="high")
        own.send("hold", "patient", queue="low")
        own.send("hold", "second", queue="low")
        if prefetch == "1":
            eventually(lambda: _pool(own)["waiting"] == 12)

        own.open("high-0")
        own.wait_for("began patient")
        own.open("high-1")
        own.wait_for("began high-3")

        assert "began second" not in own.journal


# --- ending -------------------------------------------------------------------------------------


def test_the_command_line_takes_the_pool_as_custom(own: Bench) -> None:
    with own.worker("-P", "custom", CELERY_CUSTOM_WORKER_POOL="workers.pool:AsyncioPool") as worker:
        own.send("note", "custom")
        eventually(lambda: own.journal)
        worker.signal(signal.SIGTERM)
        assert worker.wait() == 0


def test_a_worker_inside_another_program_runs_without_a_hub_and_leaves_nothing_behind() -> None:
    command = [sys.executable, "-m", "tests.integration.pool_embedded"]
    with run_process(command, cwd=ROOT) as program:
        assert program.wait() == 0, program.output
    assert "ran on asyncio-pool" in program.output
    assert "left behind: set()" in program.output


def test_sigterm_lets_running_tasks_finish_and_starts_none(own: Bench) -> None:
    with own.events() as events, own.worker(concurrency=2, POOL_TEST_PREFETCH="1") as worker:
        running = [own.send("hold", name) for name in ("one", "two")]
        own.wait_for("began one", "began two")
        waiting = own.send("hold", "three")
        eventually(lambda: _pool(own)["waiting"] == 1)

        worker.signal(signal.SIGTERM)
        own.wait_for("service drains")
        own.open("one")
        own.open("two")
        own.open("three")

        assert worker.wait() == 0
        for task_id in running:
            events.wait_for(task_id, "succeeded")
        assert "began three" not in own.journal
        assert events.kinds(waiting) == ["received"]
    assert own.journal[0] == "service started, loop running True"
    assert own.journal[-1] == "service stopped"
    with own.worker():
        own.wait_for("began three")  # its message was not acknowledged, and went back


def test_a_service_that_cannot_start_stops_the_worker(own: Bench) -> None:
    with (
        pytest.raises(AssertionError, match="this service cannot start"),
        own.worker(POOL_TEST_SERVICE="broken"),
    ):
        pass


def test_sigterm_beyond_the_grace_cancels_the_rest_and_ends_in_time(own: Bench) -> None:
    with own.events() as events, own.worker(POOL_TEST_GRACE="1") as worker:
        task_id = own.send("hold", "long")
        own.send("claimed", "unclaimed")
        own.wait_for("began long", "claiming unclaimed")

        began = time.monotonic()
        worker.signal(signal.SIGTERM)

        assert worker.wait() == 0
        assert time.monotonic() - began < 1 + _LATE_SECONDS
        assert "WorkerStopped" in events.wait_for(task_id, "retried")["exception"]
    assert own.journal[-2:] == ["left long", "service stopped"]


@pytest.mark.parametrize("task", ["stubborn", "blocking", "sleepy"])
def test_no_task_can_hold_the_exit(own: Bench, task: str) -> None:
    with own.worker(POOL_TEST_GRACE="0.5") as worker:
        own.send(task)
        eventually(lambda: any("began" in line for line in own.journal))

        began = time.monotonic()
        worker.signal(signal.SIGTERM)

        worker.wait()
        assert time.monotonic() - began < 0.5 + _LATE_SECONDS
    assert "service stopped" in own.journal


def test_sigquit_cancels_at_once_and_raises_nothing(own: Bench) -> None:
    with own.events() as events, own.worker() as worker:
        running = own.send("hold", "running")
        unclaimed = own.send("claimed", "unclaimed")
        own.wait_for("began running", "claiming unclaimed")

        worker.signal(signal.SIGQUIT)

        worker.wait(timeout=5)
        assert "Traceback" not in worker.output
        events.wait_for(running, "retried")  # it will run elsewhere: no end
        assert events.kinds(unclaimed) == ["received"]
    assert own.journal[-2:] == ["left running", "service stopped"]


def test_a_second_ctrl_c_ends_the_grace(own: Bench) -> None:
    with own.worker() as worker:
        own.send("hold", "running")
        own.send("claimed", "unclaimed")
        own.wait_for("began running", "claiming unclaimed")

        worker.signal(signal.SIGINT)
        own.wait_for("service drains")
        worker.signal(signal.SIGINT)

        worker.wait(timeout=5)
        assert "Traceback" not in worker.output
    assert own.journal[-2:] == ["left running", "service stopped"]


# --- without a broker ---------------------------------------------------------------------------


def test_tasks_go_on_and_end_while_redis_is_dead_and_consuming_resumes_after(
    own: Bench,
) -> None:
    with own.worker(concurrency=2) as worker:
        own.send("hold", "one")
        own.send("hold", "two")
        own.wait_for("began one", "began two")
        own.redis.signal(signal.SIGKILL)
        worker.wait_for("Connection to broker lost")

        own.open("one")
        own.open("two")
        own.wait_for("left one", "left two")

        with own.redis_again():
            own.send("note", "back")
            eventually(
                lambda: any("noted back" in line for line in own.journal),
                timeout=30,
                message=lambda: worker.output,
            )


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP])
def test_sigterm_ends_a_worker_whose_redis_is_dead_or_mute(
    own: Bench, fault: signal.Signals
) -> None:
    with own.worker(POOL_TEST_GRACE="1") as worker:
        own.send("hold", "running")
        own.wait_for("began running")
        own.redis.signal(fault)

        began = time.monotonic()
        worker.signal(signal.SIGTERM)

        worker.wait()
        assert time.monotonic() - began < 1 + _LATE_SECONDS
        own.redis.signal(signal.SIGCONT)


def _pool(made: Bench) -> dict[str, object]:
    (stats,) = made.app.control.inspect(limit=1).stats().values()
    return stats["pool"]


def _unacknowledged(made: Bench) -> int:
    with made.app.connection_for_read() as connection:
        return connection.default_channel.client.hlen("unacked")
