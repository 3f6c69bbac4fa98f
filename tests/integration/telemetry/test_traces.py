"""A job's trace, over the web server, the row and every worker that takes it."""

from __future__ import annotations

import json
import time

import pytest

from app import telemetry
from tests.integration.telemetry.collector import Span
from tests.integration.telemetry.conftest import Traced
from tests.support.platform import VENDOR_KEYS

PRODUCER, CONSUMER, CLIENT = 4, 5, 3
OK, ERROR = 0, 2
CANARY = "canary-8c1f37"


def spans_of(traced: Traced, output_id: int, *, runs: int) -> tuple[Span, list[Span], list[Span]]:
    """A job's `create job`, its runs and its calls, in the order of its attempts."""
    of = {"llm_jobs_output_id": output_id}
    ask = traced.collector
    ask.wait(lambda: len(ask.spans("run job", **of)) == runs and ask.spans("create job", **of))
    (create,) = ask.spans("create job", **of)
    found = (ask.spans(name, **of) for name in ("run job", "chat "))
    runs_, calls = (sorted(s, key=lambda one: one.attributes["llm_jobs.attempt"]) for s in found)
    return create, runs_, calls


def test_a_trace_goes_from_the_request_over_every_attempt(traced: Traced) -> None:
    trace_id, caller = "ab" * 16, "cd" * 8
    job = traced.job(model="simulator/fail-1", traceparent=f"00-{trace_id}-{caller}-01")
    create, runs, calls = spans_of(traced, job, runs=2)
    assert {span.trace_id for span in (create, *runs, *calls)} == {trace_id}
    assert (create.parent_id, create.kind, create.service) == (caller, PRODUCER, "llm-jobs-web")
    assert [run.parent_id for run in runs] == [create.span_id] * 2
    assert [call.parent_id for call in calls] == [run.span_id for run in runs]
    assert {(r.kind, r.service) for r in runs} == {(CONSUMER, "llm-jobs-worker")}
    assert {call.kind for call in calls} == {CLIENT}
    assert [run.attributes["llm_jobs.outcome"] for run in runs] == ["retried", "completed"]
    assert [run.status for run in runs] == [call.status for call in calls] == [ERROR, OK]
    assert {s.attributes.get("error.type") for s in (runs[0], calls[0])} == {"provider_failed"}


def test_the_row_keeps_the_context_its_attempts_join(traced: Traced) -> None:
    sent = traced.job(model="simulator/echo", traceparent=f"00-{'12' * 16}-{'34' * 8}-01")
    own = traced.job(model="simulator/echo")
    for job in (sent, own):
        create, (run,), _ = spans_of(traced, job, runs=1)
        row = traced.platform.row(job)
        assert (row.traceparent or "").startswith(f"00-{create.trace_id}-{create.span_id}-")
        assert telemetry.trace_id_of(row.traceparent) == run.trace_id
    assert traced.platform.row(own).traceparent != traced.platform.row(sent).traceparent


def test_a_call_says_what_the_conventions_ask_for(traced: Traced) -> None:
    options = {"temperature": 0.5, "max_tokens": 5000, "stop": ["END"], "seed": 7}
    job = traced.job(model="gpt-sim-cached-1", options=options, queue="high")
    _, _, (call,) = spans_of(traced, job, runs=1)
    row, (attempt,) = traced.platform.row(job), traced.platform.attempts(job)
    address, _, port = traced.platform.simulator.url.removeprefix("http://").partition(":")
    first = call.attributes.pop("gen_ai.response.time_to_first_chunk")
    assert 0 < first <= call.seconds
    assert call.attributes.pop("gen_ai.response.id").startswith("chatcmpl-")
    assert call.name == "chat gpt-sim-cached-1"
    assert call.attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.output.type": "text",
        "gen_ai.request.model": "gpt-sim-cached-1",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 5000,
        "gen_ai.request.seed": 7,
        "gen_ai.request.stream": True,
        "gen_ai.response.model": attempt.provider_model,
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": attempt.input_tokens,
        "gen_ai.usage.output_tokens": attempt.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": 1,
        "server.address": address,
        "server.port": int(port),
        "llm_jobs.job_id": row.job_id,
        "llm_jobs.output_id": job,
        "llm_jobs.attempt": 1,
        "llm_jobs.queue": "high",
    }


