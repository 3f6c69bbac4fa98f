"""What hangs on an output: the answer in its frame, files to keep, the event stream of its page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from flask import Response, request

from api import holding, sse
from api.replies import as_json, without_content
from api.web import answer_frame, sign_in
from api.web.pages import Pages
from api.web.views.output import read
from api.web.visit import Visit
from app.errors import NotFound
from models import ENDED

pages = Pages()

_SUFFIXES = {"text": "txt", "json": "json", "markdown": "md", "html": "html"}

Row = Mapping[str, Any]


@pages.get("/llm_outputs/<row:output_id>/render")
def render_answer(visit: Visit, output_id: int) -> Response:
    """A markdown or html answer as a document that can do nothing. `?images=1` loads images."""
    row = read(visit, output_id).row
    images = visit.query.get("images") == "1"
    theme = visit.query.get("theme", "")
    return answer_frame.response(_document(row, images=images, theme=theme), images=images)


@pages.get("/llm_outputs/<row:output_id>/download/<what>")
def download(visit: Visit, output_id: int, what: str) -> Response:
    """The `raw` answer, the `rendered` document, or the whole `row` as JSON, as a file."""
    make = _FILES.get(what)
    if make is None:
        raise NotFound(f"There is no such file of an output: {what[:40]}")
    return make(read(visit, output_id).row)


@pages.get("/llm_outputs/<row:output_id>/events")
def events(visit: Visit, output_id: int) -> Response:
    """The job's event stream, as the API's, for the page's script.

    Raises TooManyRequests when the person holds as many streams as one may.
    """
    row = read(visit, output_id).row
    last_id = request.headers.get("Last-Event-ID")
    if last_id == sse.END and row["status"] in ENDED:
        return without_content(204)
    if request.method == "HEAD":
        return sse.stream_response(iter(()))
    give_back, stopping = holding.take_stream(visit.caller.user_id), holding.held().stopping
    over = sign_in.over(visit.runtime)

    def body() -> Iterator[bytes]:
        yield from sse.events_of(
            visit.runtime,
            row,
            lambda: read(visit, output_id).row,
            after=sse.resumes_after(last_id),
            stopping=lambda: stopping.is_set() or over(),
        )

    return sse.stream_response(body(), on_close=give_back)


def _document(row: Row, *, images: bool = False, theme: str = "") -> str:
    html = answer_frame.document(row, images=images, theme=theme)
    if html is None:
        raise NotFound("This output has no answer to show as a document")
    return html


def _raw(row: Row) -> Response:
    if row["raw_response"] is None:
        raise NotFound("This output has no answer yet")
    suffix = _SUFFIXES[row["format"]]
    return _file(Response(row["raw_response"], mimetype="text/plain"), row, f".{suffix}")


def _rendered(row: Row) -> Response:
    return _file(answer_frame.response(_document(row)), row, "-rendered.html")


def _row(row: Row) -> Response:
    return _file(Response(as_json(row), mimetype="application/json"), row, "-row.json")


def _file(response: Response, row: Row, ending: str) -> Response:
    """To be kept, never to be shown: `attachment`, and no guessing of its type."""
    name = f"output-{row['id']}{ending}"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


_FILES: Mapping[str, Callable[[Row], Response]] = {
    "raw": _raw,
    "rendered": _rendered,
    "row": _row,
}
