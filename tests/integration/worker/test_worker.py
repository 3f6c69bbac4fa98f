"""A job from its submission to its end, by a real worker: every format, every kind of end."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from models import Attempt
from tests.support.platform import Platform
from tests.support.plugin import known_here

MODELS = ("gpt-4", "claude-3-opus", "simulator/echo-me")
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "people": {"type": "integer"}},
    "required": ["city", "people"],
    "additionalProperties": False,
}


def kinds(attempts: list[Attempt]) -> list[tuple[str, str]]:
    return [(attempt.kind, attempt.outcome) for attempt in attempts]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("format", ["text", "json", "markdown", "html"])
def test_a_job_ends_completed_after_one_call(
    any_platform: Platform, model: str, format: str
) -> None:
    platform = any_platform
    job = platform.submit(model=model, format=format)
    (row,) = platform.wait_ended(job)
    assert (row.status, row.tries, row.fence) == ("completed", 1, 1)
    assert row.prompt == "Explain machine learning to a beginner"
    assert row.raw_response
    assert isinstance(row.parsed_output, dict if format == "json" else str)
    assert (row.error_code, row.lease_expires_at, row.worker) == (None, None, None)
    assert kinds(platform.attempts(job)) == [("answer", "completed")]
    assert platform.calls(job) == 1


def test_each_vendor_is_called_in_its_own_format(platform: Platform) -> None:
    paths = {"gpt-4": "/v1/chat/completions", "claude-3-opus": "/v1/messages"}
    for model, path in paths.items():
        job = platform.submit(model=model)
        platform.wait_ended(job)
        (call,) = platform.simulator.calls(job.job_id)
        assert call.path == path
        (attempt,) = platform.attempts(job)
        assert attempt.provider == {"gpt-4": "openai", "claude-3-opus": "anthropic"}[model]


def test_usage_and_price_of_a_call_are_in_row_and_ledger(any_platform: Platform) -> None:
    job = any_platform.submit(model="gpt-4")
    (row,) = any_platform.wait_ended(job)
    (call,) = any_platform.simulator.calls(job.job_id)
    (attempt,) = any_platform.attempts(job)
    used = (call.input_tokens, call.output_tokens)
    assert (row.input_tokens, row.output_tokens) == used
    assert (attempt.input_tokens, attempt.output_tokens) == used
    assert attempt.duration_seconds is not None
    assert attempt.worker == "worker-0@test"
    assert attempt.provider_request_id


@pytest.mark.parametrize("model", ["gpt-4", "claude-sonnet-5", "simulator/echo-me"])
def test_an_answer_by_schema_is_checked_and_kept(platform: Platform, model: str) -> None:
    job = platform.submit(model=model, format="json", response_schema=SCHEMA)
    (row,) = platform.wait_ended(job)
    assert row.status == "completed", row.error_message
    assert row.parsed_output.keys() == {"city", "people"}


def test_system_and_messages_reach_the_model(platform: Platform) -> None:
    job = platform.submit(
        template=None,
        system="You are {{who}}.",
        messages=[
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": "Yes?"},
            {"role": "user", "content": "Explain {{concept}}"},
        ],
    )
    (row,) = platform.wait_ended(job)
    (call,) = platform.simulator.calls(job.job_id)
    sent = json.loads(call.body)["messages"]
    assert [message["role"] for message in sent] == ["system", "user", "assistant", "user"]
    assert sent[-1]["content"] == "Explain machine learning"
    assert row.prompt == "user: Hello\n\nassistant: Yes?\n\nuser: Explain machine learning"


def test_values_of_fetchers_are_in_the_prompt(platform: Platform) -> None:
    fetchers = {"whisper": {"word": "hush"}, "user_profile": {}}
    with known_here():
        job = platform.submit(template="{{whisper.whispered}} {{whispered}}", fetchers=fetchers)
    (row,) = platform.wait_ended(job)
    assert (row.status, row.prompt) == ("completed", "hush hush")


def test_a_fetcher_that_takes_too_long_is_a_warning(platform: Platform) -> None:
    with known_here():
        job = platform.submit(fetchers={"stall": {"seconds": 60}})
    (row,) = platform.wait_ended(job)
    assert row.status == "completed"
    assert "longer than 1.5 seconds" in (row.warnings or [""])[0]


@pytest.mark.parametrize("model", ["gpt-sim-refusal", "claude-sim-refusal"])
def test_a_refusal_fails_at_once(platform: Platform, model: str) -> None:
    job = platform.submit(model=model, format="json")
    (row,) = platform.wait_ended(job)
    assert (row.status, row.error_code, row.tries) == ("failed", "refused", 1)
    assert (row.raw_response or "").startswith("Job failed permanently: ")
    assert platform.calls(job) == 1


def test_unreadable_json_is_repaired_once(any_platform: Platform) -> None:
    job = any_platform.submit(model="simulator/repairable", format="json")
    (row,) = any_platform.wait_ended(job)
    assert (row.status, row.tries, row.fence) == ("completed", 1, 2)
    attempts = any_platform.attempts(job)
    assert kinds(attempts) == [("answer", "continued"), ("repair", "completed")]
    assert row.input_tokens == sum(attempt.input_tokens or 0 for attempt in attempts)


def test_json_that_cannot_be_repaired_is_kept_with_the_seeds_words(platform: Platform) -> None:
    job = platform.submit(model="simulator/bad-json", format="json")
    (row,) = platform.wait_ended(job)
    assert row.status == "completed"
    assert row.parsed_output["format_error"] == "Invalid JSON response"
    assert kinds(platform.attempts(job)) == [("answer", "continued"), ("repair", "completed")]


def test_json_that_never_fits_its_schema_fails(any_platform: Platform) -> None:
    job = any_platform.submit(model="simulator/bad-json", format="json", response_schema=SCHEMA)
    (row,) = any_platform.wait_ended(job)
    assert (row.status, row.error_code, row.tries) == ("failed", "output_invalid", 1)
    assert kinds(any_platform.attempts(job)) == [("answer", "continued"), ("repair", "failed")]


def test_json_cut_by_the_token_limit_is_asked_again_with_a_larger_one(platform: Platform) -> None:
    model = "simulator/length-once"
    job = platform.submit(model=model, format="json", options={"max_tokens": 100})
    (row,) = platform.wait_ended(job)
    assert (row.status, row.tries) == ("completed", 1)
    assert kinds(platform.attempts(job)) == [("answer", "continued"), ("enlarge", "completed")]
    limits = [
        json.loads(c.body)["max_completion_tokens"] for c in platform.simulator.calls(job.job_id)
    ]
    assert limits == [100, 400]


def test_json_that_is_cut_twice_fails(platform: Platform) -> None:
    job = platform.submit(model="simulator/length", format="json")
    (row,) = platform.wait_ended(job)
    assert (row.status, row.error_code) == ("failed", "output_truncated")
    assert platform.calls(job) == 2


def test_a_text_cut_by_a_limit_the_job_did_not_set_is_asked_again(platform: Platform) -> None:
    job = platform.submit(model="simulator/length-once")
    (row,) = platform.wait_ended(job)
    assert (row.status, row.warnings) == ("completed", None)
    assert kinds(platform.attempts(job)) == [("answer", "continued"), ("enlarge", "completed")]


@pytest.mark.parametrize(("options", "calls"), [({"max_tokens": 100}, 1), (None, 2)])
def test_a_text_that_stays_cut_is_an_answer_with_a_warning(
    platform: Platform, options: dict[str, int] | None, calls: int
) -> None:
    job = platform.submit(model="simulator/length", options=options)
    (row,) = platform.wait_ended(job)
    assert row.status == "completed"
    assert row.warnings == ["The answer was cut by the token limit"]
    assert platform.calls(job) == calls


@pytest.mark.fault("F14", "an answer breaks off")
@pytest.mark.parametrize("told", ["cut", "truncated", "mid-error", "reset-body"])
@pytest.mark.parametrize("options", [{}, {"max_tokens": 8000}], ids=["whole", "streamed"])
def test_half_an_answer_is_never_an_answer(
    platform: Platform, told: str, options: dict[str, Any]
) -> None:
    job = platform.submit(model=f"simulator/{told}", options=options)
    (row,) = platform.wait_ended(job)
    assert (row.status, row.tries) == ("failed", 6), row.error_message
    assert (row.raw_response or "").startswith("Job failed permanently: ")
    assert platform.calls(job) == 6


@pytest.mark.fault("F13", "a provider does not answer")
def test_the_deadline_ends_a_call_that_hangs(platform: Platform) -> None:
    job = platform.submit(
        model="simulator/hang", deadline=datetime.now(UTC) + timedelta(seconds=1.5)
    )
    (row,) = platform.wait_ended(job, timeout=8)
    assert (row.status, row.error_code) == ("failed", "expired")
    assert platform.attempts(job)[0].error_code == "timeout"
    platform.simulator.wait_for(lambda seen: seen.calls(job.job_id)[0].client_gone, timeout=3)


@pytest.mark.fault("F15", "an answer holds NUL or half a character")
@pytest.mark.parametrize("told", ["nul", "surrogate"])
def test_characters_no_database_stores_are_replaced(any_platform: Platform, told: str) -> None:
    job = any_platform.insert(
        model=f"simulator/{told}", context={"concept": "a\x00b \ud800 c"}, format="json"
    )
    (row,) = any_platform.wait_ended(job)
    assert row.status == "completed", row.error_message
    assert "a\ufffdb \ufffd c" in (row.prompt or "")
