"""Takes a `multipart/form-data` body (RFC 7578) apart, with every bound; what the parts are for is
the business of `api.uploads`.

The grammar is Werkzeug's. Nothing goes to the disk: a body is bounded before it gets here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.sansio.multipart import (
    Data,
    Epilogue,
    Event,
    Field,
    File,
    MultipartDecoder,
    NeedData,
    State,
)

from api.body import MULTIPART
from app.errors import InvalidRequest, PayloadTooLarge

MAX_PARTS = 32
MAX_HEADER_BYTES = 16 * 1024

_FED_BYTES = 64 * 1024
_LONGEST_BOUNDARY = 70  # RFC 2046
_PLAIN_ENCODINGS = ("", "7bit", "8bit", "binary")


@dataclass(frozen=True, slots=True)
class Part:
    """One part, whole. `filename` is None for a plain field; header names are in lower case."""

    name: str
    filename: str | None
    headers: Mapping[str, str]
    data: bytes

    @property
    def content_type(self) -> str:
        """What it says it is, without parameters; empty when it says nothing."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


def parts(raw: bytes, boundary: str) -> Iterator[Part]:
    """The parts in their order. Raises InvalidRequest, or PayloadTooLarge for too many of them."""
    if not 1 <= len(boundary) <= _LONGEST_BOUNDARY or not boundary.isascii():
        raise malformed("its Content-Type names no boundary of 1 to 70 characters")
    opened: Field | File | None = None
    data: list[bytes] = []
    for event in _events(raw, MultipartDecoder(boundary.encode(), max_parts=MAX_PARTS)):
        if isinstance(event, (Field, File)):
            opened, data = event, []
        elif isinstance(event, Data) and opened is not None:
            data.append(event.data)
            if not event.more_data:
                yield _part(opened, b"".join(data))


def _events(raw: bytes, decoder: MultipartDecoder) -> Iterator[Event]:
    """Fed bit by bit, so that headers without an end are seen before they cost anything."""
    pieces = [raw[start : start + _FED_BYTES] for start in range(0, len(raw), _FED_BYTES)]
    for piece in (*pieces, None):
        try:
            decoder.receive_data(piece)
            while not isinstance(event := decoder.next_event(), NeedData):
                yield event
                if isinstance(event, Epilogue):
                    return
        except RequestEntityTooLarge:
            raise PayloadTooLarge(f"The body has more than {MAX_PARTS} parts") from None
        except ValueError:  # the decoder's own words are about its inside
            raise malformed("a part's headers are wrong, or its last boundary is missing") from None
        if decoder.state is State.PART and len(decoder.buffer) > MAX_HEADER_BYTES:
            raise malformed(f"a part's headers have more than {MAX_HEADER_BYTES:,} bytes")


def _part(opened: Field | File, data: bytes) -> Part:
    headers = {name.lower(): value for name, value in opened.headers.items()}
    if not opened.name:
        raise malformed("a part has no name")
    encoding = headers.get("content-transfer-encoding", "").lower()
    if encoding not in _PLAIN_ENCODINGS:
        raise malformed(
            f"the part {opened.name[:100]} is encoded as {encoding[:100]}; send it plain"
        )
    return Part(opened.name, getattr(opened, "filename", None), headers, data)


def malformed(fault: str) -> InvalidRequest:
    return InvalidRequest(f"Malformed {MULTIPART}: {fault}", pointer="")
