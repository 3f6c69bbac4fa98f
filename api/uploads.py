"""Requests that may carry files: as `files` of the JSON object, or as parts beside it.

    {"template": "…", "files": [{"name": "a.txt", "text": "…"}, {"name": "b.pdf", "base64": "…"}]}

or `multipart/form-data` with the object, without `files`, as one part (`job`) and each file as a
part named `files`. Either way a view gets the same: the object, and the files beside it. What is in
a file is not looked at here; names, kinds and texts are the business of `app.context.files`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask import Request

from api.body import (
    ACCEPTED_TYPES,
    JSON,
    MAX_UPLOAD_BYTES,
    MULTIPART,
    BodyLimits,
    an_object,
    check,
    parse,
    read_bytes,
    read_object,
)
from api.json_files import read_with_files, sent_files
from api.multipart import Part, parts
from app.context.files import MAX_FILE_BYTES, SentFile
from app.errors import InvalidParameter, InvalidRequest, PayloadTooLarge, UnknownParameter

_TYPES = (*ACCEPTED_TYPES, MULTIPART)
_JSON_PART_TYPES = ("", "text/plain", JSON)  # a form's field without a type is text/plain


@dataclass(frozen=True, slots=True)
class Upload:
    """What a request carried: the JSON object without its files, and the files."""

    document: dict[str, Any]
    files: tuple[SentFile, ...] = ()

    @property
    def fingerprinted(self) -> dict[str, Any]:
        """The object with, for each file, its name and what tells its content from others."""
        if not self.files:
            return self.document
        told = [{"name": file.name, "sha256": file.sha256} for file in self.files]
        return {**self.document, "files": told}


def read(request: Request, limits: BodyLimits) -> Upload:
    """The body of a request, by what the endpoint takes.

    Raises what `api.body.read_object` does; a fault of a file has the pointer `/files/<n>…`.
    """
    if not limits.files:
        return Upload(read_object(request, limits))
    if request.mimetype == MULTIPART:
        sent = read_upload(request, limits, part=limits.part)
        return Upload(sent, tuple(SentFile(**file) for file in sent.pop("files")))
    sent = read_with_files(read_bytes(request, MAX_UPLOAD_BYTES, types=_TYPES), limits)
    return Upload(sent, sent_files(sent.pop("files", None)))


def read_upload(request: Request, limits: BodyLimits, *, part: str = "job") -> dict[str, Any]:
    """The JSON object in the part of this name, with `files`: for each part of that name an object
    of `name` and `data`. Raises InvalidRequest naming a part that is wrong or missing, and
    PayloadTooLarge.
    """
    raw = read_bytes(request, MAX_UPLOAD_BYTES, types=(MULTIPART,))
    documents: list[Part] = []
    files: list[dict[str, Any]] = []
    for found in parts(raw, request.mimetype_params.get("boundary", "")):
        if found.name == part:
            documents.append(found)
        elif found.name == "files":
            files += _file(found, number=len(files))
        else:
            raise UnknownParameter(found.name[:100])
    document = _document(documents, part, limits)
    if "files" in document:
        sentence = f"Invalid files: in {MULTIPART} each file is a part named files"
        raise InvalidParameter(sentence, pointer="/files")
    return {**document, "files": files}


def _file(part: Part, *, number: int) -> list[dict[str, Any]]:
    """The file as a list of one; of none where a browser sent a field nobody filled in."""
    pointer = f"/files/{number}"
    if part.filename == "" and not part.data:
        return []
    if not part.filename:
        sentence = f"Invalid files.{number}: the part has no filename"
        raise InvalidParameter(sentence, pointer=f"{pointer}/name")
    if len(part.data) > MAX_FILE_BYTES:
        raise PayloadTooLarge(f"The file is larger than {MAX_FILE_BYTES:,} bytes", pointer=pointer)
    return [{"name": part.filename, "data": part.data}]


def _document(found: Sequence[Part], part: str, limits: BodyLimits) -> dict[str, Any]:
    """The one JSON object there must be."""
    if not found:
        raise _wrong(part, "is missing; send the JSON object as it")
    if len(found) > 1:
        raise _wrong(part, "is given more than once")
    if found[0].content_type not in _JSON_PART_TYPES:
        raise _wrong(part, f"must be {JSON}, not {found[0].content_type[:100]}")
    if len(found[0].data) > limits.max_bytes:
        raise PayloadTooLarge(f"The part {part} is larger than {limits.max_bytes:,} bytes")
    try:
        document = an_object(parse(found[0].data))
    except InvalidRequest as error:
        raise _wrong(part, f"cannot be read: {error.message}") from None
    check(document, limits)
    return document


def _wrong(part: str, fault: str) -> InvalidRequest:
    return InvalidRequest(f"The part {part} {fault}", pointer=f"/{part}")
