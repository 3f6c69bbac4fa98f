"""F2: a web process dies with a job accepted, its message unsent and its caller unanswered."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from llm_jobs import Client
from models import LLMOutput
from tests.faults.conftest import MakePlatform
from tests.faults.verdict import assert_all_ended_once, calls_of, statuses
from tests.support.platform import CONTEXT, TEMPLATE

JOBS = 8


@pytest.mark.fault("F2", "web is killed between a job's commit and its message")
def test_a_job_whose_web_process_died_is_accepted_once_and_run_once(
    make_platform: MakePlatform,
) -> None:
    platform = make_platform(web=True)
    before = platform.count("completed")
    with Client(platform.web_url, platform.key) as client:
        for number in range(JOBS):
            dies = number % 4 == 0
            if dies:
                platform.kill_web_before_it_publishes()
            job = client.jobs.create(template=TEMPLATE, context=CONTEXT, model="simulator/echo")
            assert job.replayed == dies  # it was committed, and nobody had been told
            platform.accepted.append(job.output_id)
    platform.wait_all_ended()
    assert len(set(platform.accepted)) == JOBS
    with platform.runtime.database.read() as session:
        assert session.scalar(select(func.count()).select_from(LLMOutput)) == before + JOBS
    assert_all_ended_once(platform, platform.accepted)
    assert statuses(platform, platform.accepted) == {"completed": JOBS}
    assert calls_of(platform, platform.accepted) == JOBS
