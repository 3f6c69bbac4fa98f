"""The examples of the seed's README, one by one, in the order and under the names of its sections.

What the seed wrote in Ruby is written here in Python with the same arguments; what it wrote for a
shell is sent byte by byte. Which promise is kept where is told in
`docs/how-to/migrate-from-the-seed.md`.
"""

from __future__ import annotations

import json
import re
import subprocess
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError

import llm_jobs
from app.dev.procfile import shipped_procfile
from app.settings import Settings
from app.testing import TestBed
from llm_jobs import Client
from models import Feedback, LLMOutput
from tests.docs.platform import Platform, ended

pytestmark = pytest.mark.timeout(300)

SEED_BODY = """{
    "template": "Explain {{concept}} to a beginner",
    "model": "gpt-4",
    "context": { "concept": "machine learning" },
    "format": "text"
  }"""


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
    output = ended(job)
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
    output = ended(job)
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
    output = ended(job)
    assert output.success
    assert (output.text or "").startswith("# ")
    assert output.row["rendered_html"].startswith("<h1>")


# --- Usage: API Usage -------------------------------------------------------------------------


def test_api_usage_answers_the_seeds_curl_with_its_four_keys(
    curl: str, platform: Platform, client: Client
) -> None:
    before = {output.id for output in client.outputs.list()}
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {platform.key}"}
    done = subprocess.run(
        [
            *(curl, "-sS", "-w", "\n%{http_code}"),
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
    ended(made)
    output = llm_jobs.get_output(made.output_id)

    llm_jobs.set_feedback(output, "thumbs_up", user=current_user)
    parent = llm_jobs.get_output(output)
    assert parent.feedback == "thumbs_up"
    assert parent.row["feedback_at"] is not None

    again = ended(llm_jobs.re_run(output))
    same = ("template_name", "model_name", "context", "format", "prompt")
    assert [again.row[name] for name in same] == [parent.row[name] for name in same]
    assert (again.row["parent_id"], again.row["derivation"]) == (output.id, "re_run")

    other = ended(
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
    output = ended(
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
