"""What can go wrong between a client and the platform.

ClientError
├── ApiError      the platform answered, and the answer is no
├── Unreachable   it did not answer, however often it was asked
└── TimedOut      the job did not end in the time given to wait; it goes on
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class ClientError(Exception):
    """Base of the tree."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class ApiError(ClientError):
    """A refusal, as the platform worded it. `errors` lists each thing that was wrong."""

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str = "",
        request_id: str | None = None,
        errors: Sequence[dict[str, Any]] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.request_id = request_id
        self.errors = list(errors)


class Unreachable(ClientError):
    """Nothing usable came back; whether the request was carried out is unknown."""


class TimedOut(ClientError):
    """The wait is over, the job is not."""
