"""Definitions' jobs by a real worker, against the simulator: the seed's documents as they stand."""

from __future__ import annotations

from typing import Any

from app.jobs import JobRequest, Submission, submit
from tests.integration.application.defined import ask, defined, imixs
from tests.support.platform import Platform


def submitted(platform: Platform, **fields: Any) -> Submission:
    return submit(platform.runtime, platform.caller, JobRequest(**fields))


def test_the_seeds_documents_are_carried_out_as_they_stand(any_platform: Platform) -> None:
    plain = submitted(any_platform, prompt_xml=imixs("definition.xml"))
    summary = {"$workflowsummary": "The customer ordered."}
    boolean = submitted(any_platform, prompt_xml=imixs("prompt.xml"), workitem=summary)
    suggest = submitted(any_platform, prompt_xml=imixs("suggest.xml"))
    first, second, third = any_platform.wait_ended(plain, boolean, suggest)
    assert [row.status for row in (first, second, third)] == ["completed"] * 3
    assert "How long is a byte?" in str(first.raw_response)
    assert second.result_items == {"ai.result": [True]}
    assert (third.result_items or {})["ai.suggest.items"] == ["invoice.number", "cdtr.name"]
    assert [any_platform.calls(job) for job in (plain, boolean, suggest)] == [1, 1, 0]


def test_a_step_that_fails_is_tried_again_without_paying_the_first(platform: Platform) -> None:
    steps = [
        ask("invoice", model="simulator/echo", result_item="kind"),
        ask("Say <itemvalue>kind</itemvalue>", model="simulator/echo+500-once"),
    ]
    job = submitted(platform, definition=defined(*steps))
    (row,) = platform.wait_ended(job)
    assert (row.status, row.raw_response) == ("completed", "Say invoice")
    attempts = platform.attempts(job)
    assert [attempt.outcome for attempt in attempts] == ["continued", "retried", "completed"]
    assert platform.calls(job) == 3


def test_an_answer_that_stays_unreadable_fails_with_the_codes_of_imixs(platform: Platform) -> None:
    step = ask("perhaps", model="simulator/echo", result_event="BOOLEAN")
    job = submitted(platform, definition=defined(step))
    (row,) = platform.wait_ended(job)
    assert (row.status, row.error_code) == ("failed", "ERROR_LLM_PROMPT_INFERENCE")
    assert platform.calls(job) == 2


def test_nothing_of_a_job_reaches_the_workers_log_unless_it_is_debugged(platform: Platform) -> None:
    def run(canary: str, *, debug: bool) -> None:
        step = ask(f"{canary} <itemvalue>who</itemvalue>", model="simulator/echo")
        fields: dict[str, Any] = {"workitem": {"who": f"{canary}-item"}, "debug": debug}
        platform.wait_ended(submitted(platform, definition=defined(step), **fields))

    run("canary-quiet", debug=False)
    run("canary-loud", debug=True)
    assert "canary-loud-item" in platform.workers[0].output
    assert "canary-quiet" not in platform.workers[0].output
