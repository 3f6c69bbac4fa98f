"""The examples of the seed's README, one by one, in the order and under the names of its sections.

What the seed wrote in Ruby is written here in Python with the same arguments; what it wrote for a
shell is sent byte by byte. Which promise is kept where is told in
`docs/how-to/migrate-from-the-seed.md`.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError

import llm_jobs
from app.dev.procfile import shipped_procfile
from app.errors import UnsupportedModel
from app.providers.registry import resolve
from app.retry import RetryPolicy, backoff_seconds
from app.settings import Settings
from app.simulator.testing import running_simulator
from app.testing import TestBed
from llm_jobs import Client
from models import Feedback, LLMOutput
from tests.docs.platform import Platform
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(300)

SEED_BODY = """{
    "template": "Explain {{concept}} to a beginner",
    "model": "gpt-4",
    "context": { "concept": "machine learning" },
    "format": "text"
  }"""


@pytest.fixture
def client(platform: Platform) -> Iterator[Client]:
    """A client of the running platform."""
    with closing(Client(platform.url, platform.key)) as client:
        yield client


@pytest.fixture
def over_http(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    """`llm_jobs` in this test speaks to the running platform."""
    monkeypatch.setenv("LLM_JOBS_URL", platform.url)
    monkeypatch.setenv("LLM_JOBS_API_KEY", platform.key)


def _wait(output: llm_jobs.Job) -> llm_jobs.Output:
    return output.wait(timeout_seconds=60)


# --- Installation, Configuration, Sidekiq Setup -----------------------------------------------


def test_installation_starts_everything_and_shows_a_first_job(platform: Platform) -> None:
    shown = platform.process.output
    assert re.search(r"The first job, \S+, is completed\. Its output:\n\n    \S", shown)
    assert all(f"\n{name}" in shown for name in ("Web ", "Flower ", "API key "))


def test_environment_variables_are_read_from_the_env_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "OPENAI_API_KEY=your_openai_api_key_here\n"
        "ANTHROPIC_API_KEY=your_anthropic_api_key_here\n"
        "REDIS_URL=redis://localhost:6379/1\n"
    )
    settings = Settings(_env_file=tmp_path / ".env")
    assert settings.openai_api_key is not None
    assert settings.anthropic_api_key is not None
    assert settings.openai_api_key.get_secret_value() == "your_openai_api_key_here"
    assert settings.anthropic_api_key.get_secret_value() == "your_anthropic_api_key_here"
    assert settings.broker == "redis://localhost:6379/1"


def test_sidekiq_setup_is_a_worker_on_the_three_queues(platform: Platform) -> None:
    queues = httpx2.get(
        f"{platform.url}/api/v1/queues", headers={"Authorization": f"Bearer {platform.key}"}
    ).json()
    assert [queue["name"] for queue in queues["queues"]] == ["high", "default", "low"]
    assert [worker["alive"] for worker in queues["workers"]] == [True]
    assert "-Q high,default,low" in shipped_procfile()["worker"]


# --- Usage: Basic Job Queuing -----------------------------------------------------------------


@pytest.mark.usefixtures("over_http")
def test_basic_job_queuing_of_simple_text_generation(client: Client) -> None:
    current_user = SimpleNamespace(**client.me()["user"])
    job = llm_jobs.enqueue(
        template="Write a summary about {{topic}}",
        model="gpt-4",
        context={"topic": "Ruby on Rails"},
        format="text",
        user_id=current_user.id,
    )
    output = _wait(job)
    assert output.row["prompt"] == "Write a summary about Ruby on Rails"
    assert output.row["user_id"] == current_user.id
    assert output.success
    assert output.parsed == (output.text or "").strip()


@pytest.mark.usefixtures("over_http")
def test_basic_job_queuing_of_json_output() -> None:
    job = llm_jobs.enqueue(
        template="Generate data for {{entity}} in JSON format",
        model="gpt-3.5-turbo",
        context={"entity": "user profile"},
        format="json",
    )
    output = _wait(job)
    assert output.success
    assert isinstance(output.parsed, dict)
    assert output.row["formatted_output"] == json.dumps(output.parsed, indent=2)


@pytest.mark.usefixtures("over_http")
def test_basic_job_queuing_of_markdown_documentation() -> None:
    job = llm_jobs.enqueue(
        template="Create documentation for {{feature}}",
        model="claude-3-opus",
        context={"feature": "authentication system"},
        format="markdown",
    )
    output = _wait(job)
    assert output.success
    assert (output.text or "").startswith("# ")
    assert output.row["rendered_html"].startswith("<h1>")


# --- Usage: API Usage -------------------------------------------------------------------------


def test_api_usage_answers_the_seeds_curl_with_its_four_keys(
    platform: Platform, client: Client
) -> None:
    before = {output.id for output in client.outputs.list()}
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {platform.key}"}
    done = subprocess.run(
        [
            *("curl", "-sS", "-w", "\n%{http_code}"),
            *("-X", "POST", f"{platform.url}/api/v1/llm_jobs"),
            *(word for name, value in headers.items() for word in ("-H", f"{name}: {value}")),
            *("-d", SEED_BODY),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    text, _, status = done.stdout.rpartition("\n")
    answer = json.loads(text)
    assert status == "201"
    assert list(answer)[:4] == ["job_id", "output_id", "status", "estimated_completion"]
    assert set(answer) - {"warnings"} == set(list(answer)[:4])
    assert re.fullmatch(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", answer["job_id"])
    assert isinstance(answer["output_id"], int)
    assert answer["status"] == "queued"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", answer["estimated_completion"])

    row = client.row(job_id=answer["job_id"], wait_seconds=30)
    estimate, accepted = answer["estimated_completion"], row["created_at"]
    assert datetime.fromisoformat(estimate) > datetime.fromisoformat(accepted)
    assert (row["id"], row["status"]) == (answer["output_id"], "completed")
    assert row["prompt"] == "Explain machine learning to a beginner"
    assert {output.id for output in client.outputs.list()} - before == {answer["output_id"]}


# --- Usage: Feedback & Re-execution -----------------------------------------------------------


@pytest.mark.usefixtures("over_http")
def test_feedback_and_re_execution(client: Client) -> None:
    current_user = SimpleNamespace(**client.me()["user"])
    made = llm_jobs.enqueue("Explain {{concept}}", "gpt-4", {"concept": "machine learning"}, "text")
    _wait(made)
    output = llm_jobs.get_output(made.output_id)

    llm_jobs.set_feedback(output, "thumbs_up", user=current_user)
    parent = llm_jobs.get_output(output)
    assert parent.feedback == "thumbs_up"
    assert parent.row["feedback_at"] is not None

    again = _wait(llm_jobs.re_run(output))
    same = ("template_name", "model_name", "context", "format", "prompt")
    assert [again.row[name] for name in same] == [parent.row[name] for name in same]
    assert (again.row["parent_id"], again.row["derivation"]) == (output.id, "re_run")

    other = _wait(
        llm_jobs.regenerate(output, new_context={"concept": "deep learning"}, new_model="gpt-4")
    )
    assert other.row["prompt"] == "Explain deep learning"
    assert (other.row["parent_id"], other.row["derivation"]) == (output.id, "regenerate")
    assert llm_jobs.get_output(output).row["children"] == [again.id, other.id]
    assert llm_jobs.get_output(output).text == parent.text


# --- Usage: Web Interface ---------------------------------------------------------------------


def test_web_interface_acts_are_there_as_api(platform: Platform) -> None:
    with httpx2.Client(
        base_url=f"{platform.url}/api/v1", headers={"Authorization": f"Bearer {platform.key}"}
    ) as http:
        made = http.post("/llm_jobs?wait=30", json=json.loads(SEED_BODY)).json()
        listed = http.get("/llm_outputs").json()
        assert made["output_id"] in [row["id"] for row in listed["data"]]
        address = f"/llm_outputs/{made['output_id']}"
        assert http.get(address).json()["status"] == "completed"
        down = http.post(f"{address}/feedback", json={"feedback_type": "thumbs_down"})
        assert (down.status_code, down.json()) == (
            200,
            {"status": "success", "feedback": "thumbs_down", "comment": None},
        )
        again = http.post(f"{address}/re_run", json={})
        assert again.status_code in (200, 201)
        assert again.json()["message"] == "Job queued for re-run"
        other = http.post(f"{address}/regenerate", json={"context": {"concept": "queues"}})
        assert other.json()["message"] == "Job queued for regeneration"


# --- Models: LLMOutput ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        *({"template_name": None}, {"model_name": None}, {"format": None}, {"status": None}),
        *({"format": "pdf"}, {"status": "lost"}, {"feedback": 3}),
    ],
    ids=str,
)
def test_llm_output_validates_presence_and_inclusion(
    wrong: dict[str, Any], create_test_llm_output: Any, llm_jobs_bed: TestBed
) -> None:
    change = update(LLMOutput).where(LLMOutput.id == create_test_llm_output().id).values(wrong)
    with llm_jobs_bed.runtime.database.read() as session, pytest.raises(IntegrityError):
        session.execute(change)


def test_llm_output_feedback_is_an_enum() -> None:
    assert {verdict.word: verdict.value for verdict in Feedback} == {
        "none": 0,
        "thumbs_up": 1,
        "thumbs_down": 2,
    }


def test_llm_output_scopes(create_test_llm_output: Any, llm_jobs_bed: TestBed) -> None:
    done = create_test_llm_output(template="Summarise {{text}}", model="gpt-4")
    waits = create_test_llm_output(template="Translate {{text}}", model="gpt-4", status="pending")
    other = create_test_llm_output(template="Translate {{text}}", model="claude-3-opus")
    with llm_jobs_bed.runtime.database.read() as session:

        def ids(query: Any) -> list[int]:
            return sorted(output.id for output in session.scalars(query))

        assert ids(LLMOutput.completed()) == [done.id, other.id]
        assert ids(LLMOutput.by_template("Translate {{text}}")) == [waits.id, other.id]
        assert ids(LLMOutput.by_model("gpt-4")) == [done.id, waits.id]


def test_llm_output_key_attributes(client: Client) -> None:
    output = _wait(
        client.jobs.create(
            template="Generate data for {{entity}}",
            model="gpt-4",
            context={"entity": "a user"},
            format="json",
        )
    )
    row = output.row
    assert row["template_name"] == "Generate data for {{entity}}"
    assert row["model_name"] == "gpt-4"
    assert row["context"] == {"entity": "a user"}
    assert row["format"] == "json"
    assert row["prompt"] == "Generate data for a user"
    assert json.loads(row["raw_response"]) == row["parsed_output"]
    assert row["feedback"] == "none"
    assert row["status"] == "completed"


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
    output = _wait(client.jobs.create(template="Hello", model="simulator/500"))
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
    output = _wait(
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
    output = _wait(client.jobs.create(template="Hello {{name}}", model="simulator/echo"))

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
    output = _wait(client.jobs.create(template="Hello", model="textworks/writer"))
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
    output = _wait(
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
        wrong = http.post("/llm_jobs", json={**json.loads(SEED_BODY), "foo": 1})
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
        _wait(client.jobs.create(template="Hello", model="simulator/echo", queue=queue))
        for queue in ("high", "default", "low")
    ]
    assert [output.row["queue"] for output in outputs] == ["high", "default", "low"]
