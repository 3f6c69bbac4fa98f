"""The client against the real API: what it promises is what the platform does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

import llm_jobs
from llm_jobs import ApiError, Client, Job, TimedOut
from models import IdempotencyKey
from tests.integration.client.conftest import Platform


@pytest.fixture
def client(platform: Platform) -> Iterator[Client]:
    with Client(platform.url, platform.key, patience_seconds=0.5) as client:
        yield client


def create(client: Client, template: str = "Hello {{name}}", **more: object) -> Job:
    return client.jobs.create(
        template=template, model="simulator/echo", context={"name": "A"}, **more
    )


def test_a_created_job_has_a_row_an_estimate_and_its_warnings(
    client: Client, platform: Platform
) -> None:
    start = datetime.now(UTC) + timedelta(hours=1)
    job = create(client, "{{name}} {{other}}", queue="high", run_at=start, format="json")
    row = platform.row(job.output_id)
    assert (row.job_id, row.queue, row.format) == (job.job_id, "high", "json")
    assert abs((row.run_at - start).total_seconds()) < 0.01
    assert job.status == "queued"
    assert job.estimated_completion is not None
    assert job.estimated_completion > start
    assert job.warnings == ("Unknown variables left as they are: other",)
    assert not job.replayed


def test_waiting_gives_the_output_when_the_job_ends(client: Client, platform: Platform) -> None:
    job = create(client)
    worker = threading.Timer(0.2, platform.complete, [job.output_id, "An answer."])
    worker.start()
    output = job.wait(timeout_seconds=20)
    worker.join()
    assert (output.status, output.text, output.success) == ("completed", "An answer.", True)
    assert (output.id, output.job_id, output.ended) == (job.output_id, job.job_id, True)
    assert job.output().row == output.row


def test_waiting_ends_in_time_and_leaves_the_job_alone(client: Client, platform: Platform) -> None:
    job = create(client)
    with pytest.raises(TimedOut, match=r"pending after 0\.2 seconds"):
        job.wait(timeout_seconds=0.2)
    assert platform.row(job.output_id).status == "pending"


def test_each_submit_is_a_job_of_its_own_and_a_named_key_is_one(
    client: Client, platform: Platform
) -> None:
    assert create(client).output_id != create(client).output_id
    first = create(client, idempotency_key="k1")
    second = create(client, idempotency_key="k1")
    assert (second.output_id, second.replayed) == (first.output_id, True)
    with pytest.raises(ApiError) as refusal:
        create(client, "other", idempotency_key="k1")
    assert refusal.value.status == 422
    with platform.runtime.database.read() as session:
        assert len(session.scalars(select(IdempotencyKey)).all()) == 3


def test_a_refusal_says_what_the_platform_said(client: Client, platform: Platform) -> None:
    with pytest.raises(ApiError, match=r"^Missing required parameter: template$") as refusal:
        client.jobs.create(model="simulator/echo")
    assert (refusal.value.status, refusal.value.code) == (400, "missing_parameter")
    assert refusal.value.request_id
    with Client(platform.url, "wrong", patience_seconds=0) as stranger:
        with pytest.raises(ApiError) as refused:
            stranger.me()
        assert refused.value.status == 401


def test_all_pages_are_read(client: Client, platform: Platform) -> None:
    made = [create(client, f"job {n}").output_id for n in range(5)]
    assert [output.id for output in client.outputs.list(limit=2)] == made[::-1]
    assert [output.id for output in client.outputs.list(template="job 3")] == [made[3]]
    assert list(client.outputs.list(status="failed")) == []


def test_acting_on_outputs(client: Client, platform: Platform) -> None:
    parent = create(client)
    platform.complete(parent.output_id)
    again = client.outputs.re_run(parent)
    other = client.outputs.regenerate(parent.output_id, context={"name": "B"})
    assert client.outputs.get(again).row["parent_id"] == parent.output_id
    assert client.outputs.get(other).row["context"] == {"name": "B"}
    client.outputs.feedback(parent, "thumbs_down", comment="no")
    output = client.outputs.get(parent)
    assert (output.feedback, output.row["feedback_comment"]) == ("thumbs_down", "no")
    client.outputs.erase(output)
    assert client.outputs.get(parent).text is None


def test_controlling_a_job(client: Client, platform: Platform) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    job = create(client, run_at=later)
    assert job.why()["reason"] == "scheduled"
    advanced = client.jobs.advance(job.job_id)
    assert advanced.row["run_at"] < later.isoformat()
    assert job.cancel().status == "cancelled"
    assert client.jobs.get(job.job_id).ended
    with pytest.raises(ApiError) as refusal:
        job.cancel()
    assert refusal.value.status == 409


def test_asking_around(client: Client, platform: Platform) -> None:
    assert client.me()["user"]["email"] == "alice@example.org"
    assert "simulator/echo" in {model["name"] for model in client.models()}
    shown = client.jobs.preview(
        template="Hi {{name}}", model="simulator/echo", context={"name": "A"}
    )
    assert shown["prompt"] == "Hi A"


def test_events_come_until_the_final_one(client: Client, platform: Platform) -> None:
    job = create(client)
    seen: list[str] = []
    for event in client.jobs.events(job.job_id):
        seen.append(event.event)
        if event.event == "snapshot":
            platform.complete(job.output_id, "An answer.")
    assert seen[0] == "snapshot"
    assert seen[-1] == "final"
    assert event.data["raw_response"] == "An answer."


def test_the_seeds_calls_go_over_http_when_told_so(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLM_JOBS_URL", platform.url)
    monkeypatch.setenv("LLM_JOBS_API_KEY", platform.key)
    monkeypatch.setenv("DATABASE_URL", "postgresql://somebody@elsewhere/theirs")
    job = llm_jobs.enqueue(
        template="Hello {{name}}", model="simulator/echo", context={"name": "A"}, format="text"
    )
    platform.complete(job.output_id)
    assert platform.row(job.output_id).user_id == platform.alice.user_id
    llm_jobs.set_feedback(job, "thumbs_up", user=platform.alice)
    assert llm_jobs.get_output(job).feedback == "thumbs_up"
    child = llm_jobs.regenerate(job, new_context={"name": "B"}, new_model="simulator/other")
    row = platform.row(child.output_id)
    assert (row.context, row.model_name) == ({"name": "B"}, "simulator/other")
    assert platform.row(llm_jobs.re_run(job).output_id).derivation == "re_run"


def test_an_address_without_a_key_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_JOBS_URL", "http://127.0.0.1:9")
    with pytest.raises(RuntimeError, match="LLM_JOBS_API_KEY"):
        llm_jobs.enqueue(template="x", model="m")
