"""Who is told what happens: the seam between the program and OpenTelemetry, and nobody.

`SILENT` is nobody. It stands in for all of it while nothing is asked for, so it must cost nothing:
each of its methods returns what is there already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from app.lifecycle import Claim, Created, NewJob
    from app.providers.contract import Answer, Call, Provider
    from app.providers.registry import Route


@dataclass(frozen=True, slots=True)
class Vote:
    """A verdict on an output; `label` is its word (`thumbs_up`, `thumbs_down`, `none`)."""

    output_id: int
    job_id: str
    traceparent: str | None
    label: str


class Creating(Protocol):
    """Jobs being accepted."""

    @property
    def jobs(self) -> Sequence[NewJob]:
        """The jobs to store, in the order they came in."""
        ...

    def committed(self, created: Mapping[str, Created]) -> None:
        """These are rows now (by job id). The others are not wanted any more, or were stored by
        another request.
        """
        ...


class Calling(Protocol):
    """A model being called."""

    def answered(self, answer: Answer) -> None: ...


class Recorder(Protocol):
    """Hears of everything; see the functions of `app.telemetry` for what each is told."""

    def creating(self, jobs: Sequence[NewJob]) -> AbstractContextManager[Creating]: ...
    def running(self, claim: Claim) -> AbstractContextManager[object]: ...
    def outcome(self, word: str, error_code: str | None) -> None: ...
    def calling(
        self, claim: Claim, call: Call, *, attempt: int, route: Route, provider: Provider
    ) -> AbstractContextManager[Calling]: ...
    def voted(self, vote: Vote) -> None: ...
    def close(self, timeout_seconds: float) -> bool:
        """Whether all was sent in that time."""
        ...


class _Unheard:
    """Any of the things above, with nobody to hear of it."""

    def __enter__(self) -> _Unheard:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def answered(self, answer: Answer) -> None:
        return None


class _UnheardJobs:
    """Jobs stored as they came in."""

    def __init__(self, jobs: Sequence[NewJob]) -> None:
        self.jobs = jobs

    def __enter__(self) -> _UnheardJobs:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def committed(self, created: Mapping[str, Created]) -> None:
        return None


_UNHEARD = _Unheard()


class _Silent:
    """Tells nobody."""

    def creating(self, jobs: Sequence[NewJob]) -> _UnheardJobs:
        return _UnheardJobs(jobs)

    def running(self, claim: Claim) -> _Unheard:
        return _UNHEARD

    def outcome(self, word: str, error_code: str | None) -> None:
        return None

    def calling(
        self, claim: Claim, call: Call, *, attempt: int, route: Route, provider: Provider
    ) -> _Unheard:
        return _UNHEARD

    def voted(self, vote: Vote) -> None:
        return None

    def close(self, timeout_seconds: float) -> bool:
        return True


SILENT: Recorder = _Silent()
