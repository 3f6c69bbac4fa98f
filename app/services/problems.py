"""What these services say when something is wrong, in the words their clients know.

Clients show only messages of types on their list; so every failure of ours becomes one of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.errors import LLMJobsError

RETRY_AFTER_SECONDS = 60
"""What is said of a provider's limit that names no time."""


class ServiceError(Exception):
    """An error object. `code` is an HTTP status."""

    def __init__(
        self, code: int, type: str, message: str, details: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.type = type
        self.message = message
        self.details = details

    def to_json(self) -> dict[str, Any]:
        told: dict[str, Any] = {"code": self.code, "type": self.type, "message": self.message}
        return told | ({"details": dict(self.details)} if self.details else {})

    @classmethod
    def of(cls, error: LLMJobsError) -> ServiceError:
        """One of our refusals of a request: of a key, a right, a field."""
        if error.status == 429:
            return rate_limit(getattr(error, "retry_after_seconds", None))
        known = {
            401: "UNAUTHORIZED",
            403: "FORBIDDEN",
            404: "NOT_FOUND",
            422: "INVALID_REQUEST",
            503: "SERVICE_UNAVAILABLE",
        }
        if error.status < 500 or error.status in known:
            return cls(error.status, known.get(error.status, "BAD_REQUEST"), error.message)
        return internal()


def bad_request(message: str) -> ServiceError:
    """A request that cannot be answered as it is."""
    return ServiceError(400, "BAD_REQUEST", message)


def rate_limit(retry_after: float | None = None) -> ServiceError:
    """A limit of the provider's, or ours."""
    return ServiceError(
        429,
        "RATE_LIMIT",
        "Rate limit exceeded, please try again later",
        {"retry_after": round(retry_after) if retry_after else RETRY_AFTER_SECONDS},
    )


def no_model() -> ServiceError:
    """Nobody has said which model answers (LLM_JOBS_CHAT_MODEL)."""
    return ServiceError(500, "PROVIDER_ERROR", "No model is set for this service.")


def paused() -> ServiceError:
    """Whoever runs the platform holds back what would answer."""
    return ServiceError(503, "CONNECTION_ERROR", "The service is paused. Please try again later.")


def internal() -> ServiceError:
    """Whatever nobody should read about."""
    return ServiceError(500, "INTERNAL_ERROR", "Something went wrong. Please try again.")


def of_failure(code: str | None) -> ServiceError:
    """Why a job failed, from its row's error code; a provider's own words are never passed on."""
    found = _FAILURES.get(code or "")
    if code in ("rate_limited", "overloaded"):
        return rate_limit()
    return ServiceError(*found) if found else internal()


_CONNECTION = (503, "CONNECTION_ERROR", "The model could not be reached. Please try again.")
_FAILURES: Mapping[str, tuple[int, str, str]] = {
    "connection_failed": _CONNECTION,
    "timeout": (503, "CONNECTION_ERROR", "The model did not answer in time. Please try again."),
    "expired": (503, "CONNECTION_ERROR", "The model did not answer in time. Please try again."),
    "worker_lost": _CONNECTION,
    "provider_failed": (500, "PROVIDER_ERROR", "The model had a failure of its own."),
    "provider_error": (500, "PROVIDER_ERROR", "The call of the model failed."),
    "provider_denied": (401, "AUTH_ERROR", "The service has no valid key of its model's provider."),
    "quota_exhausted": (500, "PROVIDER_ERROR", "The service's credit with its model is used up."),
    "provider_rejected": (422, "INVALID_REQUEST", "The model does not accept this request."),
    "model_not_found": (404, "NOT_FOUND", "The service's model is not known to its provider."),
    "context_too_long": (400, "PROMPT_TOO_LONG", "This is longer than the model can read."),
    "output_truncated": (
        502,
        "OUTPUT_TRUNCATED",
        "The answer was cut off at its longest. Ask for a shorter one.",
    ),
    "invalid_response": (500, "INVALID_LLM_RESPONSE", "The model's answer could not be read."),
    "refused": (502, "EMPTY_OUTPUT", "The model refused to answer."),
    "allowance_used_up": (
        403,
        "FORBIDDEN",
        "The token allowance is used up.",
    ),
}
