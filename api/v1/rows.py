"""Reading one row for an answer: the caller's visibility, and how a row looks."""

from __future__ import annotations

from typing import Any

from api.routing import Call
from app import jobs


def shown_row(
    call: Call[Any, Any], *, job_id: str | None = None, output_id: int | None = None
) -> dict[str, Any]:
    """The whole row as clients see it. Raises NotFound for a stranger's."""
    with call.runtime.database.read() as session:
        output = jobs.get(session, call.caller, job_id=job_id, output_id=output_id)
        return jobs.describe(session, output)
