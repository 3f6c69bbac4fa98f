"""What the calls give back: `Job`, something to wait for, and `Output`, a row as it was read."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from llm_jobs.errors import TimedOut

ENDED = frozenset({"completed", "failed", "cancelled"})
LONGEST_WAIT_SECONDS = 30.0
PAUSE_SECONDS = 0.5
"""Between two questions to a platform that does not hold the answer: all its places are taken."""


class Backend(Protocol):
    """Where calls go: over HTTP, or straight into this installation."""

    def submit(self, fields: Mapping[str, Any]) -> Job: ...
    def re_run(self, output_id: int, idempotency_key: str | None) -> Job: ...
    def regenerate(
        self, output_id: int, changes: Mapping[str, Any], idempotency_key: str | None
    ) -> Job: ...
    def set_feedback(
        self, output_id: int, feedback: str, comment: str | None, user: Any
    ) -> None: ...
    def row(
        self,
        *,
        output_id: int | None = None,
        job_id: str | None = None,
        wait_seconds: float = 0,
    ) -> Mapping[str, Any]:
        """The row; with `wait_seconds` as soon as the job has ended, or after them."""
        ...

    def cancel(self, job_id: str) -> Mapping[str, Any]: ...
    def why(self, job_id: str) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Output:
    """A row as it was when it was read; `row` is all of it, by the API's names."""

    row: Mapping[str, Any]

    @property
    def id(self) -> int:
        return int(self.row["id"])

    @property
    def job_id(self) -> str:
        return str(self.row["job_id"])

    @property
    def status(self) -> str:
        """`pending`, `processing`, `completed`, `failed` or `cancelled`."""
        return str(self.row["status"])

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    @property
    def success(self) -> bool:
        """Completed, with something in the answer."""
        return bool(self.row["success"])

    @property
    def text(self) -> str | None:
        """The model's answer as it came; of a failed job the sentence that says so."""
        return self.row["raw_response"]  # type: ignore[no-any-return]

    @property
    def parsed(self) -> Any:
        """The value of a JSON answer; otherwise the answer's text."""
        return self.row["parsed_output"]

    @property
    def items(self) -> Mapping[str, Any]:
        """What was read of the answer (`result_items`): name → values; empty without a prompt."""
        return self.row.get("result_items") or {}

    @property
    def error_code(self) -> str | None:
        return self.row["error_code"]  # type: ignore[no-any-return]

    @property
    def error_message(self) -> str | None:
        return self.row["error_message"]  # type: ignore[no-any-return]

    @property
    def cost(self) -> float | None:
        """US dollars of all calls; None when a price is unknown."""
        return self.row["cost"]  # type: ignore[no-any-return]

    @property
    def feedback(self) -> str:
        return str(self.row["feedback"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """An accepted job. `estimated_completion` is the platform's guess at its end, if it made one.

    `replayed` says that an earlier request with the same idempotency key was answered again.
    """

    output_id: int
    job_id: str
    status: str = "queued"
    estimated_completion: datetime | None = None
    warnings: Sequence[str] = ()
    replayed: bool = False
    backend: Backend = field(repr=False, compare=False)

    def wait(self, timeout_seconds: float | None = None) -> Output:
        """The output once the job has ended, as completed, failed or cancelled.

        Raises TimedOut when it has not within `timeout_seconds`; without one, waits as long as it
        takes.
        """
        until = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        while True:
            left = LONGEST_WAIT_SECONDS if until is None else until - time.monotonic()
            seconds = max(0.0, min(left, LONGEST_WAIT_SECONDS))
            asked_at = time.monotonic()
            output = Output(self.backend.row(job_id=self.job_id, wait_seconds=seconds))
            if output.ended:
                return output
            if until is not None and time.monotonic() >= until:
                raise TimedOut(
                    f"job {self.job_id} is {output.status} after {timeout_seconds:g} seconds"
                )
            held_seconds = time.monotonic() - asked_at
            time.sleep(max(0.0, min(PAUSE_SECONDS, seconds) - held_seconds))

    def output(self) -> Output:
        """The output as it is now."""
        return Output(self.backend.row(job_id=self.job_id))

    def cancel(self) -> Output:
        """Ask the job to stop; a pending one has ended when this returns."""
        return Output(self.backend.cancel(self.job_id))

    def why(self) -> Mapping[str, Any]:
        """What the job waits for, and until when: `reason`, `detail`, `until`."""
        return self.backend.why(self.job_id)


def id_of(output: Any) -> int:
    """The output's id of a handle, a row, or the number itself. Raises TypeError for others."""
    for name in ("output_id", "id"):
        found = getattr(output, name, None)
        if isinstance(found, int):
            return found
    if isinstance(output, int) and not isinstance(output, bool):
        return output
    raise TypeError(f"expected an output or its id, not {type(output).__name__}")
