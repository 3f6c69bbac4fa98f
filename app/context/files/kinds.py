"""What some bytes are, told by the bytes: a PDF, plain text, or something we do not read.

A name or a declared type is never asked: both are whatever a client says. PDF goes first, so what
is a PDF and something else at once is read as a PDF, by the reader that can bear it.
"""

from __future__ import annotations

import codecs
import re

PDF = "application/pdf"
TEXT = "text/plain"

_PDF_WITHIN = 1024  # where readers look for the mark; whatever stands before it is skipped
_BYTE_ORDER_MARKS = ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0e-\x1f\x7f]")
_NUL_OR_SURROGATE = re.compile("[\x00\ud800-\udfff]")

_MARKS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"PK\x03\x04", "a ZIP archive (Office documents such as .docx and .xlsx are some)"),
    (0, b"PK\x05\x06", "an empty ZIP archive"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document (.doc, .xls, .ppt)"),
    (0, b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (0, b"\xff\xd8\xff", "a JPEG image"),
    (0, b"GIF8", "a GIF image"),
    (0, b"II*\x00", "a TIFF image"),
    (0, b"MM\x00*", "a TIFF image"),
    (0, b"BM", "a BMP image"),
    (8, b"WEBP", "a WebP image"),
    (8, b"WAVE", "a WAV recording"),
    (4, b"ftyp", "a film, recording or picture of the MP4 family"),
    (0, b"ID3", "an MP3 recording"),
    (0, b"OggS", "an Ogg recording"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"BZh", "a bzip2 archive"),
    (0, b"\xfd7zXZ\x00", "an xz archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (0, b"Rar!\x1a\x07", "a RAR archive"),
    (0, b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    (257, b"ustar", "a tar archive"),
    (0, b"\x7fELF", "a program"),
    (0, b"MZ", "a program"),
    (0, b"SQLite format 3\x00", "an SQLite database"),
    (0, b"PAR1", "a Parquet table"),
    (0, codecs.BOM_UTF32_LE, "text in UTF-32"),
    (0, codecs.BOM_UTF32_BE, "text in UTF-32"),
)


def is_pdf(data: bytes) -> bool:
    """Is there the mark of a PDF where readers look for it?"""
    return data.find(b"%PDF-", 0, _PDF_WITHIN) >= 0


def plain_text(data: bytes) -> str | None:
    """The text these bytes are, or None when they are none.

    UTF-16 needs its byte order mark. What is neither that nor UTF-8 is Windows-1252 (Latin-1 with
    quotes and dashes) if no control character is in it. Nothing with a zero byte is text.
    """
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return _decoded(data[len(mark) :], encoding)
    if b"\x00" in data:
        return None
    text = _decoded(data, "utf-8-sig")
    return text if text is not None or _CONTROL.search(data) else _decoded(data, "cp1252")


def _decoded(data: bytes, encoding: str) -> str | None:
    utf_16 = encoding.startswith("utf-16")
    try:
        text = data.decode(encoding, "surrogatepass" if utf_16 else "strict")
    except UnicodeDecodeError:
        return None
    return None if "\x00" in text else text


def looks_like(data: bytes) -> str:
    """What bytes that are no text are, for a refusal."""
    for place, mark, name in _MARKS:
        if data.startswith(mark, place):
            return name
    return "binary data"


def storable(text: str) -> str:
    """The same text with one kind of line break, without NUL and halves of characters."""
    text = text.replace("\r\n", "\n")
    if not _NUL_OR_SURROGATE.search(text):
        return text
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")
    return whole.replace("\x00", "")
