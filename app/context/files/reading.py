"""The texts of a job's files. Plain text is decoded here, PDFs are handed to `extraction`.

A file is read whole or refused: a prompt with half a document in it would be answered as if it
were the document.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from app.context.files import extraction, kinds
from app.context.files.extractor import MAX_TEXT_BYTES
from app.context.files.sent import MAX_FILE_BYTES, SentFile, check_names
from app.errors import FileUnreadable, InvalidParameter

MAX_FILES = 20
MAX_TEXT_BYTES_IN_ALL = 4 * 1024 * 1024

_READABLE = "Plain text (UTF-8, UTF-16 with a byte order mark, Windows-1252) and PDF can be read"


@dataclass(frozen=True, slots=True)
class ReadFile:
    """A file whose text is known. `size` counts the bytes of the file as it came."""

    name: str
    text: str
    media_type: str
    size: int


def read_files(files: Sequence[SentFile], *, timeout_seconds: float = 10) -> list[ReadFile]:
    """The texts of these files, in their order. All PDFs together have `timeout_seconds`.

    Raises FileUnreadable with the pointer `/files/<n>` of the first that cannot be read,
    InvalidParameter for a name that cannot be one or too many files, TooManyRequests when too many
    PDFs are being read for others.
    """
    if len(files) > MAX_FILES:
        raise InvalidParameter(
            f"Invalid files: at most {MAX_FILES} are allowed, not {len(files)}", pointer="/files"
        )
    check_names(files)
    for number, file in enumerate(files):
        _check_content(number, file)
    texts = {number: _plain(number, file) for number, file in enumerate(files) if not _pdf(file)}
    pdfs = {number: file.content for number, file in enumerate(files) if _pdf(file)}
    for number, found in zip(pdfs, _extracted(pdfs.values(), timeout_seconds), strict=False):
        if isinstance(found, extraction.Problem):
            raise _unreadable(number, files[number], found.sentence(timeout_seconds))
        texts[number] = kinds.storable(found)
    _check_lengths(files, texts)
    return [_read(file, texts[number]) for number, file in enumerate(files)]


def _check_content(number: int, file: SentFile) -> None:
    if (file.text is None) == (file.data is None):
        raise InvalidParameter(
            f"Invalid file {file.name[:80]!r}: give either its text or its bytes",
            pointer=f"/files/{number}",
        )
    if (size := len(file.content)) > MAX_FILE_BYTES:
        fault = f"it has {size:,} bytes; at most {MAX_FILE_BYTES:,} are allowed"
        raise _unreadable(number, file, fault)


def _pdf(file: SentFile) -> bool:
    """A text is a text, even one that speaks of PDFs in its first line."""
    return file.data is not None and kinds.is_pdf(file.data)


def _plain(number: int, file: SentFile) -> str:
    text = file.text if file.data is None else kinds.plain_text(file.data)
    if text is None:
        fault = f"it looks like {kinds.looks_like(file.content)}. {_READABLE}"
        raise _unreadable(number, file, fault)
    text = kinds.storable(text)
    if not text.strip():
        raise _unreadable(number, file, "it is empty")
    return text


def _extracted(pdfs: Collection[bytes], seconds: float) -> list[str | extraction.Problem]:
    return extraction.extract(pdfs, timeout_seconds=seconds) if pdfs else []


def _check_lengths(files: Sequence[SentFile], texts: dict[int, str]) -> None:
    in_all = 0
    for number, file in enumerate(files):
        length = len(texts[number].encode())
        in_all += length
        if length > MAX_TEXT_BYTES:
            fault = f"its text has {length:,} bytes; at most {MAX_TEXT_BYTES:,} are allowed"
            raise _unreadable(number, file, fault)
        if in_all > MAX_TEXT_BYTES_IN_ALL:
            fault = f"with it the files' texts have more than {MAX_TEXT_BYTES_IN_ALL:,} bytes"
            raise _unreadable(number, file, fault)


def _read(file: SentFile, text: str) -> ReadFile:
    return ReadFile(file.name, text, kinds.PDF if _pdf(file) else kinds.TEXT, len(file.content))


def _unreadable(number: int, file: SentFile, fault: str) -> FileUnreadable:
    return FileUnreadable(
        f"The file {file.name[:80]!r} cannot be read: {fault}", pointer=f"/files/{number}"
    )
