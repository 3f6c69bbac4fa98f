"""The seed's README from its section on testing on; the sections before: `test_seed_readme.py`."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest

import llm_jobs
from app.errors import UnsupportedModel
from app.providers.registry import resolve
from app.retry import RetryPolicy, backoff_seconds
from app.settings import Settings
from app.simulator.testing import running_simulator
from app.testing import TestBed
from llm_jobs import Client
from tests.docs.platform import Platform, ended
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(300)


# --- Testing: Test Helpers --------------------------------------------------------------------


class MyService:
    """The code under test of the seed's example."""

    @staticmethod
    def queue_llm_job() -> llm_jobs.Job:
        return llm_jobs.enqueue(template="Hello {{name}}", model="gpt-4", context={"name": "World"})


def test_test_helpers_create_an_output(create_test_llm_output: Any) -> None:
    user = SimpleNamespace(id=7)
    output = create_test_llm_output(user=user, format="json")
    assert (output.user_id, output.format, output.status) == (7, "json", "completed")
    assert output.success


def test_test_helpers_stub_success(stub_llm_api_success: Any, perform_llm_job: Any) -> None:
    stub_llm_api_success(format="text")
    assert perform_llm_job(MyService.queue_llm_job()).status == "completed"


def test_test_helpers_stub_failure(stub_llm_api_failure: Any, perform_llm_job: Any) -> None:
    stub_llm_api_failure()
    assert perform_llm_job(MyService.queue_llm_job()).status == "failed"


def test_test_helpers_assert_that_a_job_was_enqueued(assert_llm_job_enqueued: Any) -> None:
    with assert_llm_job_enqueued(template="Hello {{name}}", model="gpt-4"):
        MyService.queue_llm_job()
    with (
        pytest.raises(AssertionError, match="no job was enqueued"),
        assert_llm_job_enqueued(template="Hello {{name}}", model="gpt-4"),
    ):
        pass


# --- Error Handling ---------------------------------------------------------------------------


@pytest.mark.parametrize("jitter", [0.5, 1.0, 1.5])
@pytest.mark.parametrize("count", range(5))
def test_retry_configuration_follows_the_seeds_formula(count: int, jitter: float) -> None:
    base_delay = 5
    max_delay = 300
    delay = min(base_delay * (2**count) * jitter, max_delay)
    settings = Settings()
    policy = RetryPolicy(settings.retry_base_seconds, settings.retry_max_seconds)
    fixed = SimpleNamespace(uniform=lambda low, high: _inside(jitter, low, high))
    assert backoff_seconds(count, policy, random=fixed) == delay
    assert settings.retries == 5


def _inside(jitter: float, low: float, high: float) -> float:
    assert low <= jitter <= high
    return jitter


def test_retry_configuration_and_death_handlers_in_the_log_and_the_row(
    platform: Platform, client: Client
) -> None:
    output = ended(client.jobs.create(template="Hello", model="simulator/500"))
    job_id = output.job_id

    assert output.status == "failed"
    assert output.text == f"Job failed permanently: {output.error_message}"
    assert [attempt["outcome"] for attempt in output.row["attempts"]] == 5 * ["retried"] + [
        "failed"
    ]
    last = "Job permanently failed after all retries"
    eventually(lambda: platform.lines(last, job_id))
    retries = [line["message"] for line in platform.lines("LLMJob retry", job_id)]
    numbers = [re.fullmatch(r"LLMJob retry (\d)/5 in [\d.]+ seconds", text) for text in retries]
    assert [found and found[1] for found in numbers] == ["1", "2", "3", "4", "5"]
    assert len(platform.lines("LLMJob failed", job_id)) == 6


# --- Monitoring -------------------------------------------------------------------------------


def test_structured_logging_has_the_seeds_facts(platform: Platform, client: Client) -> None:
    me = client.me()["user"]["id"]
    output = ended(
        client.jobs.create(template="Welcome {{name}}", model="gpt-4", context={"name": "Ada-17"})
    )
    lines = eventually(
        lambda: platform.lines("LLMJob completed successfully", output.job_id), timeout=30
    )
    (line,) = lines
    assert line["level"] == "info"
    assert line["output_id"] == output.id
    assert line["template"] == "Welcome {{name}}"
    assert line["model"] == "gpt-4"
    assert line["user_id"] == me
    assert line["response_length"] == len(output.text or "")
    assert datetime.fromisoformat(line["timestamp"]).tzinfo == UTC
    (started,) = platform.lines("LLMJob started", output.job_id)
    assert started["context_keys"] == ["name"]
    assert "Ada-17" not in platform.process.output


