"""Registered endpoints: what may be said of one, and how it is shown."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from api.schemas.common import ListOf, Shown, Strict
from app.endpoint_settings import Origin
from app.endpoints.checks import (
    LONGEST_ADDRESS,
    LONGEST_MODEL,
    LONGEST_SECONDS,
    LONGEST_VARIABLE,
)

_ADDRESS = "Its address, up to and with `/v1`: https and public. No user or password in it."
_MODEL = "Asked for when a job or definition names none."
_OPTIONS = "Parameters sent with every call, which a job's `options` may override."
_SECONDS = "The longest one of its calls may take."
_KEY = (
    "The environment variable that holds its key, sent as Bearer: `LLM_ENDPOINT_…` or"
    " `LLM_SERVICE_…`. Secrets themselves are never stored."
)
_USER = "The variable that holds its user, for BASIC authentication instead of a key."
_PASSWORD = "The variable that holds its password."  # noqa: S105 - a sentence


class EndpointBody(Strict):
    """A new endpoint."""

    name: str = Field(min_length=1, max_length=64, examples=["acme"])
    base_url: str = Field(
        min_length=1,
        max_length=LONGEST_ADDRESS,
        description=_ADDRESS,
        examples=["https://models.example.com/v1"],
    )
    model: str | None = Field(None, max_length=LONGEST_MODEL, description=_MODEL)
    options: dict[str, Any] | None = Field(None, description=_OPTIONS, examples=[{"top_k": 20}])
    timeout_seconds: float | None = Field(
        None, gt=0, le=LONGEST_SECONDS, description=_SECONDS, examples=[120.0]
    )
    api_key_variable: str | None = Field(
        None, max_length=LONGEST_VARIABLE, description=_KEY, examples=["LLM_ENDPOINT_ACME_KEY"]
    )
    user_variable: str | None = Field(
        None,
        max_length=LONGEST_VARIABLE,
        description=_USER,
        examples=["LLM_ENDPOINT_ACME_USER"],
    )
    password_variable: str | None = Field(
        None,
        max_length=LONGEST_VARIABLE,
        description=_PASSWORD,
        examples=["LLM_ENDPOINT_ACME_PASSWORD"],
    )


class EndpointChange(Strict):
    """What to change of an endpoint; what is not named stays, null unsets."""

    base_url: str | None = Field(None, max_length=LONGEST_ADDRESS, description=_ADDRESS)
    model: str | None = Field(None, max_length=LONGEST_MODEL, description=_MODEL)
    options: dict[str, Any] | None = Field(None, description=_OPTIONS)
    timeout_seconds: float | None = Field(None, gt=0, le=LONGEST_SECONDS, description=_SECONDS)
    api_key_variable: str | None = Field(None, max_length=LONGEST_VARIABLE, description=_KEY)
    user_variable: str | None = Field(None, max_length=LONGEST_VARIABLE, description=_USER)
    password_variable: str | None = Field(None, max_length=LONGEST_VARIABLE, description=_PASSWORD)


class EndpointShown(Shown):
    """A registered endpoint."""

    name: str
    base_url: str
    source: Origin = Field(
        description="`stored` can be changed here; `settings` (LLM_JOBS_ENDPOINTS), `service`"
        " (LLM_SERVICE_ENDPOINT) and `file` (LLM_CONFIG_FILE) where they are set."
    )
    model: str | None = Field(description=_MODEL)
    options: dict[str, Any] = Field(description="Texts of those that are set elsewhere are hidden.")
    timeout_seconds: float | None
    authentication: Literal["bearer", "basic", "none"]
    api_key_variable: str | None
    user_variable: str | None
    password_variable: str | None
    variables: dict[str, bool] = Field(
        description="The variables it needs, and whether the web process has each; while one is"
        " not set, calls are refused.",
        examples=[{"LLM_ENDPOINT_ACME_KEY": True}],
    )
    created_at: datetime | None
    updated_at: datetime | None


class EndpointList(ListOf[EndpointShown]):
    """Every endpoint."""
