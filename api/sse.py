"""Server-Sent Events of one job: a snapshot, what changes, the text as it is written, the end.

The bytes are strict (HTML standard, "9.2.5 Parsing an event stream"): UTF-8, LF only, one space
after each colon, each event ended by an empty line. Every event has an id; `Last-Event-ID` goes on
after it. The row is read again whenever news say that it moved, so lost news lose nothing.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import structlog
from flask import Response

from api.replies import as_json
from app.errors import LLMJobsError
from app.runtime import Runtime
from models import ENDED, Status

log = structlog.get_logger(__name__)

KEEPALIVE = b": keepalive\n\n"
KEEPALIVE_SECONDS = 15.0
TICK_SECONDS = 1.0
"""How soon a quiet stream notices that its process is stopping."""

START = "0-0"
END = "end"

_LINE_ENDS = {ord(c): f"\\u{ord(c):04x}" for c in "\x85\u2028\u2029"}
"""JSON escapes the others itself."""

_STREAM_ID = re.compile(r"\d{1,15}-\d{1,10}", re.ASCII)

Row = Mapping[str, Any]


def encode(event: str, data: Mapping[str, Any], *, id: str = "") -> bytes:
    """One event, with an `id` if there is one to come back to; its data is one line, also for
    readers that split at Unicode's line ends.
    """
    line = as_json(data).translate(_LINE_ENDS)
    numbered = f"id: {id}\n" if id else ""
    return f"{numbered}event: {event}\ndata: {line}\n\n".encode()


def resumes_after(last_event_id: str | None) -> str:
    """The place in the job's stream that a reader has seen; `START` for a new or odd one."""
    sent = last_event_id or ""
    return sent if _STREAM_ID.fullmatch(sent) else START


def events_of(
    runtime: Runtime,
    row: Row,
    read_row: Callable[[], Row],
    *,
    after: str,
    stopping: Callable[[], bool] = lambda: False,
) -> Iterator[bytes]:
    """The event stream of a job whose row was just read. Ends with the job, or when it is gone.

    `read_row` reads it again; it raises one of our errors when that cannot be. When this process is
    `stopping` the stream ends too: its reader comes back to another.
    """
    yield encode("snapshot", row, id=after)
    if row["status"] in ENDED:
        yield encode("final", row, id=END)
        return
    seen, status, spoken = after, row["status"], time.monotonic()
    for news in runtime.events.follow(row["job_id"], after, keepalive_seconds=TICK_SECONDS):
        if stopping():
            return
        quiet = time.monotonic() - spoken >= KEEPALIVE_SECONDS
        if news.event == "keepalive" and not quiet:
            continue
        spoken = time.monotonic()
        if news.event in _HINTS or status == Status.PENDING:
            fresh = _read(read_row)
            if fresh is None:
                return
            if fresh["status"] in ENDED:
                yield encode("final", fresh, id=END)
                return
            if fresh["status"] != status:
                status = fresh["status"]
                yield encode("status", _state(fresh), id=seen)
        if news.event not in _HINTS:
            seen = news.id or seen
            yield encode(news.event, news.data, id=seen)
        elif news.event == "keepalive":
            yield KEEPALIVE


_HINTS = ("status", "keepalive")
"""News that only say: look at the row."""


def stream_response(
    body: Iterator[bytes], *, on_close: Callable[[], None] = lambda: None
) -> Response:
    """The stream as a response that no proxy holds back; `on_close` is called at its end."""
    response = Response(body, content_type="text/event-stream")
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"
    response.call_on_close(on_close)
    return response


def _read(read_row: Callable[[], Row]) -> Row | None:
    """The row now. None when it cannot be read any more: the reader comes back and is told why."""
    try:
        return read_row()
    except LLMJobsError as error:
        log.info("event stream ended early", error=error.code)
        return None


def _state(row: Row) -> dict[str, Any]:
    names = ("job_id", "status", "tries", "max_tries", "run_at", "cancel_requested", "updated_at")
    return {"output_id": row["id"], **{name: row[name] for name in names}}
