"""One job's event stream."""

from __future__ import annotations

from collections.abc import Iterator

from flask import Response, request

from api import holding, sse
from api.auth import scope
from api.replies import without_content
from api.routing import Answer, Call, Header, Routes
from api.schemas.common import Empty
from api.schemas.outputs import StreamQuery
from api.v1.rows import shown_row
from models import ENDED, Scope

routes = Routes("/api/v1", tag="jobs")


@routes.get(
    "/llm_jobs/<job:job_id>/events",
    access=scope(Scope.JOBS_READ),
    query=StreamQuery,
    request_headers=[
        Header(name="Last-Event-ID", description="The id of the last event seen; go on after it.")
    ],
    answers={
        200: Answer(
            description="Events `snapshot` (the row), `status`, `delta` (text as it is written),"
            " `reset` (a further call starts; forget the text) and `final` (the row), after which"
            " the stream ends. A comment keeps it alive.",
            media_type="text/event-stream",
        ),
        204: Answer(description="`final` was seen already: do not come back."),
    },
    errors={429: "Over the key's rate, or three streams of this user are open."},
)
def stream_job(call: Call[Empty, StreamQuery], job_id: str) -> Response:
    """Follow a job: what changes, and the text while the model writes it.

    A `delta` is `{"attempt", "offset", "text"}`; the offset, in characters, shows a gap or a
    repetition. Text comes in pieces from models that stream; others send it whole with `final`.
    """
    row = shown_row(call, job_id=job_id)
    last_id = request.headers.get("Last-Event-ID") or call.query.last_event_id
    if last_id == sse.END and row["status"] in ENDED:
        return without_content(204)
    if request.method == "HEAD":
        return sse.stream_response(iter(()))
    give_back, stopping = holding.take_stream(call.caller.user_id), holding.held().stopping

    def events() -> Iterator[bytes]:
        yield from sse.events_of(
            call.runtime,
            row,
            lambda: shown_row(call, job_id=job_id),
            after=sse.resumes_after(last_id),
            stopping=stopping.is_set,
        )

    return sse.stream_response(events(), on_close=give_back)
