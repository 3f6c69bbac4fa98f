"""Pieces every other schema uses: the strict base, pages, times, and the body of a refusal."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

Item = TypeVar("Item")

LARGEST_ID = 2**63 - 1
SAME_AS = "x-same-as"
"""In a field's schema: the name of the schema that its value is checked with later."""

_FARTHEST_SECONDS = 366 * 86_400 * 10
_RFC_3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)


class Strict(BaseModel):
    """A request body: unknown fields and wrong types are refused."""

    model_config = ConfigDict(strict=True, extra="forbid")


class Lax(BaseModel):
    """Query parameters: texts that are read as what they should be; unknown ones are refused."""

    model_config = ConfigDict(extra="forbid")


class Shown(BaseModel):
    """An answer. Clients must expect fields to be added."""

    model_config = ConfigDict(extra="ignore")


class Empty(Strict):
    """No fields at all."""


def read_moment(value: Any) -> Any:
    """A time given as RFC 3339 with a zone, or as a number of seconds from now."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if abs(value) > _FARTHEST_SECONDS:
            raise ValueError("should be within ten years")
        return datetime.now(UTC) + timedelta(seconds=value)
    if value is None or isinstance(value, datetime):
        return value
    return read_rfc_3339(value)


def read_rfc_3339(value: Any) -> Any:
    """A time given as RFC 3339 with a zone; anything else is a ValueError that says so."""
    if not isinstance(value, str) or not _RFC_3339.fullmatch(value):
        raise ValueError("should be a time with zone (RFC 3339), such as 2030-01-31T09:05:00Z")
    try:
        moment = datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("should be a time that exists") from None
    if not 1970 <= moment.year <= 9998:
        raise ValueError("should be between the years 1970 and 9998")
    return moment


RowId = Annotated[int, Field(ge=1, le=LARGEST_ID)]

Moment = Annotated[
    datetime,
    BeforeValidator(read_moment),
    WithJsonSchema(
        {
            "anyOf": [{"type": "string", "format": "date-time"}, {"type": "number"}],
            "description": "RFC 3339 with a zone, or a number of seconds from now.",
        }
    ),
]

When = Annotated[
    AwareDatetime,
    BeforeValidator(read_rfc_3339),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]


class PageQuery(Lax):
    """Which part of a list."""

    limit: int = Field(20, ge=1, le=100, description="How many rows, at most.")
    after: str | None = Field(
        None, max_length=200, description="`next` of the page before; omit for the newest rows."
    )


class WaitQuery(Lax):
    """Long polling."""

    wait: float | None = Field(
        None, ge=0, le=60, description="Hold the answer until the job ends, up to so many seconds."
    )


class ListOf(Shown, Generic[Item]):
    """One page of a list, newest first."""

    data: list[Item]
    has_more: bool = Field(description="Whether there are older rows.")
    next: str | None = Field(description="Give this as `after` for the next page.")


class ProblemItem(Shown):
    """One thing that was wrong. A JSON:API client gets `status`, `title` and `source` instead."""

    code: str = Field(examples=["missing_parameter"])
    detail: str = Field(examples=["Missing required parameter: template"])
    pointer: str | None = Field(None, description="JSON pointer of the culprit in the body.")
    parameter: str | None = Field(None, description="The culprit among the query parameters.")


class Problem(Shown):
    """RFC 9457 problem details; `error` is the same refusal as one flat sentence."""

    error: str = Field(examples=["Missing required parameter: template"])
    type: str = Field(examples=["urn:llm-jobs:error:missing_parameter"])
    title: str = Field(examples=["Missing required parameter"])
    status: int = Field(examples=[400])
    detail: str = Field(examples=["Missing required parameter: template"])
    instance: str = Field(examples=["/api/v1/llm_jobs"])
    request_id: str = Field(examples=["7f1c9a3e5b8d4f60a1b2c3d4e5f60718"])
    code: str = Field(examples=["missing_parameter"])
    errors: list[ProblemItem] = Field(default_factory=list)
