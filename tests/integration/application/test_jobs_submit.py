"""Submitting: what is refused, what a row holds, and who is woken after the commit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update
from structlog.testing import capture_logs

from app import accounts, jobs, lifecycle
from app.accounts import OPERATOR, Caller
from app.context.fetchers import FetchContext, context_fetcher
from app.errors import (
    AllowanceUsedUp,
    Forbidden,
    InvalidParameter,
    InvalidRequest,
    MissingVariables,
    NotFound,
    RequestError,
    TemplateSyntaxError,
    Unprocessable,
    UnsupportedModel,
)
from app.jobs import JobRequest
from app.jobs.load import Load, _look, current_load
from app.plugins import registry
from app.queue import short_name
from models import ControlKind, LLMOutput, User
from tests.integration.application.conftest import RecordedRuntime, Rows


@pytest.fixture
def _fetcher(monkeypatch: pytest.MonkeyPatch) -> None:
    @context_fetcher("weather_report")
    def weather_report(context: FetchContext, *, city: str = "Rome") -> dict[str, str]:
        raise AssertionError("submitting fetches nothing")

    monkeypatch.setitem(registry().context_fetchers._parts, "weather_report", weather_report)


def now() -> datetime:
    return datetime.now(UTC)


# What is refused


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"template": " "}, "Missing required parameter: template"),
        ({"context": {"a": "\ud800"}}, "Invalid value at /context/a: the character U+D800"),
        ({"response_schema": {"type": "nothing"}, "format": "json"}, "response_schema: "),
    ],
)
def test_a_refused_request_leaves_no_row_and_no_message(
    rows: Rows, alice: Caller, fields: dict[str, Any], error: str
) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        rows.submit(alice, **fields)
    assert refusal.value.message.startswith(error)
    assert rows.count() == 0
    assert rows.runtime.wake.sent == []


def test_an_unclosed_tag_is_a_template_error(rows: Rows, alice: Caller) -> None:
    with pytest.raises(TemplateSyntaxError):
        rows.submit(alice, template="Hello {{name")
    with pytest.raises(TemplateSyntaxError):
        rows.submit(alice, template=None, messages=[{"role": "user", "content": "{{name"}])
    assert rows.count() == 0


def test_an_unsupported_model_says_what_to_set(rows: Rows, alice: Caller) -> None:
    with pytest.raises(UnsupportedModel, match=r"^Unsupported model: mystery-1$"):
        rows.submit(alice, model="mystery-1")
    with pytest.raises(UnsupportedModel, match=r"^Unsupported model: gpt-4 \(set OPENAI_API_KEY\)"):
        rows.submit(alice, model="gpt-4")
    assert rows.count() == 0


def test_a_prompt_beyond_the_cap_is_refused(rows: Rows, alice: Caller) -> None:
    context = {"name": "x" * 200_000}
    with pytest.raises(Unprocessable, match="longer than"):
        rows.submit(alice, template="{{name}}" * 6, context=context)


def test_strict_names_all_missing_variables_at_once(rows: Rows, alice: Caller) -> None:
    with pytest.raises(MissingVariables) as refusal:
        rows.submit(alice, template="{{b}} {{a}} {{user.name}} {{b}}", strict=True)
    assert refusal.value.message == "Missing required variables: b, a, user.name"
    assert rows.submit(alice, strict=True).warnings == []


def test_unknown_variables_are_a_warning_otherwise(rows: Rows, alice: Caller) -> None:
    done = rows.submit(alice, template="{{name}} {{other}} {{more}}")
    assert done.warnings == ["Unknown variables left as they are: other, more"]
    assert rows.read(done.output_id).warnings == done.warnings
    assert done.answer["warnings"] == done.warnings


@pytest.mark.usefixtures("_fetcher")
def test_what_a_fetcher_may_give_is_not_missing(rows: Rows, alice: Caller) -> None:
    fields: dict[str, Any] = {
        "template": "{{weather_report.sky}} {{flat}} {{name}}",
        "fetchers": ["weather_report"],
        "strict": True,
    }
    done = rows.submit(alice, **fields)
    assert done.warnings == []
    assert rows.read(done.output_id).fetchers == {"weather_report": {}}
    args = {"weather_report": {"city": "Oslo", "required": True}}
    assert rows.read(rows.submit(alice, fetchers=args).output_id).fetchers == args
    with pytest.raises(MissingVariables, match=r": name\.first"):
        rows.submit(alice, **(fields | {"template": "{{name.first}} {{flat}}"}))


def test_a_spent_allowance_is_refused_and_an_unspent_one_is_not(
    rows: Rows, alice: Caller, bob: Caller
) -> None:
    database = rows.runtime.database
    with database.write() as session:
        session.execute(
            update(User).where(User.id == alice.user_id).values(token_allowance=5, tokens_used=5)
        )
        session.execute(
            update(User).where(User.id == bob.user_id).values(token_allowance=5, tokens_used=4)
        )
    with pytest.raises(AllowanceUsedUp, match="Token allowance used up"):
        rows.submit(alice)
    assert rows.count() == 0
    assert rows.submit(bob)


def test_only_an_administrator_submits_for_another(
    rows: Rows, alice: Caller, bob: Caller, admin: Caller
) -> None:
    with pytest.raises(Forbidden):
        rows.submit(alice, user_id=bob.user_id)
    assert rows.read(rows.submit(alice, user_id=alice.user_id).output_id).user_id == alice.user_id
    assert rows.read(rows.submit(admin, user_id=bob.user_id).output_id).user_id == bob.user_id
    with pytest.raises(NotFound):
        rows.submit(admin, user_id=10**30)
    assert rows.read(rows.submit(OPERATOR).output_id).user_id is None


# What is stored and answered


def test_the_answer_has_the_seeds_four_keys_and_the_row_is_pending(
    rows: Rows, alice: Caller
) -> None:
    before = now()
    done = rows.submit(alice, format="markdown")
    row = rows.read(done.output_id)
    assert list(done.answer) == ["job_id", "output_id", "status", "estimated_completion"]
    assert done.answer["status"] == "queued"
    assert done.answer["estimated_completion"].endswith("Z")
    assert "." not in done.answer["estimated_completion"]
    assert done.estimated_completion > before + timedelta(seconds=0.5)
    assert (row.job_id, row.status, row.template_name, row.model_name, row.format) == (
        done.job_id,
        "pending",
        "Hello {{name}}",
        "simulator/echo",
        "markdown",
    )
    assert (row.user_id, row.context, row.queue, row.max_tries) == (
        alice.user_id,
        {"name": "A"},
        "default",
        6,
    )
    assert row.bucket.startswith("simulator:echo:")
    assert done.location == f"/api/v1/llm_outputs/{row.id}"


def test_everything_that_was_said_is_kept(rows: Rows, alice: Caller) -> None:
    said: dict[str, Any] = {
        "template": None,
        "messages": [
            {"role": "system", "content": "Be {{tone}}."},
            {"role": "user", "content": "Hi {{name}}"},
        ],
        "context": {"tone": "kind", "name": "A"},
        "format": "json",
        "queue": "high",
        "options": {"temperature": 0.5},
        "system": "You are a poet.",
        "response_schema": {"type": "object"},
        "metadata": {"ticket": "7"},
        "strict": True,
        "traceparent": "00-abc",
    }
    row = rows.read(rows.submit(alice, **said).output_id)
    assert row.template_name == "Be {{tone}}.\n\nHi {{name}}"
    for name in ("messages", "format", "queue", "options", "system", "response_schema", "strict"):
        assert getattr(row, name) == said[name]
    assert row.metadata_ == {"ticket": "7"}
    assert row.traceparent == "00-abc"


def test_the_row_keeps_the_name_asked_for_and_its_route_follows_the_alias(
    rows: Rows, alice: Caller
) -> None:
    row = rows.read(rows.submit(alice, model="house-model").output_id)
    assert row.model_name == "house-model"
    assert row.bucket.startswith("simulator:echo:")


def test_a_simulated_vendor_is_said_in_answer_and_row(
    recorded: RecordedRuntime, alice: Caller
) -> None:
    settings = recorded.settings.model_copy(update={"simulate_missing": True})
    rows = Rows(RecordedRuntime(settings, recorded.database, recorded.wake, recorded.events))
    done = rows.submit(alice, model="gpt-4")
    assert len(done.warnings) == 1
    assert "simulator" in done.warnings[0].lower()
    assert rows.read(done.output_id).warnings == done.warnings


def test_a_job_inherits_what_it_does_not_say(
    rows: Rows, alice: Caller, charlie: Caller, admin: Caller
) -> None:
    with rows.runtime.database.write() as session:
        agent = accounts.create_agent(
            session,
            alice,
            name="Poet",
            system="Rhyme.",
            model="simulator/poet",
            format="markdown",
            options={"temperature": 1, "max_tokens": 50},
        )
        bare = accounts.create_agent(session, alice, name="Bare")
    heir = rows.read(rows.submit(alice, agent_id=agent.id, model=None).output_id)
    assert (heir.model_name, heir.format, heir.system) == ("simulator/poet", "markdown", "Rhyme.")
    assert heir.options == {"temperature": 1, "max_tokens": 50}
    own = {
        "model": "simulator/echo",
        "format": "text",
        "system": "",
        "options": {"temperature": 0},
    }
    free = rows.read(rows.submit(alice, agent_id=agent.id, **own).output_id)
    assert (free.model_name, free.format, free.system) == ("simulator/echo", "text", None)
    assert free.options == {"temperature": 0, "max_tokens": 50}
    assert free.agent_id == agent.id
    with pytest.raises(InvalidRequest, match="Missing required parameter: model"):
        rows.submit(alice, agent_id=bare.id, model=None)
    for caller, agent_id in ((charlie, agent.id), (alice, 10**30)):
        with pytest.raises(NotFound):
            rows.submit(caller, agent_id=agent_id)
    assert rows.submit(admin, agent_id=agent.id, model=None, user_id=alice.user_id)


def test_a_past_run_at_means_now(rows: Rows, alice: Caller) -> None:
    row = rows.read(rows.submit(alice, run_at=now() - timedelta(days=3)).output_id)
    assert abs((row.run_at - row.created_at).total_seconds()) < 60
    assert row.woken_at is not None


def test_a_later_job_waits_unwoken_and_its_deadline_counts_from_its_start(
    rows: Rows, alice: Caller
) -> None:
    start = (now() + timedelta(days=30)).replace(microsecond=0)
    done = rows.submit(alice, run_at=start)
    row = rows.read(done.output_id)
    assert row.run_at == start
    assert row.deadline == start + timedelta(days=1)
    assert row.woken_at is None
    assert rows.runtime.wake.sent == []
    assert done.estimated_completion > start


def test_the_deadline_is_kept_or_a_day_away(rows: Rows, alice: Caller) -> None:
    wish = (now() + timedelta(hours=1)).replace(microsecond=0)
    assert rows.read(rows.submit(alice, deadline=wish).output_id).deadline == wish
    row = rows.read(rows.submit(alice).output_id)
    assert abs((row.deadline - row.created_at).total_seconds() - 86_400) < 60


@pytest.mark.parametrize(
    "times",
    [
        {"deadline": timedelta(seconds=-1)},
        {"deadline": timedelta(hours=1), "run_at": timedelta(hours=2)},
    ],
)
def test_a_deadline_that_cannot_be_met_is_refused(
    rows: Rows, alice: Caller, times: dict[str, timedelta]
) -> None:
    with pytest.raises(InvalidParameter, match="Invalid deadline"):
        rows.submit(alice, **{name: now() + ahead for name, ahead in times.items()})


def test_a_time_without_a_zone_or_beyond_the_calendar_is_refused(rows: Rows, alice: Caller) -> None:
    with pytest.raises(InvalidParameter, match="zone"):
        rows.submit(alice, run_at=datetime(2030, 1, 1))  # noqa: DTZ001
    with pytest.raises(InvalidParameter, match="Invalid run_at"):
        rows.submit(alice, run_at=datetime(9999, 12, 31, 23, tzinfo=UTC))


def test_a_fraction_of_a_second_as_maximum_age_is_accepted(
    recorded: RecordedRuntime, alice: Caller
) -> None:
    settings = recorded.settings.model_copy(update={"max_age_seconds": 90.5})
    rows = Rows(RecordedRuntime(settings, recorded.database, recorded.wake, recorded.events))
    row = rows.read(rows.submit(alice).output_id)
    assert 90 <= (row.deadline - row.created_at).total_seconds() <= 92


def test_a_submit_is_one_line_without_values(rows: Rows, alice: Caller) -> None:
    with capture_logs() as lines:
        done = rows.submit(alice, template="{{name}} " + "x" * 100, context={"name": "CANARY"})
    (line,) = [line for line in lines if line["event"] == "LLMJob queued"]
    assert line["job_id"] == done.job_id
    assert line["context_keys"] == ["name"]
    assert len(line["template"]) == 80
    assert "CANARY" not in str(lines)


# Waking


def test_the_message_names_the_row_after_its_commit(rows: Rows, alice: Caller) -> None:
    seen: list[str] = []

    def another_connection_sees_it() -> None:
        with rows.runtime.database.write() as session:  # a write lock is free, too
            seen.extend(row.status for row in session.query(LLMOutput))

    rows.runtime.wake.on_send = another_connection_sees_it
    done = rows.submit(alice)
    assert seen == ["pending"]
    (wake,) = rows.runtime.wake.sent
    assert (wake.output_id, wake.job_id) == (done.output_id, done.job_id)
    assert (wake.queue, wake.model, wake.tries) == ("default", "simulator/echo", 0)
    assert wake.template == short_name("Hello {{name}}")
    assert rows.read(done.output_id).woken_at is not None


def test_a_long_template_is_named_as_the_dispatcher_names_it(rows: Rows, alice: Caller) -> None:
    rows.runtime.wake.depth_now = 0
    rows.submit(alice, template="x" * 5000)
    rows.runtime.wake.depth_now = None
    rows.submit(alice, template="x" * 5000)
    with rows.runtime.database.write() as session:
        (due,) = lifecycle.due_rows(session, "default", room=5, rewake_seconds=60)
    assert rows.runtime.wake.sent[0].template == short_name(due.template_name)


@pytest.mark.parametrize("depth", [None, 200, 10_000])
def test_a_full_queue_or_a_dead_broker_leaves_the_row_to_the_dispatcher(
    rows: Rows, alice: Caller, depth: int | None
) -> None:
    rows.runtime.wake.depth_now = depth
    row = rows.read(rows.submit(alice).output_id)
    assert row.status == "pending"
    assert row.woken_at is None
    assert rows.runtime.wake.sent == []


def test_a_message_that_did_not_go_out_is_due_at_the_next_tick(rows: Rows, alice: Caller) -> None:
    rows.runtime.wake.accepts = 0
    row = rows.read(rows.submit(alice).output_id)
    assert row.woken_at is None


def test_a_caller_with_an_older_waiting_job_queues_up_and_others_do_not(
    rows: Rows, alice: Caller, bob: Caller
) -> None:
    rows.runtime.wake.depth_now = 200
    rows.submit(alice)
    rows.runtime.wake.depth_now = 0
    second = rows.submit(alice).output_id
    high = rows.submit(alice, queue="high").output_id
    other = rows.submit(bob).output_id
    assert rows.read(second).woken_at is None
    assert [w.output_id for w in rows.runtime.wake.sent] == [high, other]


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (ControlKind.QUEUE, "default"),
        (ControlKind.MODEL, "simulator/echo"),
        (ControlKind.BUCKET, None),
    ],
)
def test_what_is_paused_is_not_woken(
    rows: Rows, alice: Caller, kind: ControlKind, name: str | None
) -> None:
    bucket = rows.read(rows.submit(alice).output_id).bucket
    with rows.runtime.database.write() as session:
        lifecycle.pause(session, kind, name or bucket, seconds=60)
    assert rows.read(rows.submit(alice).output_id).woken_at is None
    assert len(rows.runtime.wake.sent) == 1


# Many


def test_many_are_accepted_together_in_order(rows: Rows, alice: Caller) -> None:
    rows.runtime.wake.depth_now = 198
    requests = [
        JobRequest(template=f"job {n}", model="simulator/echo", queue="high" if n == 4 else None)
        for n in range(5)
    ]
    done = jobs.submit_many(rows.runtime.real, alice, requests)
    assert [rows.read(s.output_id).template_name for s in done] == [f"job {n}" for n in range(5)]
    assert [s.output_id for s in done] == sorted(s.output_id for s in done)
    woken = [w.output_id for w in rows.runtime.wake.sent]
    assert woken == [done[0].output_id, done[1].output_id, done[4].output_id]
    assert jobs.submit_many(rows.runtime.real, alice, []) == []


def test_many_are_refused_together_with_each_error(rows: Rows, alice: Caller) -> None:
    requests = [
        JobRequest(template="fine", model="simulator/echo"),
        JobRequest(template="", model="simulator/echo"),
        JobRequest(template="x", model="mystery-1"),
    ]
    with pytest.raises(InvalidRequest, match="2 of 3") as refusal:
        jobs.submit_many(rows.runtime.real, alice, requests)
    assert [(e["index"], e["pointer"]) for e in refusal.value.details["errors"]] == [
        (1, "/jobs/1/template"),
        (2, "/jobs/2/model"),
    ]
    assert rows.count() == 0


def test_texts_that_cannot_be_stored_never_break_the_database(rows: Rows, alice: Caller) -> None:
    for fields in (
        {"metadata": {"a\x00": 1}},
        {"system": "\ud800"},
        {"options": {"stop": ["\x00"]}},
        {"model": "simulator/\x00"},
        {"traceparent": "\x00"},
    ):
        with pytest.raises(RequestError):
            rows.submit(alice, **fields)


def test_an_estimate_grows_with_the_backlog_and_follows_recent_durations(
    rows: Rows, alice: Caller
) -> None:
    def load(waiting: int, slots: int) -> Load:
        return Load({"default": waiting, "low": 10**6}, slots, 1, {"slow": 60.0}, 2.0, {})

    assert load(0, 10).seconds_until_done("default", "any") == 2.0
    assert load(0, 10).seconds_until_done("default", "slow") == 60.0
    assert load(100, 10).seconds_until_done("default", "any") == 22.0
    assert load(100, 10).seconds_until_done("high", "any") == 2.0
    assert load(100, 10).seconds_until_done("default", "any", ahead=5) == 3.0


def test_an_estimate_comes_from_the_rows(rows: Rows, alice: Caller) -> None:
    for seconds in (10, 20, 90):
        output_id = rows.completed(alice)
        with rows.runtime.database.write() as session:
            row = session.get(LLMOutput, output_id)
            assert row is not None
            assert row.finished_at is not None
            row.started_at = row.finished_at - timedelta(seconds=seconds)
    for n in range(3):
        rows.submit(alice, template=f"waiting {n}")
    with rows.runtime.database.read() as session:
        load = _look(session, rows.runtime.settings)
    assert load.durations["simulator/echo"] == pytest.approx(20)
    assert load.waiting == {"default": 3}
    assert load.slots == rows.runtime.settings.worker_concurrency


def test_the_picture_is_taken_by_one_while_others_use_the_last(
    rows: Rows, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, settings = rows.runtime.database, rows.runtime.settings
    first = current_load(database, settings)
    monkeypatch.setattr("app.jobs.load._pictures._seconds", -1)
    seen_meanwhile: list[Load] = []

    def slow_look(*args: Any) -> Load:
        seen_meanwhile.append(current_load(database, settings))
        return Load({"default": 7}, 1, 1, {}, 2.0, {})

    monkeypatch.setattr("app.jobs.load._look", slow_look)
    assert current_load(database, settings).waiting == {"default": 7}
    assert seen_meanwhile == [first]
