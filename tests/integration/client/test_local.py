"""The same calls without HTTP: straight into this installation's rows."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

import llm_jobs
from app.errors import MissingParameter, NotFound
from app.settings import load_settings
from llm_jobs import local
from models import LLMOutput
from tests.integration.client.conftest import Platform


@pytest.fixture
def platform(platform: Platform) -> Iterator[Platform]:
    """Calls of this process go to the platform's own runtime."""
    local.use(platform.runtime)
    yield platform
    local.use(None)


def enqueue(**more: object) -> llm_jobs.Job:
    fields = {"template": "Hello {{name}}", "model": "simulator/echo", "context": {"name": "A"}}
    return llm_jobs.enqueue(**(fields | more))  # type: ignore[arg-type]


def test_the_seeds_example_becomes_a_row(platform: Platform) -> None:
    job = llm_jobs.enqueue(
        template="Write a summary about {{topic}}",
        model="simulator/echo",
        context={"topic": "Ruby on Rails"},
        format="text",
        user_id=platform.alice.user_id,
    )
    row = platform.row(job.output_id)
    assert (row.job_id, row.user_id, row.status) == (job.job_id, platform.alice.user_id, "pending")
    assert row.context == {"topic": "Ruby on Rails"}
    assert platform.runtime.wake.depth("default") == 1


def test_a_job_without_a_user_belongs_to_nobody(platform: Platform) -> None:
    assert platform.row(enqueue(priority="low").output_id).user_id is None
    with pytest.raises(NotFound):
        enqueue(user_id=12345)


def test_errors_are_those_of_the_platform(platform: Platform) -> None:
    with pytest.raises(MissingParameter, match="template"):
        llm_jobs.enqueue(model="simulator/echo")
    with pytest.raises(TypeError, match="colour"):
        enqueue(colour="red")
    with pytest.raises(TypeError, match="expected an output"):
        llm_jobs.re_run("7")


def test_waiting_and_acting_work_as_over_http(platform: Platform) -> None:
    job = enqueue(user_id=platform.alice.user_id)
    worker = threading.Timer(0.1, platform.complete, [job.output_id, "An answer."])
    worker.start()
    output = job.wait(timeout_seconds=20)
    worker.join()
    assert output.text == "An answer."
    llm_jobs.set_feedback(output, "thumbs_up", comment="good", user=platform.alice)
    assert llm_jobs.get_output(job).row["feedback_comment"] == "good"
    assert platform.row(llm_jobs.re_run(output).output_id).user_id == platform.alice.user_id
    row: LLMOutput = platform.row(job.output_id)
    child = llm_jobs.regenerate(row, new_template="Bye {{name}}", new_options={"max_tokens": 5})
    assert platform.row(child.output_id).template_name == "Bye {{name}}"
    assert child.why()["job_id"] == child.job_id
    assert child.cancel().status == "cancelled"


def test_a_stranger_gives_no_feedback(platform: Platform) -> None:
    job = enqueue()
    with pytest.raises(NotFound):
        llm_jobs.set_feedback(job, "thumbs_up", user=platform.alice.user_id)


def test_a_key_is_one_job(platform: Platform) -> None:
    user_id = platform.alice.user_id
    first = enqueue(user_id=user_id, idempotency_key="k1")
    second = enqueue(user_id=user_id, idempotency_key="k1")
    assert (first.output_id, first.replayed) == (second.output_id, False)
    assert second.replayed
    platform.complete(first.output_id)
    children = [llm_jobs.re_run(first, idempotency_key="k2") for _ in range(2)]
    assert children[0].output_id == children[1].output_id


def test_fetchers_are_plain_calls_too(platform: Platform) -> None:
    profile = llm_jobs.context_fetchers.user_profile(platform.alice.user_id)
    assert (profile["name"], profile["email"]) == ("Alice", "alice@example.org")


def test_without_anything_set_the_settings_decide(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", platform.runtime.settings.database_url)
    monkeypatch.setenv("REDIS_URL", platform.runtime.settings.redis_url)
    monkeypatch.setenv("LLM_JOBS_SIMULATOR_URL", "http://127.0.0.1:9")
    load_settings.cache_clear()
    local.use(None)
    job = enqueue()
    local.local().runtime.close()
    assert platform.row(job.output_id).template_name == "Hello {{name}}"
