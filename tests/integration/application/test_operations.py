"""The picture operators see is what the rows say, and says so where it does not count further."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib import import_module
from typing import Any

import pytest
from sqlalchemy import insert, text, update

from app import lifecycle, operations, queues
from app.accounts import Caller
from app.errors import Forbidden, InvalidParameter, Unavailable, UnsupportedModel
from app.jobs import Counted
from app.lifecycle import Failed, Report, Snoozed
from app.liveness import Liveness, has_stalled, live_workers, liveness
from app.operations import NoticeCode, Operations, QueuePicture
from app.operations.backlog import backlog
from app.operations.picture import disagreements
from app.recent import Recent
from app.runtime import Runtime
from models import Attempt, ControlKind, LLMOutput, Queue, WorkerHeartbeat
from models.types import now, now_plus
from tests.integration.application.conftest import RecordedRuntime, Rows


@pytest.fixture(autouse=True)
def _nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_module("app.operations.health"), "_notices", Recent(-1))


def work(rows: Rows, name: str, *, ago: float = 0, ticked: float | None = 0, **facts: Any) -> None:
    """A worker's last report, and its dispatcher's, so many seconds ago."""
    usual: dict[str, Any] = {"host": "h", "pid": 7, "concurrency": 10}
    times = {"started_at": now_plus(-3600), "seen_at": now_plus(-ago)}
    if ticked is not None:
        times["ticked_at"] = now_plus(-ticked)
    with rows.runtime.database.write() as session:
        session.execute(insert(WorkerHeartbeat).values(name=name, **usual | times | facts))


def change(rows: Rows, output_id: int, **values: Any) -> None:
    with rows.runtime.database.write() as session:
        session.execute(update(LLMOutput).where(LLMOutput.id == output_id).values(**values))


def of_queue(picture: Operations, name: Queue) -> QueuePicture:
    return next(queue for queue in picture.queues if queue.name == name)


def codes(runtime: Runtime) -> list[NoticeCode]:
    return [notice.code for notice in operations.health(runtime)]


# the picture


def test_each_queue_is_counted_by_what_its_rows_wait_for(
    runtime: Runtime, rows: Rows, alice: Caller, admin: Caller
) -> None:
    later = datetime(2999, 1, 1, tzinfo=UTC)
    old = rows.submit(alice).output_id
    change(rows, old, run_at=now_plus(-90))
    rows.submit(alice)
    rows.submit(alice, run_at=later)
    rows.claim(rows.submit(alice, queue="high").output_id)
    picture = operations.picture(runtime, admin)
    default, high = of_queue(picture, Queue.DEFAULT), of_queue(picture, Queue.HIGH)
    assert [queue.name for queue in picture.queues] == list(Queue)
    counts = (default.ready, default.scheduled, default.processing)
    assert counts == (Counted(2), Counted(1), Counted(0))
    assert 90 <= (default.oldest_wait_seconds or 0) < 120
    assert (high.processing, high.ready, high.oldest_wait_seconds) == (Counted(1), Counted(0), None)


def test_jobs_without_a_caller_are_counted_too(
    runtime: Runtime, rows: Rows, alice: Caller, admin: Caller
) -> None:
    change(rows, rows.submit(alice).output_id, user_id=None, woken_at=None)
    assert of_queue(operations.picture(runtime, admin), Queue.DEFAULT).ready == Counted(1)


def test_completed_jobs_are_told_by_the_minute(
    runtime: Runtime, rows: Rows, alice: Caller, admin: Caller
) -> None:
    for seconds_ago in (5, 130, 131, 3700):
        change(rows, rows.completed(alice), finished_at=now_plus(-seconds_ago))
    picture = operations.picture(runtime, admin)
    minutes = of_queue(picture, Queue.DEFAULT).finished_per_minute
    assert (len(minutes), sum(minutes)) == (60, 3)
    assert (minutes[-1], minutes[-3]) == (1, 2)
    assert (picture.finished_capped, sum(of_queue(picture, Queue.LOW).finished_per_minute)) == (
        False,
        0,
    )


def test_a_busy_hour_is_counted_as_far_as_it_goes(
    runtime: Runtime, rows: Rows, alice: Caller, admin: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_module("app.operations.picture"), "FINISHED_ROWS", 2)
    for seconds_ago in (5, 600, 1200):
        change(rows, rows.completed(alice), finished_at=now_plus(-seconds_ago))
    picture = operations.picture(runtime, admin)
    assert picture.finished_capped
    assert sum(of_queue(picture, Queue.DEFAULT).finished_per_minute) == 2
    assert 590 < (picture.taken_at - picture.finished_since).total_seconds() < 700


def test_a_pause_says_since_when_why_and_by_whom(
    runtime: Runtime, rows: Rows, admin: Caller
) -> None:
    with runtime.database.write() as session:
        queues.pause(session, admin, ControlKind.QUEUE, "low", seconds=60, reason="upgrade")
        queues.pause(session, admin, ControlKind.MODEL, "gpt-4")
        lifecycle.pause(session, ControlKind.BUCKET, "ollama:qwen:7b:0a1b2c3d", seconds=60)
    picture = operations.picture(runtime, admin)
    pause = of_queue(picture, Queue.LOW).pause
    assert pause is not None
    assert (pause.reason, pause.by) == ("upgrade", "ada@example.org")
    assert pause.until is not None
    assert 30 < (pause.until - pause.since).total_seconds() < 90
    assert [(p.kind, p.name, p.by) for p in picture.pauses] == [
        ("bucket", "ollama:qwen:7b", None),
        ("model", "gpt-4", "ada@example.org"),
    ]
    assert of_queue(picture, Queue.HIGH).pause is None


def test_workers_are_shown_with_the_jobs_they_hold(
    runtime: Runtime, rows: Rows, alice: Caller, admin: Caller
) -> None:
    work(rows, "w1", in_flight=2, rss_bytes=5_000_000)
    work(rows, "w2", ago=30, ticked=None, draining=True)
    work(rows, "w3", ago=3600, ticked=3600)
    held = [rows.submit(alice).output_id for _ in range(2)]
    for output_id in held:
        rows.claim(output_id, worker="w1")
    picture = operations.picture(runtime, admin)
    one, two, three = picture.workers
    assert (one.name, one.host, one.pid, one.concurrency) == ("w1", "h", 7, 10)
    assert (one.in_flight, one.held, set(one.output_ids)) == (2, 2, set(held))
    assert (one.rss_bytes, one.draining, two.draining) == (5_000_000, False, True)
    states = [worker.liveness for worker in picture.workers]
    assert states == [Liveness.ALIVE, Liveness.LATE, Liveness.DEAD]
    assert 29 < two.heartbeat_age_seconds < 60
    assert (two.tick_age_seconds, three.alive) == (None, False)
    assert [w.dispatcher_stalled for w in picture.workers] == [False, True, True]
    assert not picture.dispatching.stalled
    assert 0 <= (picture.dispatching.last_tick_seconds_ago or 0) < 20


def test_rows_of_a_dead_worker_are_told(
    runtime: Runtime, rows: Rows, alice: Caller, admin: Caller
) -> None:
    work(rows, "w1")
    work(rows, "w2", ago=3600)
    for worker in ("w1", "w2", "w3"):
        rows.claim(rows.submit(alice).output_id, worker=worker)
    (told,) = operations.picture(runtime, admin).disagreements
    assert told.startswith("2 running jobs are held by workers that no longer report")


def test_a_broker_that_is_away_is_told(
    runtime: Runtime, recorded: RecordedRuntime, admin: Caller
) -> None:
    recorded.wake.depth_now = None
    picture = operations.picture(runtime, admin)
    assert [queue.messages for queue in picture.queues] == [None, None, None]
    assert picture.disagreements[0].startswith("The broker does not answer")


@pytest.mark.parametrize(("sent", "messages", "told"), [
    (0, 0, None), (10, 0, None), (11, 0, "11 rows were announced"), (0, 11, "11 messages more"),
    (1000, 900, None), (1000, 880, "120 rows"), (900, 1000, None), (0, None, "does not answer"),
])  # fmt: skip
def test_small_differences_between_rows_and_broker_are_none(
    sent: int, messages: int | None, told: str | None
) -> None:
    found = disagreements(sent=sent, messages=messages, lost=0, rewake_seconds=15, lease_seconds=60)
    assert len(found) == (told is not None)
    assert (told or "") in "".join(found)


def test_members_see_no_picture(runtime: Runtime, alice: Caller) -> None:
    for look in (operations.picture, operations.providers_health):
        with pytest.raises(Forbidden):
            look(runtime, alice)


# counting a long backlog


@pytest.mark.parametrize("due", [True, False])
def test_many_rows_of_one_kind_do_not_hide_few_of_the_other(
    runtime: Runtime, rows: Rows, alice: Caller, bob: Caller, due: bool
) -> None:
    later = {"run_at": datetime(2999, 1, 1, tzinfo=UTC)}
    for _ in range(6):
        output_id = rows.submit(alice, **({} if due else later)).output_id
        change(rows, output_id, woken_at=None)
    few = rows.submit(bob, **(later if due else {})).output_id
    change(rows, few, woken_at=None)
    with runtime.database.read() as session:
        found = backlog(session, Queue.DEFAULT, cap=5)
    many, one = (found.ready, found.scheduled) if due else (found.scheduled, found.ready)
    assert (many, one) == (Counted(5, capped=True), Counted(1))
    assert found.sent == 0


def test_rows_whose_message_is_out_are_ready_and_sent(
    runtime: Runtime, rows: Rows, alice: Caller
) -> None:
    for _ in range(3):
        rows.submit(alice)
    with runtime.database.read() as session:
        assert backlog(session, Queue.DEFAULT).sent == 3
        found = backlog(session, Queue.DEFAULT, cap=2)
    assert found.ready == Counted(2, capped=True)


def test_lanes_beyond_the_limit_are_told(
    runtime: Runtime, rows: Rows, alice: Caller, bob: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.operations.backlog.COUNTED_LANES", 1)
    for caller in (alice, bob):
        change(rows, rows.submit(caller).output_id, woken_at=None)
    with runtime.database.read() as session:
        assert backlog(session, Queue.DEFAULT).ready == Counted(1, capped=True)


# liveness


@pytest.mark.parametrize(("age", "state"), [
    (0, "alive"), (22, "alive"), (23, "late"), (44.9, "late"), (45, "dead"), (9999, "dead"),
])  # fmt: skip
def test_a_heartbeats_age_says_how_a_worker_is(age: float, state: str) -> None:
    assert liveness(age, heartbeat_seconds=15) == state


@pytest.mark.parametrize(("age", "took", "every", "stalled"), [
    (10, 0, 1, False), (13, 0, 1, False), (13.1, 0, 1, True), (40, 10, 1, False),
    (40.1, 10, 1, True), (120, 0, 30, False), (120.1, 0, 30, True),
])  # fmt: skip
def test_a_dispatcher_more_than_two_ticks_late_has_stalled(
    age: float, took: float, every: float, stalled: bool
) -> None:
    assert has_stalled(age, took_seconds=took, every_seconds=every) is stalled


def test_only_workers_that_take_jobs_are_asked_for(runtime: Runtime, rows: Rows) -> None:
    work(rows, "b")
    work(rows, "a", draining=True)
    work(rows, "c", ago=3600)

    def names(**facts: Any) -> list[str]:
        with runtime.database.read() as session:
            return [w.name for w in live_workers(session, heartbeat_seconds=15, **facts)]

    assert (names(), names(draining=False)) == (["a", "b"], ["b"])


# notices


def test_nothing_is_told_while_all_is_well(runtime: Runtime, rows: Rows) -> None:
    work(rows, "w1")
    assert operations.health(runtime) == ()


def test_no_worker_is_told_and_for_how_long(runtime: Runtime, rows: Rows) -> None:
    (never,) = operations.health(runtime)
    assert (never.code, never.title, never.since) == (
        NoticeCode.NO_WORKER,
        "No worker has reported",
        None,
    )
    work(rows, "w1", ago=600)
    (gone,) = operations.health(runtime)
    assert gone.title == "No worker has reported for 10 min"
    assert gone.since is not None


def test_a_stalled_dispatcher_is_told_unless_another_ticks(runtime: Runtime, rows: Rows) -> None:
    work(rows, "w1", ticked=60)
    assert codes(runtime) == [NoticeCode.DISPATCHER_STALLED]
    work(rows, "w2")
    assert codes(runtime) == []


def test_a_worker_that_has_just_started_has_not_stalled(runtime: Runtime, rows: Rows) -> None:
    work(rows, "w1", ticked=None, started_at=now())
    assert codes(runtime) == []


def test_a_broker_that_is_away_is_on_every_page(
    runtime: Runtime, rows: Rows, recorded: RecordedRuntime
) -> None:
    work(rows, "w1")
    recorded.wake.depth_now = None
    assert codes(runtime) == [NoticeCode.BROKER_AWAY]


def test_paused_queues_and_providers_are_told_and_short_pauses_are_not(
    runtime: Runtime, rows: Rows, admin: Caller
) -> None:
    work(rows, "w1")
    with runtime.database.write() as session:
        queues.pause(session, admin, ControlKind.QUEUE, "low", reason="upgrade")
        queues.pause(session, admin, ControlKind.MODEL, "gpt-4")
        lifecycle.pause(session, ControlKind.BUCKET, "openai:gpt-5:0a1b2c3d", seconds=300)
        lifecycle.pause(session, ControlKind.BUCKET, "openai:o3:0a1b2c3d", seconds=5)
    provider, queue = operations.health(runtime)
    assert (provider.code, provider.subject) == (NoticeCode.PROVIDER_PAUSED, "openai:gpt-5")
    assert (queue.code, queue.subject) == (NoticeCode.QUEUE_PAUSED, "low")
    assert "Reason: upgrade" in queue.detail
    assert (queue.since is not None, queue.until) == (True, None)


def test_a_database_that_is_away_is_told_not_raised(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> Any:
        raise Unavailable("away")

    monkeypatch.setattr(import_module("app.operations.health"), "read_workers", away)
    assert codes(runtime) == [NoticeCode.DATABASE_AWAY]


def test_notices_are_read_once_in_a_while_however_many_ask(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_module("app.operations.health"), "_notices", Recent(3600))
    looks: list[None] = []
    module = import_module("app.operations.health")  # the package's name is the function's
    real = module._look

    def counted(asked: Runtime) -> Any:
        looks.append(None)
        return real(asked)

    monkeypatch.setattr(module, "_look", counted)
    for _ in range(3):
        operations.health(runtime)
    assert len(looks) == 1


# failures


def fail(rows: Rows, caller: Caller, code: str, **fields: Any) -> int:
    output_id = rows.submit(caller, **fields).output_id
    claim = rows.claim(output_id)
    report = Report(provider="simulator", provider_model="echo", http_status=400)
    with rows.runtime.database.write() as session:
        lifecycle.fail(
            session,
            [Failed(output_id=output_id, fence=claim.fence, error_code=code, error_message="No.",
                    report=report)],
        )  # fmt: skip
    return output_id


def test_failures_are_told_by_class_with_the_newest_and_what_to_do(
    runtime: Runtime, rows: Rows, alice: Caller, bob: Caller, admin: Caller
) -> None:
    first = fail(rows, alice, "refused")
    fail(rows, alice, "timeout")
    newest = fail(rows, alice, "timeout")
    theirs = fail(rows, bob, "refused")
    with runtime.database.read() as session:
        own = operations.failures(session, alice)
        everybodys = operations.failures(session, admin, all_users=True)
        with pytest.raises(Forbidden):
            operations.failures(session, alice, all_users=True)
        assert operations.failures(session, admin) == []
    assert [(f.error_code, f.count, f.newest_output_id) for f in own] == [
        ("timeout", 2, newest),
        ("refused", 1, first),
    ]
    assert own[0].explanation.happened == "The provider did not answer in time."
    assert [(f.error_code, f.count, f.newest_output_id, f.capped) for f in everybodys] == [
        ("refused", 2, theirs, False),
        ("timeout", 2, newest, False),
    ]


def test_failures_of_long_ago_are_over(runtime: Runtime, rows: Rows, alice: Caller) -> None:
    change(rows, fail(rows, alice, "refused"), finished_at=now_plus(-7200))
    with runtime.database.read() as session:
        assert operations.failures(session, alice, hours=1) == []
        assert len(operations.failures(session, alice, hours=3)) == 1
        for hours in (0, -1, float("nan"), 1e6):
            with pytest.raises(InvalidParameter):
                operations.failures(session, alice, hours=hours)


# providers


def calls(rows: Rows, caller: Caller, seconds: list[float]) -> None:
    for taken in seconds:
        output_id = rows.completed(caller)
        with rows.runtime.database.write() as session:
            session.execute(
                update(Attempt).where(Attempt.output_id == output_id).values(duration_seconds=taken)
            )


def test_providers_are_told_by_their_calls_of_the_last_hour(
    runtime: Runtime, rows: Rows, alice: Caller, admin: Caller
) -> None:
    calls(rows, alice, [float(n) for n in range(1, 20)])
    broken = fail(rows, alice, "refused")
    old = fail(rows, alice, "timeout")
    with runtime.database.write() as session:
        session.execute(
            update(Attempt).where(Attempt.output_id == old).values(started_at=now_plus(-7200))
        )
    echo = next(m for m in operations.providers_health(runtime, admin) if m.model == "echo")
    assert (echo.provider, echo.name, echo.configured) == ("simulator", "simulator/echo", True)
    assert (echo.calls, echo.failed, echo.rate_limited, echo.error_rate) == (20, 1, 0, 0.05)
    assert (echo.median_seconds, echo.p95_seconds, echo.capped) == (10.0, 19.0, False)
    assert echo.last_error is not None
    assert (echo.last_error.code, echo.last_error.output_id) == ("refused", broken)
    assert (echo.last_error.http_status, echo.paused) == (400, False)


def test_a_provider_that_said_slow_down_is_told_until_when(
    runtime: Runtime, rows: Rows, alice: Caller, admin: Caller
) -> None:
    output_id = rows.submit(alice).output_id
    claim = rows.claim(output_id)
    report = Report(provider="simulator", provider_model="echo")
    with runtime.database.write() as session:
        lifecycle.snooze(
            session,
            [Snoozed(output_id=output_id, fence=claim.fence, error_code="rate_limited",
                     error_message="Slow down", delay_seconds=60, report=report,
                     pause_bucket=rows.read(output_id).bucket)],
        )  # fmt: skip
    echo = next(m for m in operations.providers_health(runtime, admin) if m.model == "echo")
    assert (echo.calls, echo.failed, echo.rate_limited, echo.error_rate) == (1, 0, 1, None)
    assert echo.paused
    assert echo.paused_until is not None
    assert echo.last_error is not None
    assert echo.last_error.code == "rate_limited"


def test_models_nobody_called_are_told_as_configured_or_not(
    runtime: Runtime, admin: Caller
) -> None:
    known = {m.name: m for m in operations.providers_health(runtime, admin)}
    gpt, echo = known["gpt-4"], known["simulator/echo"]
    assert (gpt.provider, gpt.model, gpt.configured, gpt.calls) == ("openai", "gpt-4", False, 0)
    assert (echo.configured, echo.error_rate, echo.median_seconds) == (True, None, None)


def test_a_trial_is_a_job_like_any_other_and_recorded(
    runtime: Runtime, rows: Rows, alice: Caller, admin: Caller
) -> None:
    made = operations.try_provider(runtime, admin, "simulator/echo")
    row = rows.read(made.output_id)
    assert (row.queue, row.model_name, row.user_id) == ("high", "simulator/echo", admin.user_id)
    assert (row.deadline - row.created_at).total_seconds() <= 121
    with runtime.database.read() as session:
        events = session.execute(text("SELECT action, subject FROM audit_events")).all()
    assert ("provider.tried", "model:simulator/echo") in [tuple(event) for event in events]
    with pytest.raises(Forbidden):
        operations.try_provider(runtime, alice, "simulator/echo")
    with pytest.raises(UnsupportedModel):
        operations.try_provider(runtime, admin, "mystery-1")
