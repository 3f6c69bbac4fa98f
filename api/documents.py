"""Requests whose body is a document: JSON, YAML or XML as it is, or files in a form.

What a document says is the business of `app.prompts.documents`; here it is told which way it is
written, by its media type or by its file's name. BPMN is XML that says so itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from flask import Request
from werkzeug.datastructures import MIMEAccept

from api.body import JSON, MEGABYTE, MULTIPART, check, parse, read_bytes
from api.multipart import Part, parts
from app.errors import InvalidParameter, InvalidRequest, UnknownParameter
from app.prompts.documents import Source

YAML = "application/yaml"
XML = "application/xml"

MAX_DOCUMENT_BYTES = MEGABYTE
MAX_FORM_BYTES = 4 * MEGABYTE

_SOURCES = {
    JSON: Source.JSON,
    YAML: Source.YAML,
    "text/yaml": Source.YAML,
    "application/x-yaml": Source.YAML,
    "text/x-yaml": Source.YAML,
    XML: Source.XML,
    "text/xml": Source.XML,
}
_TYPES = (*_SOURCES, MULTIPART)
_SUFFIXES = {
    ".json": Source.JSON,
    ".yaml": Source.YAML,
    ".yml": Source.YAML,
    ".xml": Source.XML,
    ".bpmn": Source.BPMN,
}
_MEDIA_TYPES = {Source.JSON: JSON, Source.YAML: YAML, Source.XML: XML}
_BPMN = b"http://www.omg.org/spec/BPMN/"
_BEGINNING_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class Document:
    """What was sent, and how it is written. `name` is its file's, without the ending."""

    data: bytes
    source: Source
    name: str = ""


def read(request: Request) -> tuple[Document, ...]:
    """The documents in the body: one, or each part named `file` of a form.

    Raises UnsupportedMediaType, PayloadTooLarge, or InvalidRequest for a form or JSON text that
    cannot be read.
    """
    if request.mimetype == MULTIPART:
        return _of_form(request)
    raw = read_bytes(request, MAX_DOCUMENT_BYTES, types=_TYPES)
    return (_document(raw or b"{}", _SOURCES.get(request.mimetype, Source.JSON)),)


def media_type(source: Source) -> str:
    """What a document written in this way is served as."""
    return _MEDIA_TYPES[source]


def wanted(accept: MIMEAccept) -> Source:
    """The way of writing a client asks for in `Accept`; JSON when it leaves that open."""
    best = accept.best_match([JSON, *(name for name in _SOURCES if name != JSON)], default=JSON)
    return _SOURCES[best]


def _of_form(request: Request) -> tuple[Document, ...]:
    raw = read_bytes(request, MAX_FORM_BYTES, types=(MULTIPART,))
    found: list[Document] = []
    for part in parts(raw, request.mimetype_params.get("boundary", "")):
        if part.name != "file":
            raise UnknownParameter(part.name[:100])
        if part.filename or part.data:  # a browser sends a field nobody filled in, too
            found.append(_of_part(part))
    if not found:
        raise InvalidRequest("The part file is missing; send the document as it", pointer="/file")
    return tuple(found)


def _of_part(part: Part) -> Document:
    path = PurePosixPath((part.filename or "").replace("\\", "/"))
    source = _SUFFIXES.get(path.suffix.lower()) or _SOURCES.get(part.content_type)
    if source is None:
        raise InvalidParameter(
            f"Invalid file {path.name[:100]!r}: its name must end in {', '.join(_SUFFIXES)}",
            pointer="/file",
        )
    return _document(part.data, source, path.stem)


def _document(raw: bytes, source: Source, name: str = "") -> Document:
    if source is Source.JSON:
        check(parse(raw))  # held to what every JSON body is held to, and refused with its place
    elif source is Source.XML and _BPMN in raw[:_BEGINNING_BYTES]:
        source = Source.BPMN
    return Document(raw, source, name)
