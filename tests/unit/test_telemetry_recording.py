"""What OpenTelemetry is told, seen where it would be sent: of moments a platform seldom has."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry._logs import NoOpLogger
from opentelemetry.metrics import NoOpMeter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NoOpTracer, StatusCode

from app.errors import AllowanceUsedUp
from app.lifecycle import Created, NewJob
from app.providers.contract import Call, Message
from app.providers.registry import Route
from app.telemetry import Vote
from app.telemetry.exporting import Exporting
from app.telemetry.recording import OpenTelemetry

SENT = f"00-{'ab' * 16}-{'cd' * 8}-01"
NOW = datetime(2026, 11, 21, tzinfo=UTC)
JOB = NewJob(template_name="t", model_name="m", max_tries=1, max_age_seconds=60)


@dataclass
class Told:
    """A recorder, and what it has told so far."""

    recorder: OpenTelemetry
    sent: InMemorySpanExporter
    logged: InMemoryLogRecordExporter

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self.sent.get_finished_spans())

    def attributes(self, name: str) -> list[dict[str, Any]]:
        return [dict(span.attributes or {}) for span in self.spans if span.name == name]


@pytest.fixture
def told() -> Iterator[Told]:
    sent, logged = InMemorySpanExporter(), InMemoryLogRecordExporter()
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(sent))
    loggers = LoggerProvider(shutdown_on_exit=False)
    loggers.add_log_record_processor(SimpleLogRecordProcessor(logged))
    out = Exporting(tracers.get_tracer("t"), NoOpMeter("t"), loggers.get_logger("t"))
    yield Told(OpenTelemetry(out), sent, logged)
    tracers.shutdown()
    loggers.shutdown()


def _jobs(number: int, **changes: Any) -> list[NewJob]:
    return [replace(JOB, job_id=f"job-{n}", **changes) for n in range(number)]


def _claim(number: int = 1, **changes: Any) -> Any:
    facts = {"job_id": f"job-{number}", "output_id": number, "fence": 1, "tries": 0}
    facts |= {"queue": "default", "traceparent": None, "prompt_name": None, **changes}
    return SimpleNamespace(**facts)


def test_jobs_of_one_request_share_its_trace_and_each_has_its_own_place(told: Told) -> None:
    with told.recorder.creating(_jobs(3, traceparent=SENT)) as creating:
        kept = [job.traceparent or "" for job in creating.jobs]
    assert len(set(kept)) == 3
    assert {one.split("-")[1] for one in kept} == {"ab" * 16}
    assert [f"{span.context.span_id:016x}" for span in told.spans] == [
        k.split("-")[2] for k in kept
    ]


def test_jobs_of_no_request_have_traces_of_their_own(told: Told) -> None:
    with told.recorder.creating(_jobs(2)) as creating:
        kept = {(job.traceparent or "").split("-")[1] for job in creating.jobs}
    assert len(kept) == 2


def test_what_was_not_stored_says_so(told: Told) -> None:
    with told.recorder.creating(_jobs(2)) as creating:
        creating.committed({"job-1": Created(7, "job-1", NOW, NOW, NOW)})
    first, second = told.attributes("create job")
    assert (first["llm_jobs.created"], "llm_jobs.output_id" in first) == (False, False)
    assert (second["llm_jobs.output_id"], "llm_jobs.created" in second) == (7, False)
    with pytest.raises(AllowanceUsedUp), told.recorder.creating(_jobs(1)):
        raise AllowanceUsedUp
    refused = told.spans[-1]
    assert refused.status.status_code is StatusCode.ERROR
    assert refused.attributes
    assert refused.attributes["error.type"] == "allowance_used_up"
    assert refused.attributes["llm_jobs.created"] is False


def test_a_run_that_is_broken_off_says_so_without_words(told: Told) -> None:
    with pytest.raises(RuntimeError), told.recorder.running(_claim()):
        raise RuntimeError("the prompt was: secret")
    (span,) = told.spans
    assert span.attributes
    assert span.attributes["llm_jobs.outcome"] == "interrupted"
    assert (list(span.events), span.status.description) == ([], None)


def test_an_outcome_belongs_to_the_run_of_its_own_task(told: Told) -> None:
    async def run(number: int) -> None:
        with told.recorder.running(_claim(number)):
            await asyncio.sleep(0)
            told.recorder.outcome(f"word {number}", None)
            await asyncio.sleep(0)

    async def both() -> None:
        await asyncio.gather(run(1), run(2))
        told.recorder.outcome("of nothing", None)

    asyncio.run(both())
    said = {a["llm_jobs.output_id"]: a["llm_jobs.outcome"] for a in told.attributes("run job")}
    assert said == {1: "word 1", 2: "word 2"}


def test_an_option_that_is_no_number_is_not_told(told: Told) -> None:
    options = {"temperature": "hot secret", "max_tokens": True, "top_p": 0.5, "stop": ["secret"]}
    call = Call("m", (Message("user", "secret"),), options=options)
    nobody: Any = object()
    about = {"attempt": 1, "route": Route("p", "m", "p:m:0"), "provider": nobody}
    with pytest.raises(ValueError, match="x"), told.recorder.calling(_claim(), call, **about):
        raise ValueError("x")
    (attributes,) = told.attributes("chat m")
    assert {n for n in attributes if n.startswith("gen_ai.request.")} == {
        "gen_ai.request.model",
        "gen_ai.request.top_p",
    }
    assert attributes["error.type"] == "ValueError"
    assert "secret" not in str(attributes)


def test_a_vote_on_an_untraced_row_joins_no_trace(told: Told) -> None:
    with told.recorder.running(_claim()):
        told.recorder.voted(Vote(1, "job-1", None, "thumbs_up"))
    (record,) = told.logged.get_finished_logs()
    assert record.log_record.trace_id == 0


def test_without_traces_a_row_keeps_the_context_it_came_with() -> None:
    """Metrics alone are asked for."""
    recorder = OpenTelemetry(Exporting(NoOpTracer(), NoOpMeter("t"), NoOpLogger("t")))
    with recorder.creating(_jobs(1, traceparent=SENT)) as creating:
        assert [job.traceparent for job in creating.jobs] == [SENT]
    with recorder.creating(_jobs(1)) as creating:
        assert [job.traceparent for job in creating.jobs] == [None]
    with recorder.running(_claim(traceparent=SENT)):
        recorder.outcome("completed", None)
