"""What every operation that accepts a job shares: the Idempotency-Key, and the answer's headers."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime
from typing import Any

from flask import request

from api.routing import Call, Header
from api.schemas.jobs import JobAccepted
from app.errors import InvalidParameter
from app.jobs import IdempotencyRequest, Submission

_KEY = re.compile(r"[\x20-\x7e]{1,255}", re.ASCII)

IDEMPOTENCY_KEY = Header(
    name="Idempotency-Key",
    description="Sent again with the same body, the first answer is given again and no job is"
    " added. Kept for at least 24 hours.",
    schema={"type": "string", "minLength": 1, "maxLength": 255},
)

ACCEPTED_HEADERS = {
    "Location": "Where the output can be read.",
    "Retry-After": "Seconds after which it is worth asking.",
    "Idempotent-Replayed": "`true` when an earlier answer is given again.",
}


def idempotency_of(call: Call[Any, Any]) -> IdempotencyRequest | None:
    """The request's key, with a fingerprint of what was sent: method, path and body.

    Raises InvalidParameter for a key that cannot be one.
    """
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not _KEY.fullmatch(key):
        raise InvalidParameter("Invalid Idempotency-Key: send 1 to 255 printable ASCII characters")
    canonical = json.dumps(call.sent, sort_keys=True, separators=(",", ":"))
    text = f"{request.method} {request.path.rstrip('/')}\n{canonical}"
    return IdempotencyRequest(key, hashlib.sha256(text.encode()).hexdigest())


def accepted_body(submission: Submission) -> dict[str, Any]:
    """The answer in its promised order; PostgreSQL keeps a stored one's keys in another."""
    answer = submission.answer
    return {name: answer[name] for name in JobAccepted.model_fields if name in answer}


def accepted_headers(submission: Submission) -> dict[str, str]:
    """Where to look, and when that is worth while."""
    left = submission.estimated_completion - datetime.now(UTC)
    headers = {
        "Location": submission.location,
        "Retry-After": str(max(1, round(left.total_seconds()))),
    }
    return headers | ({"Idempotent-Replayed": "true"} if submission.replayed else {})
