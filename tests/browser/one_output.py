"""What the tests of one output's page share: submitting as somebody, and where a page is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from app import jobs
from app.jobs import JobRequest, Submission
from tests.support.browser import Person
from tests.support.platform import Platform

Someone = Callable[..., Person]
Submit = Callable[..., Submission]


@contextmanager
def submitting(platform: Platform, **usual: object) -> Iterator[Submit]:
    """Submits as somebody; what has not ended at the block's end is cancelled.

    `usual` is what a request says where a test says nothing.
    """
    made: list[tuple[Person, Submission]] = []

    def submit(who: Person, **wanted: object) -> Submission:
        own = {
            "template": "Explain {{concept}} to a beginner",
            "context": {"concept": "machine learning"},
            "model": "simulator/echo",
            **usual,
        }
        request = JobRequest(**{**own, **wanted})  # type: ignore[arg-type]
        made.append((who, jobs.submit(platform.runtime, who.caller, request)))
        return made[-1][1]

    yield submit
    for who, job in made:
        if not platform.row(job).finished_at:
            jobs.cancel(platform.runtime, who.caller, job.job_id)


def path(job: Submission, rest: str = "") -> str:
    """The address of its output's page."""
    return f"/llm_outputs/{job.output_id}{rest}"
