"""OpenTelemetry: one trace a job, from the request that created it to its last call and its vote.

Asked for by the standard `OTEL_*` variables, sent by the extra `otel`. As logging, it is one per
process: what happens is told to the functions below from wherever it happens, and told to nobody
until `start` has found somebody who listens. Nothing here imports OpenTelemetry before that.

What is sent is in `recording`, under which names in `conventions`, and how in `exporting`. No
prompt, no answer, no comment and no key ever is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import structlog

from app.telemetry.recorder import SILENT, Calling, Creating, Recorder, Vote
from app.telemetry.signals import asked_for

if TYPE_CHECKING:
    from app.lifecycle import Claim, NewJob
    from app.providers.contract import Call, Provider
    from app.providers.registry import Route

__all__ = [
    "Vote",
    "calling",
    "creating",
    "outcome",
    "running",
    "start",
    "stop",
    "trace_id_of",
    "voted",
]

log = structlog.get_logger(__name__)

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?P<trace_id>[0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")

_recorder: Recorder = SILENT


def start(service: str) -> None:
    """Listen from now on, if the environment asks for it. `service` names this process unless
    `OTEL_SERVICE_NAME` does.

    Never raises: what cannot be sent is logged, and the work goes on without it.
    """
    global _recorder
    signals = asked_for(os.environ)
    if not signals or _recorder is not SILENT:
        return
    try:
        from app.telemetry.recording import listen

        _recorder = listen(service, signals)
    except ImportError as error:
        log.warning("telemetry not installed", missing=error.name, install="llm-jobs[otel]")
    except Exception:
        log.exception("telemetry not started")
    else:
        log.info("telemetry started", service=service, signals=sorted(map(str, signals)))


def stop(*, timeout_seconds: float) -> None:
    """Send what is left, for so long at the most; what is told later is told to nobody."""
    global _recorder
    recorder, _recorder = _recorder, SILENT
    if not recorder.close(timeout_seconds):
        log.warning("telemetry not sent", waited_seconds=timeout_seconds)


def creating(jobs: Sequence[NewJob]) -> AbstractContextManager[Creating]:
    """Jobs are being accepted. What is given has the `jobs` to store: each with the trace context
    that all its attempts will join.
    """
    return _recorder.creating(jobs)


def running(claim: Claim) -> AbstractContextManager[object]:
    """A worker carries out a claim. Say with `outcome` how it ended."""
    return _recorder.running(claim)


def outcome(word: str, *, error_code: str | None = None) -> None:
    """How the claim that is `running` in this task ends; `error_code` where it went wrong."""
    _recorder.outcome(word, error_code)


def calling(
    claim: Claim, call: Call, *, attempt: int, route: Route, provider: Provider
) -> AbstractContextManager[Calling]:
    """A model is called. Hand the answer to what is given; an error may just pass through."""
    return _recorder.calling(claim, call, attempt=attempt, route=route, provider=provider)


def voted(vote: Vote) -> None:
    """Somebody has judged an output."""
    _recorder.voted(vote)


def trace_id_of(traceparent: str | None) -> str | None:
    """The 32 hex digits by which tracing tools find a job, out of its row's `traceparent`."""
    found = _TRACEPARENT.fullmatch(traceparent or "")
    return found["trace_id"] if found and found["trace_id"].strip("0") else None