def test_sidekiq_ui_is_flower_with_one_task_per_job(platform: Platform, client: Client) -> None:
    output = ended(client.jobs.create(template="Hello {{name}}", model="simulator/echo"))

    def seen() -> dict[str, Any] | None:
        found = httpx2.get(
            f"{platform.flower}/api/task/info/{output.job_id}", auth=platform.flower_auth
        )
        task = found.json() if found.status_code == 200 else None
        return task if task and task["state"] == "SUCCESS" else None

    task = eventually(seen, timeout=30)
    assert task is not None
    assert task["uuid"] == output.job_id
    assert "Hello" not in json.dumps(task)


# --- Customization ----------------------------------------------------------------------------


def test_adding_new_llm_providers_keeps_the_seeds_routing() -> None:
    with running_simulator() as vendor:
        settings = Settings(
            OPENAI_API_KEY="key", ANTHROPIC_API_KEY="key", OLLAMA_BASE_URL=vendor.url
        )
        served = [resolve(model, settings) for model in ("gpt-4", "claude-3-opus")]
        ollama = resolve("ollama/llama-3", settings)
        with pytest.raises(UnsupportedModel, match=r"^Unsupported model: mystery-1$"):
            resolve("mystery-1", settings)
    assert [(route.provider, route.model) for route in (*served, ollama)] == [
        ("openai", "gpt-4"),
        ("anthropic", "claude-3-opus"),
        ("ollama", "llama-3"),
    ]


def test_adding_new_llm_providers_takes_one_file(client: Client) -> None:
    output = ended(client.jobs.create(template="Hello", model="textworks/writer"))
    assert (output.text, output.row["attempts"][0]["provider"]) == ("HELLO", "textworks")


def test_custom_context_fetchers_as_a_plain_call(
    llm_jobs_bed: TestBed, assert_llm_job_enqueued: Any
) -> None:
    user = llm_jobs_bed.user(SimpleNamespace(id=7, name="Ada", email="ada@example.org"))
    fetched = llm_jobs.context_fetchers.user_profile(user.user_id)
    assert list(fetched) == ["name", "email", "join_date", "plan"]
    assert fetched["join_date"] == datetime.now(UTC).strftime("%B %Y")
    with assert_llm_job_enqueued(context=fetched):
        llm_jobs.enqueue(
            template="Create welcome email for {{name}} on {{plan}} plan",
            model="gpt-4",
            context=fetched,
        )


def test_custom_context_fetchers_run_in_the_worker(client: Client) -> None:
    output = ended(
        client.jobs.create(
            template="What to wear at {{celsius}} degrees?",
            model="simulator/echo",
            fetchers={"weather": {"city": "Berlin"}},
        )
    )
    assert output.row["prompt"] == "What to wear at 11 degrees?"


# --- Security Considerations, Performance Tips ------------------------------------------------


def test_security_considerations(platform: Platform, client: Client) -> None:
    mine = client.jobs.create(template="Hello", model="simulator/echo")
    with httpx2.Client(base_url=f"{platform.url}/api/v1") as http:
        nobody = http.get(f"/llm_outputs/{mine.output_id}")
        http.headers["Authorization"] = f"Bearer {platform.key}"
        wrong = http.post("/llm_jobs", json={"template": "Hello", "model": "gpt-4", "foo": 1})
        made = http.post("/users", json={"email": "stranger@example.org"})
        key = http.post("/keys", json={"user_id": made.json()["id"]}).json()["key"]
        http.headers["Authorization"] = f"Bearer {key}"
        foreign = http.get(f"/llm_outputs/{mine.output_id}")
    assert (nobody.status_code, nobody.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert (wrong.status_code, wrong.json()["error"]) == (400, "Unknown parameter: foo")
    assert foreign.status_code == 404
    assert int(foreign.headers["X-RateLimit-Remaining"]) < 6000


def test_performance_tips_jobs_have_a_priority(client: Client) -> None:
    outputs = [
        ended(client.jobs.create(template="Hello", model="simulator/echo", queue=queue))
        for queue in ("high", "default", "low")
    ]
    assert [output.row["queue"] for output in outputs] == ["high", "default", "low"]
