"""The pytest plugin: the seed's helpers, as somebody else's tests would use them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

import llm_jobs
from app import jobs
from app.accounts import OPERATOR
from app.errors import ProviderRateLimited, UnsupportedModel
from app.testing import Enqueued, StubModel, TestBed
from models import LLMOutput

Perform = Callable[..., LLMOutput]
Stub = Callable[..., StubModel]
Create = Callable[..., LLMOutput]
Expect = Callable[..., AbstractContextManager[Enqueued]]


def greet(**more: Any) -> llm_jobs.Job:
    """The code under test."""
    return llm_jobs.enqueue(
        template="Hello {{name}}", model="gpt-4", context={"name": "Ada"}, **more
    )


def test_a_job_is_carried_out_from_its_row_to_its_end(
    stub_llm_api_success: Stub, perform_llm_job: Perform, llm_jobs_bed: TestBed
) -> None:
    model = stub_llm_api_success()
    row = perform_llm_job(greet())
    assert (row.status, row.raw_response, row.prompt) == (
        "completed",
        "Test response",
        "Hello Ada",
    )
    assert row.warnings in (None, [])
    assert row.input_tokens is not None
    (call,) = model.calls
    assert (call.model, call.messages[-1].content) == ("gpt-4", "Hello Ada")
    with llm_jobs_bed.runtime.database.read() as session:
        shown = jobs.describe(session, row)
    assert [a["outcome"] for a in shown["attempts"]] == ["completed"]


@pytest.mark.parametrize(
    ("format", "parsed"),
    [
        ("text", "Test response"),
        ("json", {"result": "Test response"}),
        ("markdown", "# Test\n\nTest response"),
        ("html", "<h1>Test</h1><p>Test response</p>"),
    ],
)
def test_a_success_fits_the_format(
    stub_llm_api_success: Stub, perform_llm_job: Perform, format: str, parsed: Any
) -> None:
    stub_llm_api_success(format=format)
    row = perform_llm_job(greet(format=format))
    assert row.success
    assert row.error_code is None
    if format in ("text", "json"):
        assert row.parsed_output == parsed
    else:
        assert row.raw_response == parsed


def test_a_success_satisfies_a_schema(stub_llm_api_success: Stub, perform_llm_job: Perform) -> None:
    schema = {
        "type": "object",
        "properties": {"age": {"type": "integer", "minimum": 3}},
        "required": ["age"],
    }
    stub_llm_api_success()
    row = perform_llm_job(greet(format="json", response_schema=schema))
    assert row.status == "completed"
    assert row.parsed_output["age"] >= 3


def test_broken_json_is_repaired_and_then_given_up_as_in_the_house(
    stub_llm_api_success: Stub, perform_llm_job: Perform
) -> None:
    model = stub_llm_api_success(text='{"broken":')
    row = perform_llm_job(greet(format="json"))
    assert row.parsed_output["format_error"] == "Invalid JSON response"
    assert (len(model.calls), row.fence, row.tries) == (2, 2, 1)


def test_a_failure_is_retried_to_its_end(
    stub_llm_api_failure: Stub, perform_llm_job: Perform
) -> None:
    model = stub_llm_api_failure()
    row = perform_llm_job(greet())
    assert (row.status, row.tries, row.fence) == ("failed", 6, 6)
    assert row.raw_response == "Job failed permanently: API failure"
    assert len(model.calls) == 6


def test_a_failure_that_passes_is_survived(
    stub_llm_api_failure: Stub, perform_llm_job: Perform
) -> None:
    model = stub_llm_api_failure(times=2)
    row = perform_llm_job(greet())
    assert (row.status, row.tries) == ("completed", 3)
    stub_llm_api_failure(ProviderRateLimited("Slow down", retry_after_seconds=900), times=3)
    row = perform_llm_job(greet())
    assert (row.status, row.tries, row.fence) == ("completed", 1, 4)
    assert len(model.calls) == 7


def test_attempts_can_be_looked_at_one_by_one(
    stub_llm_api_failure: Stub, perform_llm_job: Perform
) -> None:
    stub_llm_api_failure("overloaded")
    job = greet()
    row = perform_llm_job(job, attempts=1)
    assert (row.status, row.tries, row.error_code) == ("pending", 1, "overloaded")
    assert row.run_at > row.created_at
    assert perform_llm_job(job, attempts=2).tries == 3


def test_a_final_failure_is_final(stub_llm_api_failure: Stub, perform_llm_job: Perform) -> None:
    stub_llm_api_failure("refused")
    row = perform_llm_job(greet())
    assert (row.status, row.error_code, row.tries) == ("failed", "refused", 1)


def test_waiting_for_a_job_carries_it_out(stub_llm_api_success: Stub) -> None:
    stub_llm_api_success(text="Hi.")
    assert greet().wait(timeout_seconds=5).text == "Hi."


async def _in_a_loop(perform: Perform) -> LLMOutput:
    return perform(greet())


def test_a_test_with_an_event_loop_may_perform_too(
    stub_llm_api_success: Stub, perform_llm_job: Perform
) -> None:
    stub_llm_api_success()
    assert asyncio.run(_in_a_loop(perform_llm_job)).success


def test_a_model_nobody_stubbed_is_never_called(
    perform_llm_job: Perform, stub_llm_api_failure: Stub, stub_llm_api_success: Stub
) -> None:
    job = greet()
    with pytest.raises(AssertionError, match="say first what the model does"):
        perform_llm_job(job)
    with pytest.raises(ValueError, match="use one of"):
        stub_llm_api_failure("no such error")
    with pytest.raises(ValueError, match="use one of"):
        stub_llm_api_success(format="xml")


def test_an_ended_job_is_not_performed_again(
    create_test_llm_output: Create, perform_llm_job: Perform, stub_llm_api_success: Stub
) -> None:
    stub_llm_api_success()
    with pytest.raises(AssertionError, match="ended already"):
        perform_llm_job(create_test_llm_output())


def test_what_no_provider_serves_is_refused_in_tests_too(llm_jobs_bed: TestBed) -> None:
    with pytest.raises(UnsupportedModel):
        llm_jobs.enqueue(template="x", model="mystery-1")


@pytest.mark.parametrize("status", ["pending", "processing", "completed", "failed", "cancelled"])
def test_rows_of_every_status_can_be_made(create_test_llm_output: Create, status: str) -> None:
    row = create_test_llm_output(status=status)
    assert row.status == status
    assert row.template_name == "Hello {{name}}"


def test_a_row_is_made_as_it_is_asked_for(create_test_llm_output: Create) -> None:
    class Person:
        id = 7
        email = "ada@example.org"

    row = create_test_llm_output(
        user=Person(), format="json", text='{"a": 1}', model="claude-3-opus"
    )
    assert (row.user_id, row.format, row.parsed_output) == (7, "json", {"a": 1})
    assert row.model_name == "claude-3-opus"
    other = create_test_llm_output(user=7)
    assert other.user_id == 7
    llm_jobs.set_feedback(row, "thumbs_up", user=Person())
    assert llm_jobs.get_output(row).feedback == "thumbs_up"
    assert llm_jobs.get_output(llm_jobs.re_run(row)).row["parent_id"] == row.id


def test_what_was_enqueued_is_found(
    assert_llm_job_enqueued: Expect, create_test_llm_output: Create
) -> None:
    create_test_llm_output()
    with assert_llm_job_enqueued(template="Hello {{name}}", model="gpt-4") as enqueued:
        greet(metadata={"ticket": 7})
        llm_jobs.enqueue(template="other", model="gpt-4")
    assert enqueued.row.metadata_ == {"ticket": 7}
    with assert_llm_job_enqueued(context={"name": "Ada"}, queue="high", times=2):
        greet(queue="high")
        greet(queue="high")


def test_what_was_enqueued_otherwise_is_shown_as_a_diff(assert_llm_job_enqueued: Expect) -> None:
    def expect_too_much() -> None:
        with assert_llm_job_enqueued(template="Hello {{name}}", model="gpt-3"):
            llm_jobs.enqueue(template="far off", model="gpt-5")
            greet()

    with pytest.raises(AssertionError) as failure:
        expect_too_much()
    message = str(failure.value)
    assert "2 jobs were enqueued; this one comes nearest" in message
    assert "-model = 'gpt-3'" in message
    assert "+model = 'gpt-4'" in message
    assert " template = 'Hello {{name}}'" in message


def test_nothing_enqueued_is_a_failure(
    assert_llm_job_enqueued: Expect, create_test_llm_output: Create
) -> None:
    greet_before = greet()
    assert greet_before.output_id

    def expect(times: int | None = None, jobs_made: int = 0) -> None:
        with assert_llm_job_enqueued(model="gpt-4", times=times):
            for _ in range(jobs_made):
                greet()

    with pytest.raises(AssertionError, match="no job was enqueued"):
        expect()
    with pytest.raises(AssertionError, match="2 such jobs were enqueued, not 1"):
        expect(times=1, jobs_made=2)
    with (
        pytest.raises(TypeError, match="a job has no colour"),
        assert_llm_job_enqueued(colour="red"),
    ):
        pass


def test_an_error_in_the_block_is_not_hidden(assert_llm_job_enqueued: Expect) -> None:
    with pytest.raises(ZeroDivisionError), assert_llm_job_enqueued(model="gpt-4"):
        raise ZeroDivisionError


def test_each_test_has_rows_of_its_own(llm_jobs_bed: TestBed) -> None:
    assert llm_jobs_bed.newest_id() == 0
    assert greet().output_id == 1
    assert [wake.output_id for wake in llm_jobs_bed.woken] == [1]
    with llm_jobs_bed.runtime.database.read() as session:
        assert jobs.get(session, OPERATOR, output_id=1).user_id is None


def test_another_project_gets_the_fixtures_by_installing_the_package(tmp_path: Path) -> None:
    (tmp_path / "test_theirs.py").write_text(
        textwrap.dedent(
            """
            import llm_jobs

            def test_it(stub_llm_api_success, perform_llm_job, assert_llm_job_enqueued):
                stub_llm_api_success(format="json")
                with assert_llm_job_enqueued(model="gpt-4"):
                    job = llm_jobs.enqueue(template="Hi", model="gpt-4", format="json")
                assert perform_llm_job(job).parsed_output == {"result": "Test response"}

            def test_nothing_is_imported_for_others():
                import sys
                assert "sqlalchemy" not in sys.modules
            """
        )
    )
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider",
         "-k", "nothing_is_imported", str(tmp_path)],
        capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider",
         "-k", "test_it", str(tmp_path)],
        capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout
