"""What the simulator saw: every request, in memory, within bounds.

The last 100,000 requests are kept as light records, the bodies of the last 1,000 (the first
64 KiB of each). Used from the server's loop only; other threads ask through `testing`.
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

KEPT_RECORDS = 100_000
KEPT_BODIES = 1_000
KEPT_BODY_BYTES = 64 * 1024


class Outcome(StrEnum):
    """How a request ended, as far as the simulator knows."""

    IN_FLIGHT = "in_flight"
    ANSWERED = "answered"
    MISBEHAVED = "misbehaved"
    """It failed as it was told to."""
    REJECTED = "rejected"
    """The request was not one the vendor would take."""
    CLIENT_GONE = "client_gone"
    """The client closed the connection before the end."""


@dataclass(slots=True)
class Record:
    """One request. `at` is seconds since the epoch, `seconds` how long it took (0 in flight).

    `job_id` and `attempt` come from `x-llm-jobs-attempt: <job_id>/<attempt>`; `is_call` tells calls
    of a model from other requests; `status` is 0 where no status line was sent; bytes count bodies.
    The tokens are set only when an answer was given whole.
    """

    number: int
    at: float
    method: str
    path: str
    is_call: bool
    job_id: str = ""
    attempt: str = ""
    model: str = ""
    stream: bool = False
    behaviour: str = ""
    status: int = 0
    outcome: Outcome = Outcome.IN_FLIGHT
    seconds: float = 0.0
    bytes_in: int = 0
    bytes_out: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    body: bytes = b""

    @property
    def client_gone(self) -> bool:
        """Whether the client went away before the end."""
        return self.outcome is Outcome.CLIENT_GONE

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "body": self.body.decode("utf-8", "replace")}


@dataclass(frozen=True, slots=True)
class Counts:
    """Sums since the last reset; `by_*` cover the calls still kept as records."""

    requests: int
    calls: int
    in_flight: int
    peak_in_flight: int
    input_tokens: int
    output_tokens: int
    by_job: dict[str, int]
    by_model: dict[str, int]
    by_status: dict[str, int]
    by_outcome: dict[str, int]


class Witness:
    """The log. `in_flight` counts calls of models under way, `peak_in_flight` their maximum."""

    def __init__(self) -> None:
        self.in_flight = 0
        self._numbers = 0
        self._watchers: list[Callable[[], None]] = []
        self.reset()

    def reset(self) -> None:
        """Forget everything but the calls still in flight."""
        self.requests_seen = 0
        self.calls_seen = 0
        self.peak_in_flight = self.in_flight
        self.input_tokens = 0
        self.output_tokens = 0
        self._first_number = self._numbers + 1
        self._records: deque[Record] = deque(maxlen=KEPT_RECORDS)
        self._with_body: deque[Record] = deque()
        self._calls_of_job: OrderedDict[str, int] = OrderedDict()

    def begin(self, method: str, path: str, *, attempt: str, is_call: bool) -> Record:
        """A request has arrived; its record is kept and may be completed in place."""
        self._numbers += 1
        job_id, _, number = attempt.partition("/")
        record = Record(self._numbers, time.time(), method, path, is_call, job_id, number)
        self._records.append(record)
        self.requests_seen += 1
        if is_call:
            self.calls_seen += 1
            self.in_flight += 1
            self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        self._tell()
        return record

    def keep_body(self, record: Record, body: bytes) -> None:
        """Note what was sent, its beginning at least."""
        record.bytes_in = len(body)
        record.body = body[:KEPT_BODY_BYTES]
        self._with_body.append(record)
        if len(self._with_body) > KEPT_BODIES:
            self._with_body.popleft().body = b""

    def end(self, record: Record) -> None:
        """A request is over."""
        record.seconds = time.time() - record.at
        if record.is_call:
            self.in_flight -= 1
        if record.number >= self._first_number:
            self.input_tokens += record.input_tokens
            self.output_tokens += record.output_tokens
        self._tell()

    def next_call_of(self, job: str) -> int:
        """Counts one more call of this job and says which it is, from 1."""
        number = self._calls_of_job.pop(job, 0) + 1
        self._calls_of_job[job] = number
        if len(self._calls_of_job) > KEPT_RECORDS:
            self._calls_of_job.popitem(last=False)
        return number

    def requests(self, job_id: str | None = None) -> list[Record]:
        """The records kept, oldest first; those of one job only if it is named."""
        return [r for r in self._records if job_id is None or r.job_id == job_id]

    def calls(self, job_id: str | None = None) -> list[Record]:
        """The calls of models among them."""
        return [r for r in self.requests(job_id) if r.is_call]

    def counts(self) -> Counts:
        """Everything there is to count, now."""
        calls = self.calls()
        return Counts(
            requests=self.requests_seen,
            calls=self.calls_seen,
            in_flight=self.in_flight,
            peak_in_flight=self.peak_in_flight,
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            by_job=dict(Counter(r.job_id for r in calls if r.job_id)),
            by_model=dict(Counter(r.model for r in calls)),
            by_status=dict(Counter(str(r.status) for r in calls)),
            by_outcome=dict(Counter(str(r.outcome) for r in calls)),
        )

    def watch(self, watcher: Callable[[], None]) -> None:
        """Call `watcher` at every beginning and end, until `unwatch`."""
        self._watchers.append(watcher)

    def unwatch(self, watcher: Callable[[], None]) -> None:
        self._watchers.remove(watcher)

    def _tell(self) -> None:
        for watcher in list(self._watchers):
            watcher()
