"""Reads a JSON body in which the contents of `files` are long, and nothing else is.

Everything but those contents is held to the limits of an ordinary body, and before it costs
anything: long strings are cut out of the bytes, what is left must fit, and only then is it parsed.
A long string that turns out to stand elsewhere is put back, and counts.
"""

from __future__ import annotations

import binascii
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from api import validation
from api.body import (
    MAX_TEXT_BYTES,
    MAX_UPLOAD_BYTES,
    BodyLimits,
    an_object,
    check,
    parse,
    text_fault,
    too_large,
)
from api.schemas.files import FileBody, FilesBody
from app.context.files import MAX_FILE_BYTES, SentFile
from app.errors import InvalidParameter, InvalidRequest, PayloadTooLarge

_CONTENTS = ("text", "base64")
_LONG = 256
# Linear: the possessive quantifiers never give back, and a string without an end runs to the end.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.?+)*+(?:"|\Z)', re.DOTALL)

Span = tuple[int, int]


def read_with_files(raw: bytes, limits: BodyLimits) -> dict[str, Any]:
    """The JSON object; the contents of its files are texts of any length.

    Raises PayloadTooLarge when it is too large without them, InvalidRequest as for any body.
    """
    if not raw.strip():
        return {}
    if len(raw) <= MAX_TEXT_BYTES:
        document = parse(raw)
        check(document, limits)
        return an_object(document)
    try:
        return _read_long(raw, limits)
    except InvalidRequest:
        parse(raw)  # a fault of its form is told with the place it really has
        raise


def sent_files(files: Any) -> tuple[SentFile, ...]:
    """The files a JSON body lists. Raises InvalidRequest or PayloadTooLarge, naming the place."""
    listed = validation.checked(FilesBody, {"files": files}).files or ()
    return tuple(_sent_file(file, f"/files/{number}") for number, file in enumerate(listed))


def _read_long(raw: bytes, limits: BodyLimits) -> dict[str, Any]:
    spans = _long_strings(raw, limits)
    document, marks = _without(raw, spans, limits)
    inside = sorted(number for number, *_ in _marked(document, marks))
    if len(inside) < len(spans):
        spans = [spans[number] for number in inside]
        document, marks = _without(raw, spans, limits)
    for number, file, place in _marked(document, marks):
        start, end = spans[number]
        content = parse(raw[start:end])
        if fault := text_fault(content, MAX_UPLOAD_BYTES):
            raise InvalidRequest(fault, pointer=place)
        file[place.rpartition("/")[2]] = content
    return document


def _long_strings(raw: bytes, limits: BodyLimits) -> list[Span]:
    """Where they stand; stops where too much has stood beside them."""
    spans: list[Span] = []
    cut = 0
    for match in _STRING.finditer(raw):
        start, end = match.span()
        if start - cut > limits.max_bytes:
            raise too_large(limits.max_bytes)
        if end - start > _LONG:
            spans.append((start, end))
            cut += end - start
    return spans


def _without(
    raw: bytes, spans: Sequence[Span], limits: BodyLimits
) -> tuple[dict[str, Any], Mapping[str, int]]:
    """The checked object with a mark in place of each of these strings, and their numbers."""
    if len(raw) - sum(end - start for start, end in spans) > limits.max_bytes:
        raise too_large(limits.max_bytes)
    secret = secrets.token_hex(8)  # so that nobody can write a mark
    marks = {f"{secret}:{number}": number for number in range(len(spans))}
    pieces: list[bytes] = []
    done = 0
    for (start, end), mark in zip(spans, marks, strict=True):
        pieces += [raw[done:start], b'"%b"' % mark.encode()]
        done = end
    document = parse(b"".join([*pieces, raw[done:]]))
    check(document, limits)
    return an_object(document), marks


def _marked(
    document: Mapping[str, Any], marks: Mapping[str, int]
) -> Iterator[tuple[int, dict[str, Any], str]]:
    """Each mark that stands for the content of a file: its number, the file, and the pointer."""
    files = document.get("files")
    for position, file in enumerate(files if isinstance(files, list) else ()):
        for name in _CONTENTS if isinstance(file, dict) else ():
            if isinstance(file.get(name), str) and file[name] in marks:
                yield marks[file[name]], file, f"/files/{position}/{name}"


def _sent_file(file: FileBody, pointer: str) -> SentFile:
    data = None if file.base64 is None else _decoded(file.base64, f"{pointer}/base64")
    sent = SentFile(file.name, text=file.text, data=data)
    if len(sent.content) > MAX_FILE_BYTES:
        raise PayloadTooLarge(f"The file is larger than {MAX_FILE_BYTES:,} bytes", pointer=pointer)
    return sent


def _decoded(text: str, pointer: str) -> bytes:
    """The bytes that base64 (RFC 4648) stands for, without leniency."""
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        where = pointer[1:].replace("/", ".")
        raise InvalidParameter(
            f"Invalid {where}: should be base64 of the standard alphabet, padded, in one line and"
            " with nothing before it",
            pointer=pointer,
        ) from None
