"""Lists, the row as JSON, why, and preview: what may be read, and what it says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import event, insert, update

from app import feedback, jobs, lifecycle, prices
from app.accounts import OPERATOR, Caller
from app.errors import Forbidden, InvalidParameter, MissingParameter
from app.jobs import Filters, JobRequest
from app.lifecycle import RetryLater
from app.prompts.conversation import prompt_text
from app.providers.contract import Message
from models import ControlKind, LLMOutput, WorkerHeartbeat
from models.types import now_plus
from tests.integration.application.conftest import Rows


def listed(rows: Rows, caller: Caller, **filters: Any) -> list[int]:
    with rows.runtime.database.read() as session:
        return [row.id for row in jobs.list_outputs(session, caller, Filters(**filters)).rows]


def described(rows: Rows, output_id: int) -> dict[str, Any]:
    with rows.runtime.database.read() as session:
        return jobs.describe(session, jobs.get(session, OPERATOR, output_id=output_id))


@contextmanager
def counted(rows: Rows) -> Iterator[list[str]]:
    asked: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        asked.append(statement)

    event.listen(rows.runtime.database.engine, "before_cursor_execute", note)
    yield asked
    event.remove(rows.runtime.database.engine, "before_cursor_execute", note)


# Lists


def test_own_rows_only_newest_first(rows: Rows, alice: Caller, bob: Caller) -> None:
    mine = [rows.submit(alice).output_id for _ in range(3)]
    rows.submit(bob)
    assert listed(rows, alice) == mine[::-1]


def test_administrators_may_ask_for_everybodys(
    rows: Rows, alice: Caller, bob: Caller, admin: Caller
) -> None:
    a, b, nobody = (rows.submit(c).output_id for c in (alice, bob, OPERATOR))
    assert listed(rows, admin) == []
    assert listed(rows, admin, all_users=True) == [nobody, b, a]
    assert listed(rows, admin, user_id=bob.user_id) == [b]
    assert listed(rows, alice, user_id=alice.user_id) == [a]
    assert listed(rows, OPERATOR) == []
    for filters in ({"all_users": True}, {"user_id": bob.user_id}):
        with pytest.raises(Forbidden):
            listed(rows, alice, **filters)


def test_pages_follow_each_other_without_gap_or_double(rows: Rows, alice: Caller) -> None:
    ids = [rows.submit(alice).output_id for _ in range(7)]
    seen: list[int] = []
    after: str | None = None
    with rows.runtime.database.read() as session:
        while True:
            page = jobs.list_outputs(session, alice, limit=3, after=after)
            seen += [row.id for row in page.rows]
            after = page.next
            if after is None:
                break
    assert seen == ids[::-1]


def test_a_cursor_made_up_shows_nothing_more(rows: Rows, alice: Caller, charlie: Caller) -> None:
    rows.submit(alice)
    rows.submit(alice)
    with rows.runtime.database.read() as session:
        page = jobs.list_outputs(session, alice, limit=1)
        assert jobs.list_outputs(session, charlie, after=page.next).rows == []
        with pytest.raises(InvalidParameter):
            jobs.list_outputs(session, alice, after="bm9wZQ")


def test_each_filter_finds_its_row_and_no_other(rows: Rows, alice: Caller) -> None:
    plain = rows.submit(alice, template="plain").output_id
    fields: dict[str, Any] = {
        "template": "Special 100%_sure",
        "model": "simulator/other",
        "format": "json",
        "queue": "high",
        "metadata": {"ticket": "T-7", "number": 3, "urgent": True},
    }
    special = rows.completed(alice, "An Unusual Answer", **fields)
    with rows.runtime.database.write() as session:
        feedback.give(session, alice, special, feedback_type="thumbs_up")
    job_id = rows.read(special).job_id
    found: dict[str, Any] = {
        "status": "completed",
        "model": "simulator/other",
        "template": "Special 100%_sure",
        "format": "json",
        "queue": "high",
        "feedback": "thumbs_up",
        "q": "unusual ANSWER",
    }
    for name, value in found.items():
        assert listed(rows, alice, **{name: value}) == [special], name
    assert listed(rows, alice, **found) == [special]
    for q in ("100%_", job_id, job_id.upper(), "special"):
        assert listed(rows, alice, q=q) == [special]
    for metadata in ({"ticket": "T-7"}, {"number": "3"}, {"urgent": "true", "ticket": "T-7"}):
        assert listed(rows, alice, metadata=metadata) == [special]
    for nothing in (
        {"metadata": {"ticket": "T-8"}},
        {"metadata": {"urgent": "1"}},
        {"q": "1000sure"},
        {"q": "100x_"},
        {"model": "simulator/OTHER"},
        {"feedback": "thumbs_down"},
        {"status": "failed"},
    ):
        assert listed(rows, alice, **nothing) == [], nothing
    assert listed(rows, alice, feedback="none") == [plain]


def test_rows_of_a_time_are_found(rows: Rows, alice: Caller) -> None:
    old, new = rows.submit(alice).output_id, rows.submit(alice).output_id
    with rows.runtime.database.write() as session:
        session.execute(
            update(LLMOutput).where(LLMOutput.id == old).values(created_at=now_plus(-86_400))
        )
    noon = datetime.now(UTC) - timedelta(hours=12)
    assert listed(rows, alice, created_after=noon) == [new]
    assert listed(rows, alice, created_before=noon) == [old]
    assert listed(rows, alice, created_after=noon, created_before=noon) == []


def test_a_filter_that_cannot_be_is_refused(rows: Rows, alice: Caller) -> None:
    wrong: list[dict[str, Any]] = [
        {"status": "done"},
        {"format": "xml"},
        {"queue": "urgent"},
        {"feedback": "up"},
        {"q": "x" * 201},
        {"q": "a\x00"},
        {"template": "\ud800"},
        {"model": "\x00"},
        {"metadata": {'a"b': "c"}},
        {"metadata": {"": "c"}},
        {"metadata": {"a": "\x00"}},
        {"created_after": datetime(2030, 1, 1)},  # noqa: DTZ001
    ]
    for filters in wrong:
        with pytest.raises(InvalidParameter):
            listed(rows, alice, **filters)


# The row as JSON


def test_a_row_says_everything(rows: Rows, alice: Caller) -> None:
    done = rows.submit(alice, format="markdown", metadata={"ticket": 7})
    rows.complete(
        done.output_id,
        "# Title\n\n<script>x</script> **bold**",
        input_tokens=12,
        output_tokens=5,
        cached_tokens=2,
        cost=Decimal("0.000123"),
        request_id="req_1",
        http_status=200,
        duration_seconds=1.5,
    )
    row = described(rows, done.output_id)
    json.dumps(row, allow_nan=False)
    expected = {
        "id": done.output_id,
        "output_id": done.output_id,
        "job_id": done.job_id,
        "status": "completed",
        "success": True,
        "template": "Hello {{name}}",
        "template_name": "Hello {{name}}",
        "model_name": "simulator/echo",
        "context": {"name": "A"},
        "format": "markdown",
        "prompt": "Hello A",
        "raw_response": "# Title\n\n<script>x</script> **bold**",
        "input_tokens": 12,
        "output_tokens": 5,
        "cached_tokens": 2,
        "cost": 0.000123,
        "feedback": "none",
        "feedback_comment": None,
        "feedback_at": None,
        "user_id": alice.user_id,
        "agent_id": None,
        "parent_id": None,
        "root_id": None,
        "derivation": None,
        "children": [],
        "warnings": [],
        "error_code": None,
        "error_message": None,
        "metadata": {"ticket": 7},
        "queue": "default",
        "tries": 1,
        "max_tries": 6,
        "cancel_requested": False,
        "estimated_tokens": 9,
        "formatted_output": "# Title\n\n<script>x</script> **bold**",
    }
    assert {name: row[name] for name in expected} == expected
    assert "<h1>Title</h1>" in row["rendered_html"]
    assert "<script>" not in row["rendered_html"]
    for name in ("created_at", "updated_at", "run_at", "deadline", "started_at", "finished_at"):
        assert row[name].endswith("Z")
        assert datetime.fromisoformat(row[name]).tzinfo is not None
    (attempt,) = row["attempts"]
    facts = {
        "number": 1,
        "kind": "answer",
        "outcome": "completed",
        "error_code": None,
        "error_message": None,
        "provider": "simulator",
        "provider_request_id": "req_1",
        "http_status": 200,
        "input_tokens": 12,
        "output_tokens": 5,
        "cost": 0.000123,
        "duration_seconds": 1.5,
        "worker": "w1",
    }
    assert {name: attempt[name] for name in facts} == facts
    assert attempt["started_at"].endswith("Z")
    assert attempt["finished_at"].endswith("Z")


def test_every_column_of_a_row_is_shown_or_left_out_on_purpose(rows: Rows, alice: Caller) -> None:
    row = described(rows, rows.submit(alice).output_id)
    columns = {column.name for column in LLMOutput.__table__.columns}
    # Clockwork; the bucket holds digits of a key's hash; a script is told as its definition.
    # Texts of files are not read with a row.
    internal = {"woken_at", "bucket", "script", "file_texts"}
    assert columns - set(row) == internal


def test_readings_of_an_answer(rows: Rows, alice: Caller) -> None:
    as_json = described(rows, rows.completed(alice, '{"a":[1]}', format="json"))
    assert as_json["formatted_output"] == '{\n  "a": [\n    1\n  ]\n}'
    assert as_json["rendered_html"] is None
    broken = described(rows, rows.completed(alice, '{"a":', format="json"))
    assert broken["formatted_output"] == '{"a":'
    assert described(rows, rows.completed(alice, "  "))["success"] is False
    html = described(rows, rows.completed(alice, "<b>x</b><img src=//e>", format="html"))
    assert html["rendered_html"] == "<b>x</b>"
    waiting = described(rows, rows.submit(alice).output_id)
    assert (waiting["success"], waiting["estimated_tokens"], waiting["cost"]) == (False, 0, None)
    failed = rows.submit(alice, format="html").output_id
    rows.fail(failed)
    shown = described(rows, failed)
    assert shown["raw_response"] == "Job failed permanently: No."
    assert (shown["rendered_html"], shown["error_code"]) == (None, "refused")


def test_an_unknown_price_is_null_and_never_zero(rows: Rows, alice: Caller) -> None:
    done = rows.submit(alice)
    rows.complete(done.output_id, input_tokens=5, output_tokens=5, cost=None)
    row = described(rows, done.output_id)
    assert row["cost"] is None
    assert row["attempts"][0]["cost"] is None


def test_children_and_lineage_are_named(rows: Rows, alice: Caller) -> None:
    parent = rows.completed(alice)
    children = [jobs.re_run(rows.runtime.real, alice, parent).output_id for _ in range(2)]
    assert described(rows, parent)["children"] == children
    child = described(rows, children[0])
    assert (child["parent_id"], child["root_id"], child["derivation"]) == (
        parent,
        parent,
        "re_run",
    )


def test_many_rows_cost_as_many_queries_as_one(rows: Rows, alice: Caller) -> None:
    for _ in range(6):
        parent = rows.completed(alice)
        jobs.re_run(rows.runtime.real, alice, parent)

    def queries(limit: int) -> int:
        with counted(rows) as asked, rows.runtime.database.read() as session:
            page = jobs.list_outputs(session, alice, limit=limit)
            assert len(jobs.describe_many(session, page.rows)) == limit
        return len([sql for sql in asked if sql.lstrip().upper().startswith("SELECT")])

    assert queries(2) == queries(12) == 4  # rows, attempts, children, reviews


def test_a_list_of_nothing_is_described(rows: Rows) -> None:
    with rows.runtime.database.read() as session:
        assert jobs.describe_many(session, []) == []


# Why


def alive(rows: Rows, *, concurrency: int = 10, draining: bool = False, seen: int = 0) -> None:
    with rows.runtime.database.write() as session:
        session.execute(
            insert(WorkerHeartbeat).values(
                name="w1",
                host="h",
                pid=1,
                concurrency=concurrency,
                in_flight=0,
                draining=draining,
                seen_at=now_plus(-seen),
            )
        )


def why(rows: Rows, caller: Caller, output_id: int) -> dict[str, Any]:
    answer = jobs.why(rows.runtime.real, caller, rows.read(output_id).job_id)
    json.dumps(answer)
    return answer


def test_a_due_job_waits_for_those_before_it(rows: Rows, alice: Caller, bob: Caller) -> None:
    alive(rows)
    rows.submit(bob)
    rows.submit(bob, queue="high")
    rows.submit(bob, queue="low")
    mine = rows.submit(alice).output_id
    rows.submit(bob)
    answer = why(rows, alice, mine)
    assert (answer["reason"], answer["position"], answer["status"]) == ("queued", 2, "pending")
    assert answer["until"] > datetime.now(UTC).isoformat()
    assert "2 jobs go first" in answer["detail"]


def test_without_a_worker_nothing_runs(rows: Rows, alice: Caller) -> None:
    mine = rows.submit(alice).output_id
    assert why(rows, alice, mine)["reason"] == "no_worker"
    alive(rows, seen=3600)
    assert why(rows, alice, mine)["reason"] == "no_worker"
    with rows.runtime.database.write() as session:
        session.execute(update(WorkerHeartbeat).values(seen_at=now_plus(0), draining=True))
    assert why(rows, alice, mine)["reason"] == "no_worker"
    with rows.runtime.database.write() as session:
        session.execute(update(WorkerHeartbeat).values(draining=False))
    assert why(rows, alice, mine)["reason"] == "queued"


def test_a_retry_names_its_time_and_the_last_error(rows: Rows, alice: Caller) -> None:
    alive(rows)
    done = rows.submit(alice)
    claim = rows.claim(done.output_id)
    with rows.runtime.database.write() as session:
        lifecycle.retry_later(
            session,
            [
                RetryLater(
                    output_id=done.output_id,
                    fence=claim.fence,
                    delay_seconds=60,
                    error_code="overloaded",
                    error_message="Busy.",
                )
            ],
        )
    answer = why(rows, alice, done.output_id)
    assert answer["reason"] == "retry"
    assert answer["until"] == described(rows, done.output_id)["run_at"]
    assert "Try 2 of 6" in answer["detail"]
    assert "overloaded: Busy." in answer["detail"]


def test_a_later_job_names_its_time(rows: Rows, alice: Caller) -> None:
    alive(rows)
    mine = rows.submit(alice, run_at=datetime.now(UTC) + timedelta(hours=1)).output_id
    answer = why(rows, alice, mine)
    assert (answer["reason"], answer["until"]) == ("scheduled", described(rows, mine)["run_at"])


@pytest.mark.parametrize("kind", list(ControlKind))
def test_a_pause_is_named_with_its_end_and_no_key(
    rows: Rows, alice: Caller, kind: ControlKind
) -> None:
    alive(rows)
    mine = rows.submit(alice).output_id
    row = rows.read(mine)
    name = {"queue": row.queue, "model": row.model_name, "bucket": row.bucket}[kind]
    with rows.runtime.database.write() as session:
        lifecycle.pause(session, kind, name, seconds=600, reason="The provider said so")
        lifecycle.pause(session, kind, "something else", seconds=600)
    answer = why(rows, alice, mine)
    assert answer["reason"] == "paused"
    assert answer["until"] is not None
    assert "The provider said so" in answer["detail"]
    assert row.bucket.rpartition(":")[2] not in json.dumps(answer)
    assert [reason["reason"] for reason in answer["reasons"]] == ["paused", "queued"]


def test_a_running_and_an_ended_job_say_so(rows: Rows, alice: Caller) -> None:
    alive(rows)
    done = rows.submit(alice)
    rows.claim(done.output_id, worker="w7")
    running = why(rows, alice, done.output_id)
    assert (running["reason"], running["worker"]) == ("running", "w7")
    assert running["since"].endswith("Z")
    assert running["lease_expires_at"] > running["since"]
    jobs.cancel(rows.runtime.real, alice, done.job_id)
    assert why(rows, alice, done.output_id)["reason"] == "cancelling"
    other = rows.submit(alice).output_id
    rows.fail(other)
    ended = why(rows, alice, other)
    assert (ended["reason"], ended["status"], ended["until"]) == ("ended", "failed", None)
    assert "No." in ended["detail"]


# Preview


def preview(rows: Rows, caller: Caller, **fields: Any) -> dict[str, Any]:
    usual = {"template": "Hello {{name}}", "model": "simulator/echo", "context": {"name": "A"}}
    return jobs.preview(rows.runtime.real, caller, JobRequest(**(usual | fields)))


def test_a_preview_shows_what_would_be_sent_and_stores_nothing(rows: Rows, alice: Caller) -> None:
    shown = preview(rows, alice, template="{{name}} and {{other}}", system="Be kind.", strict=True)
    assert shown["prompt"] == "A and {{other}}"
    assert shown["messages"] == [{"role": "user", "content": "A and {{other}}"}]
    assert shown["system"] == "Be kind."
    assert shown["missing_variables"] == ["other"]
    assert shown["provider"] == "simulator"
    assert shown["estimated_input_tokens"] == -(-len("Be kind.A and {{other}}") // 4)
    assert (shown["estimated_output_tokens"], shown["estimated_cost"]) == (None, None)
    assert rows.count() == 0
    with pytest.raises(MissingParameter):
        preview(rows, alice, template="")


def test_a_preview_of_messages_is_the_prompt_the_row_will_keep(rows: Rows, alice: Caller) -> None:
    messages = [
        {"role": "system", "content": "Speak {{language}}."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello {{name}}"},
        {"role": "user", "content": "Bye"},
    ]
    context = {"language": "French", "name": "A"}
    shown = preview(rows, alice, template=None, messages=messages, context=context, format="json")
    texts = ["Speak French.", "Hi", "Hello A", "Bye"]
    sent = [Message(m["role"], text) for m, text in zip(messages, texts, strict=True)]
    assert shown["prompt"] == prompt_text(sent)
    assert [m["content"] for m in shown["messages"]] == texts[1:]
    assert shown["system"].startswith("Speak French.")
    assert "JSON" in shown["system"]


def test_a_preview_estimates_the_cost_from_prices_and_recent_answers(
    rows: Rows, alice: Caller, admin: Caller
) -> None:
    with rows.runtime.database.write() as session:
        prices.set_price(
            session,
            admin,
            provider="simulator",
            model="*",
            input_per_million=1_000_000,
            output_per_million=1_000_000,
        )
    limited = preview(rows, alice, options={"max_tokens": 10})
    assert (limited["estimated_input_tokens"], limited["estimated_output_tokens"]) == (2, 10)
    assert limited["estimated_cost"] == 12
    assert preview(rows, alice)["estimated_cost"] is None
