"""What a debugged job said and heard: each call whole, redacted, for its row's page and the log.

Only jobs that were asked to be debugged, by themselves or their prompt, are; of all others no
prompt text reaches a log line or the ledger.
"""

from __future__ import annotations

from typing import Any

import structlog

from app import log as lines
from app.errors import CallError
from app.providers.contract import Answer, Call

log = structlog.get_logger(__name__)


def exchange(
    call: Call, *, job_id: str, number: int, answer: Answer | None, error: CallError | None
) -> dict[str, Any]:
    """The request and the answer of attempt `number` as JSON values, logged as they are kept."""
    kept: dict[str, Any] = lines.redact_value(
        {"request": _request(call), "answer": _answer(answer), "error": _error(error)}
    )
    log.info(
        lines.JOB_DEBUG,
        job_id=job_id,
        attempt=number,
        request=kept["request"],
        answer=kept["answer"],
        error=kept["error"],
    )
    return kept


def _request(call: Call) -> dict[str, Any]:
    request: dict[str, Any] = {
        "model": call.model,
        "messages": [{"role": m.role, "content": m.content} for m in call.messages],
        "options": dict(call.options),
        "stream": call.stream,
    }
    if call.response_schema is not None:
        request["response_schema"] = dict(call.response_schema)
    return request


def _answer(answer: Answer | None) -> dict[str, Any] | None:
    if answer is None:
        return None
    return {
        "text": answer.text,
        "stop": str(answer.stop),
        "model": answer.model,
        "http_status": answer.http_status,
        "request_id": answer.request_id,
        "warnings": list(answer.warnings),
    }


def _error(error: CallError | None) -> dict[str, Any] | None:
    if error is None:
        return None
    return {
        "code": error.code,
        "message": error.message,
        "http_status": error.http_status,
        "text": error.text,
    }
