"""The canonical lines of a job's life: their facts and their level; the words are `app.log`'s.

A raw template is shown by its first 80 characters, without values; of the context only the keys.
"""

from __future__ import annotations

from typing import Any

import structlog

from app import log as words
from app.executor import Ending
from app.lifecycle import Claim, Completed, Report, RetryLater, Snoozed

log = structlog.get_logger("llm_jobs.job")


def started(claim: Claim) -> None:
    log.info(
        words.JOB_STARTED,
        **_job(claim),
        context_keys=sorted(claim.context),
        format=claim.format,
        agent_id=claim.agent_id,
        attempt=claim.tries + 1,
    )


def ended(claim: Claim, ending: Ending) -> None:
    """The one line of an attempt's end, and one more when it was the last."""
    if isinstance(ending, Completed):
        log.info(
            words.JOB_COMPLETED,
            **_job(claim),
            response_length=len(ending.raw_response),
            duration=ending.report.duration_seconds,
            usage=_usage(ending.report),
        )
        return
    if isinstance(ending, Snoozed):
        log.info("LLMJob waits for capacity", **_job(claim), seconds=ending.delay_seconds)
        return
    log.warning(
        words.JOB_FAILED,
        **_job(claim),
        error_code=ending.error_code,
        error_message=ending.error_message,
        duration=ending.report.duration_seconds,
    )
    if isinstance(ending, RetryLater):
        event = words.retry_event(claim.tries + 1, claim.max_tries - 1, ending.delay_seconds)
        log.info(event, **_job(claim))
    else:
        log.error(words.JOB_FAILED_FOR_GOOD, **_job(claim), error_code=ending.error_code)


def cancelled(claim: Claim) -> None:
    log.info("LLMJob cancelled", **_job(claim))


def _job(claim: Claim) -> dict[str, Any]:
    return {
        "job_id": claim.job_id,
        "output_id": claim.output_id,
        "template": words.shown_template(
            claim.template_name, script=claim.script, prompt_name=claim.prompt_name
        ),
        "model": claim.model_name,
        "user_id": claim.user_id,
    }


def _usage(report: Report) -> dict[str, int | None]:
    return {"input_tokens": report.input_tokens, "output_tokens": report.output_tokens}
