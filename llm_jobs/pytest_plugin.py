"""The pytest plugin: fixtures for tests of code that uses the platform.

    def test_the_welcome_mail_is_written(stub_llm_api_success, perform_llm_job):
        stub_llm_api_success(text="Welcome!")
        job = my_service.write_welcome_mail(user_id=7)      # calls llm_jobs.enqueue(...)
        assert perform_llm_job(job).raw_response == "Welcome!"

A test that asks for one of them gets a private database; `llm_jobs.enqueue` and its like go there
for as long as it runs. No broker, no worker and no model is involved.

It is loaded in every pytest run of an environment, so it imports almost nothing itself: the
machinery is `app.testing`, imported when a test first asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from app.testing import Enqueued, StubModel, TestBed
    from models import LLMOutput


@pytest.fixture(scope="session")
def _llm_jobs_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from app.testing.bed import migrated

    return migrated(tmp_path_factory.mktemp("llm-jobs"))


@pytest.fixture
def llm_jobs_bed(
    _llm_jobs_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TestBed]:
    """The test's own platform: `runtime` for `app.jobs`, `model` for what was asked, `woken`."""
    from app.testing.bed import TestBed, copy_of
    from llm_jobs import local

    monkeypatch.delenv("LLM_JOBS_URL", raising=False)
    bed = TestBed(copy_of(_llm_jobs_template, tmp_path))
    local.use(bed.runtime)
    yield bed
    local.use(None)
    bed.close()


@pytest.fixture
def create_test_llm_output(llm_jobs_bed: TestBed) -> Callable[..., LLMOutput]:
    """`create_test_llm_output(user=…, format="json", status="completed", …)` → its row.

    Takes the fields of a job, `status` (any), `text` (the model's answer) and `user` (an object
    with an id, an id, or None for the usual one).
    """
    return llm_jobs_bed.create


@pytest.fixture
def stub_llm_api_success(llm_jobs_bed: TestBed) -> Callable[..., StubModel]:
    """`stub_llm_api_success(format="text", text=…)`: every model answers, from now on.

    Returns the stand-in, whose `calls` are what it was asked.
    """

    def stub(format: str = "text", *, text: str | None = None) -> StubModel:
        llm_jobs_bed.model.succeed(format=format, text=text)
        return llm_jobs_bed.model

    return stub


@pytest.fixture
def stub_llm_api_failure(llm_jobs_bed: TestBed) -> Callable[..., StubModel]:
    """`stub_llm_api_failure("refused", times=…)`: every model fails, from now on or so often.

    The error is a code of `app.errors` or a `CallError`; unsaid, one that is retried.
    """

    def stub(error: Any = "provider_failed", *, times: int | None = None) -> StubModel:
        llm_jobs_bed.model.fail(error, times=times)
        return llm_jobs_bed.model

    return stub


@pytest.fixture
def assert_llm_job_enqueued(
    llm_jobs_bed: TestBed,
) -> Callable[..., AbstractContextManager[Enqueued]]:
    """`with assert_llm_job_enqueued(template=…, model=…): …` fails with a diff unless it was.

    Compares the named fields; `times=n` counts. The block's target has the matching `rows`.
    """
    from app.testing import expect_enqueued

    def expecting(*, times: int | None = None, **expected: Any) -> AbstractContextManager[Enqueued]:
        return expect_enqueued(llm_jobs_bed, expected, times=times)

    return expecting


@pytest.fixture
def perform_llm_job(llm_jobs_bed: TestBed) -> Callable[..., LLMOutput]:
    """`perform_llm_job(job)` carries a job out, retries included, and returns its row.

    `attempts=n` stops after so many. Takes what `llm_jobs.enqueue` returns, a row, or an id.
    """
    from llm_jobs.handles import id_of

    def perform(job: Any, *, attempts: int | None = None) -> LLMOutput:
        return llm_jobs_bed.perform(id_of(job), attempts=attempts)

    return perform
