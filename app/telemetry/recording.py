"""What is told to OpenTelemetry, and when: spans, metrics and votes.

A job's trace: `create job` (in the process that accepts it; its context is kept in the row), under
it a `run job` for each claim, under that a `chat` for each call of a model. A vote joins it later
as an event. No span records an exception: its words may quote a prompt.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from opentelemetry._logs import SeverityNumber
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import default_setter
from opentelemetry.trace import (
    INVALID_SPAN,
    Span,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from app import log as lines
from app.telemetry import conventions as names
from app.telemetry.exporting import Exporting, open_exporting
from app.telemetry.recorder import Recorder, Vote
from app.telemetry.signals import Signal

if TYPE_CHECKING:
    from app.lifecycle import Claim, Created, NewJob
    from app.providers.contract import Answer, Call, Provider, Usage
    from app.providers.registry import Route

_W3C = TraceContextTextMapPropagator()
_NOWHERE = set_span_in_context(INVALID_SPAN, Context())
"""In no trace. (An empty context would count as none given, and mean the current one.)"""
INTERRUPTED = "interrupted"
"""How a run ends that did not come to say it: the worker stops, or the database stays away."""


def listen(service: str, signals: Collection[Signal]) -> Recorder:
    """A recorder that sends these signals as the `OTEL_*` variables say."""
    return OpenTelemetry(open_exporting(service, signals))


class OpenTelemetry:
    """Tells a tracer, a meter and a logger of events. Of any thread and any task."""

    def __init__(self, exporting: Exporting) -> None:
        self._out = exporting
        meter, seconds = exporting.meter, names.DURATION_BUCKETS
        self._tokens = meter.create_histogram(
            names.TOKENS,
            unit="{token}",
            description="Tokens a call used.",
            explicit_bucket_boundaries_advisory=names.TOKEN_BUCKETS,
        )
        self._duration = meter.create_histogram(
            names.DURATION,
            unit="s",
            description="How long a call of a model took.",
            explicit_bucket_boundaries_advisory=seconds,
        )
        self._first_chunk = meter.create_histogram(
            names.FIRST_CHUNK,
            unit="s",
            description="How long a streamed call took to its first text.",
            explicit_bucket_boundaries_advisory=seconds,
        )
        self._run: ContextVar[_Run | None] = ContextVar("llm_jobs_run", default=None)

    @contextmanager
    def creating(self, jobs: Sequence[NewJob]) -> Iterator[_Creating]:
        """A span for each job; its context goes into the row."""
        creating = _Creating.of(self._out.tracer, jobs)
        traces = {_trace_id(span) for span in creating.spans.values()}
        with _on_lines(traces.pop() if len(traces) == 1 else None):
            try:
                yield creating
            except BaseException as error:
                creating.end(error)
                raise
            creating.end()

    @contextmanager
    def running(self, claim: Claim) -> Iterator[None]:
        """A span under the row's, in the trace that every claim of the row joins."""
        with (
            self._out.tracer.start_as_current_span(
                names.RUN,
                context=_context_of(claim.traceparent),
                kind=SpanKind.CONSUMER,
                attributes=names.claim_attributes(claim),
                record_exception=False,
                set_status_on_exception=False,
            ) as span,
            _on_lines(_trace_id(span)),
        ):
            run = _Run(span)
            token = self._run.set(run)
            try:
                yield
            finally:
                self._run.reset(token)
                run.end()

    def outcome(self, word: str, error_code: str | None) -> None:
        if run := self._run.get():
            run.word, run.error_code = word, error_code

    @contextmanager
    def calling(
        self, claim: Claim, call: Call, *, attempt: int, route: Route, provider: Provider
    ) -> Iterator[_Calling]:
        """A span under the run's, and the metrics of the call."""
        operation = names.operation_attributes(call, route, provider)
        with self._out.tracer.start_as_current_span(
            f"{names.CHAT} {call.model}",
            kind=SpanKind.CLIENT,
            attributes={**operation, **names.call_attributes(claim, call, attempt)},
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            calling = _Calling(span, operation)
            started = time.perf_counter()
            try:
                yield calling
            except BaseException as error:
                calling.failed(error)
                raise
            finally:
                self._measure(calling, time.perf_counter() - started)

    def voted(self, vote: Vote) -> None:
        """An event in the row's trace."""
        self._out.events.emit(
            timestamp=time.time_ns(),
            context=_context_of(vote.traceparent) or _NOWHERE,
            severity_number=SeverityNumber.INFO,
            event_name=names.EVALUATION,
            attributes=names.vote_attributes(vote),
        )

    def close(self, timeout_seconds: float) -> bool:
        return self._out.close(timeout_seconds)

    def _measure(self, calling: _Calling, seconds: float) -> None:
        about = calling.measured
        self._duration.record(seconds, about)
        if calling.first_chunk_seconds is not None:
            self._first_chunk.record(calling.first_chunk_seconds, about)
        if calling.usage:
            kind = "gen_ai.token.type"
            self._tokens.record(calling.usage.input_tokens, {**about, kind: "input"})
            self._tokens.record(calling.usage.output_tokens, {**about, kind: "output"})


@dataclass
class _Creating:
    """The spans of jobs that are being accepted, by job id."""

    jobs: Sequence[NewJob]
    spans: Mapping[str, Span]
    created: Mapping[str, Created] = field(default_factory=dict)

    @classmethod
    def of(cls, tracer: Tracer, jobs: Sequence[NewJob]) -> _Creating:
        begun = [(job, _begin_creating(tracer, job)) for job in jobs]
        spans = {job.job_id: span for job, span in begun}
        return cls([_carrying(span, job) for job, span in begun], spans)

    def committed(self, created: Mapping[str, Created]) -> None:
        self.created = created

    def end(self, error: BaseException | None = None) -> None:
        for job_id, span in self.spans.items():
            if row := self.created.get(job_id):
                span.set_attribute("llm_jobs.output_id", row.output_id)
            else:
                span.set_attribute("llm_jobs.created", False)
            if error:
                _fail(span, names.error_type(error))
            span.end()


@dataclass
class _Run:
    """The span of a claim in progress, and what was said of its end."""

    span: Span
    word: str = INTERRUPTED
    error_code: str | None = None

    def end(self) -> None:
        self.span.set_attribute("llm_jobs.outcome", self.word)
        if self.error_code:
            _fail(self.span, self.error_code)


@dataclass
class _Calling:
    """The span of a call in progress, and what metrics say of it."""

    span: Span
    measured: names.Attributes
    usage: Usage | None = None
    first_chunk_seconds: float | None = None

    def answered(self, answer: Answer) -> None:
        self.span.set_attributes(names.answer_attributes(answer))
        self.measured = {**self.measured, "gen_ai.response.model": answer.model}
        self.usage, self.first_chunk_seconds = answer.usage, answer.first_token_seconds

    def failed(self, error: BaseException) -> None:
        what = names.error_type(error)
        self.usage = names.usage_of(error)
        self.span.set_attributes(names.usage_attributes(self.usage))
        self.measured = {**self.measured, "error.type": what}
        _fail(self.span, what)


def _begin_creating(tracer: Tracer, job: NewJob) -> Span:
    return tracer.start_span(
        names.CREATE,
        context=_context_of(job.traceparent),
        kind=SpanKind.PRODUCER,
        attributes=names.job_attributes(job),
    )


def _carrying(span: Span, job: NewJob) -> NewJob:
    """The job with its span's context; as it came where nothing is traced."""
    carrier: dict[str, str] = {}
    _W3C.inject(carrier, set_span_in_context(span, Context()), default_setter)
    return replace(job, traceparent=carrier.get("traceparent", job.traceparent))


def _context_of(traceparent: str | None) -> Context | None:
    """The context of a row's `traceparent`; None (whatever is current) when it has none."""
    return _W3C.extract({"traceparent": traceparent}, _NOWHERE) if traceparent else None


def _on_lines(trace_id: str | None) -> AbstractContextManager[None]:
    """`trace_id` on every log line until the end of the block."""
    return lines.bound(trace_id=trace_id) if trace_id else nullcontext()


def _trace_id(span: Span) -> str | None:
    context = span.get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else None


def _fail(span: Span, what: str) -> None:
    span.set_attribute("error.type", what)
    span.set_status(Status(StatusCode.ERROR))
