"""Checking many jobs at once: each of them is looked at, so that one answer names all faults."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from api import validation
from api.errors import Fault
from api.schemas.jobs import JobBody
from app.errors import InvalidRequest

MOST_FAULTS = 100


def checked_jobs(sent: Sequence[dict[str, Any]]) -> list[JobBody]:
    """Each job as its schema reads it. Raises InvalidRequest naming all that are wrong."""
    bodies: list[JobBody] = []
    refused: list[InvalidRequest] = []
    for number, one in enumerate(sent):
        try:
            bodies.append(validation.checked(JobBody, one))
        except InvalidRequest as error:
            refused.append(_placed(error, f"/jobs/{number}"))
    if refused:
        raise _together(refused, of=len(sent))
    return bodies


def _placed(error: InvalidRequest, place: str) -> InvalidRequest:
    """The error with every pointer below `place`."""
    own = Fault(code=error.code, detail=error.message, title=error.title, pointer=error.pointer)
    faults: list[Fault] = error.details.get("faults") or [own]
    error.details["faults"] = [replace(f, pointer=place + (f.pointer or "")) for f in faults]
    return error


def _together(refused: Sequence[InvalidRequest], *, of: int) -> InvalidRequest:
    faults = [fault for error in refused for fault in error.details["faults"]]
    return InvalidRequest(
        f"{len(refused)} of {of} jobs cannot be accepted, so none was."
        f" The first: {refused[0].message}",
        faults=faults[:MOST_FAULTS],
    )