@pytest.mark.parametrize(
    ("wanted", "outcome", "error"),
    [
        ({"model": "gpt-sim-401"}, "failed", "provider_denied"),
        ({"model": "claude-sim-refusal"}, "failed", "refused"),
        ({"model": "gpt-sim-429-0-once"}, "rate_limited", "rate_limited"),
    ],
)
def test_a_failure_is_told_by_its_code_and_never_by_its_words(
    traced: Traced, wanted: dict[str, str], outcome: str, error: str
) -> None:
    job = traced.job(**wanted)
    attempts = len(traced.platform.attempts(job))
    _, runs, calls = spans_of(traced, job, runs=attempts)
    assert runs[0].attributes["llm_jobs.outcome"] == outcome
    for span in (runs[0], calls[0]):
        assert span.attributes["error.type"] == error
        assert (span.status, span.said, span.events) == (ERROR, "", 0)


def test_each_call_of_a_run_has_a_span_with_its_own_attempt(traced: Traced) -> None:
    job = traced.job(model="simulator/repairable", format="json", template="Write JSON")
    _, (run,), calls = spans_of(traced, job, runs=1)
    assert [call.attributes["llm_jobs.attempt"] for call in calls] == [1, 2]
    assert [call.attributes["gen_ai.output.type"] for call in calls] == ["json", "json"]
    assert {call.parent_id for call in calls} == {run.span_id}


def test_a_cancelled_job_is_told_as_cancelled(traced: Traced) -> None:
    job = traced.begun(model="simulator/latency-20")
    traced.post(f"/api/v1/llm_jobs/{traced.platform.row(job).job_id}/cancel", None)
    traced.platform.wait_ended(job)
    _, (run,), (call,) = spans_of(traced, job, runs=1)
    assert (run.attributes["llm_jobs.outcome"], run.status) == ("cancelled", OK)
    assert call.attributes["error.type"] == "CancelledError"


def test_a_job_taken_over_from_a_dead_worker_stays_in_its_trace(traced: Traced) -> None:
    (worker,) = traced.platform.workers
    job = traced.begun(model="simulator/latency-1")
    worker.kill()
    worker.start()
    traced.platform.wait_ended(job)
    create, (run,), _ = spans_of(traced, job, runs=1)  # the dead worker's own are gone with it
    assert (run.trace_id, run.parent_id) == (create.trace_id, create.span_id)
    assert run.attributes["llm_jobs.attempt"] == 2


def test_a_vote_joins_the_trace_of_what_it_judges(traced: Traced) -> None:
    job = traced.job(model="simulator/echo")
    create, *_ = spans_of(traced, job, runs=1)
    for word in ("thumbs_up", "thumbs_down", "none"):
        traced.post(f"/api/v1/llm_outputs/{job}/feedback", {"feedback_type": word})
    of = {"llm_jobs_output_id": job}
    traced.collector.wait(lambda: len(traced.collector.events(**of)) == 3)
    votes = {
        event.attributes["gen_ai.evaluation.score.label"]: event
        for event in traced.collector.events("gen_ai.evaluation.result", **of)
    }
    scores = {
        label: v.attributes.get("gen_ai.evaluation.score.value") for label, v in votes.items()
    }
    assert scores == {"thumbs_up": 1.0, "thumbs_down": 0.0, "none": None}
    for vote in votes.values():
        assert (vote.trace_id, vote.span_id) == (create.trace_id, create.span_id)
        assert vote.attributes["gen_ai.evaluation.name"] == "user_feedback"
        assert vote.attributes["llm_jobs.job_id"] == traced.platform.row(job).job_id
        assert vote.service == "llm-jobs-web"


def test_the_metrics_of_calls_have_the_recommended_buckets(traced: Traced) -> None:
    model = "gpt-sim-tokens-20"
    job = traced.job(model=model, options={"max_tokens": 5000})
    (attempt,) = traced.platform.attempts(job)
    ask, of = traced.collector, {"gen_ai_request_model": model}
    ask.wait(lambda: ask.points("gen_ai.client.token.usage", **of))
    tokens = {
        point.attributes["gen_ai.token.type"]: point
        for point in ask.points("gen_ai.client.token.usage", **of)
    }
    assert {t: p.total for t, p in tokens.items()} == {
        "input": attempt.input_tokens,
        "output": attempt.output_tokens,
    }
    (duration,) = ask.points("gen_ai.client.operation.duration", **of)
    (first,) = ask.points("gen_ai.client.operation.time_to_first_chunk", **of)
    assert 0 < first.total <= duration.total < 10
    assert (tokens["input"].unit, duration.unit, first.unit) == ("{token}", "s", "s")
    assert tokens["input"].bounds == tuple(4**n for n in range(14))
    assert duration.bounds == first.bounds == tuple(2**n / 100 for n in range(14))
    for point in (*tokens.values(), duration, first):
        assert point.count == 1
        said = point.attributes.items()
        assert said >= {("gen_ai.operation.name", "chat"), ("gen_ai.provider.name", "openai")}
        assert point.attributes["gen_ai.response.model"] == attempt.provider_model


def test_a_failed_call_counts_in_the_duration_and_says_why(traced: Traced) -> None:
    traced.job(model="gpt-sim-403")
    ask, of = traced.collector, {"gen_ai_request_model": "gpt-sim-403"}
    (point,) = ask.wait(lambda: ask.points("gen_ai.client.operation.duration", **of))
    assert point.attributes["error.type"] == "provider_denied"
    assert ask.points("gen_ai.client.token.usage", **of) == []


def test_lines_logged_inside_a_span_name_its_trace(traced: Traced) -> None:
    job = traced.job(model="simulator/echo")
    create, *_ = spans_of(traced, job, runs=1)
    about = {"output_id": job, "trace_id": create.trace_id}
    assert traced.platform.lines("LLMJob started", **about)
    assert traced.platform.lines("LLMJob completed", **about)
    web = traced.platform.web
    assert web
    lines = [json.loads(line) for line in web.output.splitlines() if line.startswith("{")]
    queued = [line for line in lines if about.items() <= line.items()]
    assert [line["message"] for line in queued] == ["LLMJob queued"]


def test_no_text_and_no_key_is_ever_sent(traced: Traced) -> None:
    """Prompts, values, answers, stop words, comments, keys: of jobs that end well and badly."""
    models = ("simulator/echo", "gpt-4", "claude-sim-refusal", "gpt-sim-400", "simulator/malformed")
    jobs = [
        traced.job(
            model=model,
            template=f"Repeat {CANARY} {{{{word}}}}",
            context={"word": CANARY},
            system=f"be {CANARY}",
            options={"stop": [CANARY]},
            metadata={"note": CANARY},
        )
        for model in models
    ]
    assert CANARY in (traced.platform.row(jobs[0]).raw_response or "")
    vote = {"feedback_type": "thumbs_down", "comment": CANARY}
    traced.post(f"/api/v1/llm_outputs/{jobs[0]}/feedback", vote)
    ask = traced.collector
    ask.wait(lambda: ask.events(llm_jobs_output_id=jobs[0]))
    for job in jobs:
        ask.wait(lambda job=job: ask.spans("run job", llm_jobs_output_id=job))
    seen = time.monotonic_ns()
    ask.wait(lambda: ask.received_after(seen, "/v1/metrics"))
    sent = ask.raw + json.dumps(ask.headers).encode()
    for secret in (CANARY, traced.platform.key, *VENDOR_KEYS.values()):
        assert secret.encode() not in sent
    assert traced.platform.row(jobs[0]).job_id.encode() in sent
