"""Files of a job: told by their bytes, held to their limits, read whole or refused by name."""

from __future__ import annotations

import codecs
import hashlib
import time

import pytest

from app.context.files import MAX_FILE_BYTES, MAX_TEXT_BYTES, ReadFile, SentFile, read_files
from app.context.files.kinds import is_pdf, storable
from app.errors import FileUnreadable, InvalidParameter, LLMJobsError


def read(*data: bytes) -> list[str]:
    return [f.text for f in read_files([SentFile(f"{n}.txt", data=d) for n, d in enumerate(data)])]


def refused(*files: SentFile) -> LLMJobsError:
    with pytest.raises((FileUnreadable, InvalidParameter)) as caught:
        read_files(files)
    return caught.value


@pytest.mark.parametrize(
    "data",
    [
        "Grüße – “€”".encode(),
        codecs.BOM_UTF8 + "Grüße – “€”".encode(),
        codecs.BOM_UTF16_LE + "Grüße – “€”".encode("utf-16-le"),
        codecs.BOM_UTF16_BE + "Grüße – “€”".encode("utf-16-be"),
        "Grüße – “€”".encode("cp1252"),
    ],
)
def test_plain_text_is_read_in_each_of_its_encodings(data: bytes) -> None:
    assert read(data) == ["Grüße – “€”"]


@pytest.mark.parametrize(
    ("data", "seems"),
    [
        (b"PK\x03\x04\x14\x00\x06\x00word/document.xml", "a ZIP archive (Office documents"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\x00", "an old Office document"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "a PNG image"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "a JPEG image"),
        (b"GIF89a\x00\x00", "a GIF image"),
        (b"\x1f\x8b\x08\x00", "a gzip archive"),
        (b"a.txt".ljust(257, b"\x00") + b"ustar\x00", "a tar archive"),
        (b"\x7fELF\x02\x00", "a program"),
        ("text".encode("utf-32"), "text in UTF-32"),
        ("no mark".encode("utf-16-le"), "binary data"),
        (b"caf\xe9 \x07", "binary data"),
        (b"\x81\x8d\x8f", "binary data"),
        (b"text\x00more", "binary data"),
        (codecs.BOM_UTF16_LE + b"odd", "binary data"),
    ],
)
def test_a_refusal_says_what_the_file_looks_like_and_what_can_be_read(
    data: bytes, seems: str
) -> None:
    fault = refused(SentFile("report.txt", data=data))
    assert isinstance(fault, FileUnreadable)
    assert f"'report.txt' cannot be read: it looks like {seems}" in fault.message
    assert "PDF can be read" in fault.message
    assert fault.pointer == "/files/0"


def test_the_name_has_no_say_in_what_a_file_is() -> None:
    (found,) = read_files([SentFile("invoice.pdf", data=b"only text")])
    assert found == ReadFile("invoice.pdf", "only text", "text/plain", 9)
    assert "PNG" in refused(SentFile("a.txt", data=b"\x89PNG\r\n\x1a\n\x00")).message


def test_the_mark_of_a_pdf_counts_within_the_first_kilobyte() -> None:
    assert is_pdf(b"#!/bin/sh\n" + b"%PDF-1.7")
    assert is_pdf(b" " * 1019 + b"%PDF-1.7")
    assert not is_pdf(b" " * 1020 + b"%PDF-1.7")


def test_what_was_sent_as_text_is_text_whatever_is_in_it() -> None:
    (found,) = read_files([SentFile("a.txt", text="%PDF-1.7 is how a PDF begins")])
    assert (found.text, found.media_type) == ("%PDF-1.7 is how a PDF begins", "text/plain")


def test_a_text_loses_nul_and_halves_of_characters_and_carriage_returns() -> None:
    assert storable("a\r\nb\x00\ud800c\udc00\ud83d\ude00\ud83d") == "a\nbc😀"
    half = codecs.BOM_UTF16_LE + "a\ud800b\r\n".encode("utf-16-le", "surrogatepass")
    assert read(half) == ["ab\n"]


def test_a_file_knows_its_size_and_what_tells_it_from_others() -> None:
    text, data = SentFile("a", text="é"), SentFile("b", data="é".encode())
    assert text.sha256 == data.sha256 == hashlib.sha256("é".encode()).hexdigest()
    assert [f.size for f in read_files([text, data])] == [2, 2]


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("", "must name something"),
        ("  ", "must name something"),
        ("..", "must name something"),
        ("x" * 256, "has 256 characters; at most 255"),
        ("../etc/passwd", "without a directory"),
        ("C:\\secret.txt", "without a directory"),
        ("a\x00.txt", "control characters"),
        ("a\nb.txt", "control characters"),
        ("a\x7f.txt", "control characters"),
        ("a\u2028b", "control characters"),
        ("a\ud800.txt", "control characters"),
        ("invoice\u202egnp.exe", "direction of text"),
    ],
)
def test_a_name_that_could_mislead_is_refused(name: str, fault: str) -> None:
    error = refused(SentFile("fine.txt", text="x"), SentFile(name, text="x"))
    assert isinstance(error, InvalidParameter)
    assert fault in error.message
    assert error.pointer == "/files/1/name"


@pytest.mark.parametrize("name", ["x" * 255, "Übersicht 2024 (final).txt", "می‌خواهم.txt", "💾"])
def test_a_name_in_any_script_is_welcome(name: str) -> None:
    assert read_files([SentFile(name, text="x")])[0].name == name


def test_a_name_given_twice_is_refused() -> None:
    error = refused(SentFile("a", text="1"), SentFile("b", text="2"), SentFile("a", text="3"))
    assert "given twice" in error.message
    assert getattr(error, "pointer", None) == "/files/2/name"


@pytest.mark.parametrize("file", [SentFile("a"), SentFile("a", text="x", data=b"x")])
def test_a_file_has_either_text_or_bytes(file: SentFile) -> None:
    assert "either its text or its bytes" in refused(file).message


@pytest.mark.parametrize(
    "file", [SentFile("a", text=""), SentFile("a", data=b""), SentFile("a", data=b" \r\n\t")]
)
def test_a_file_without_a_word_is_refused(file: SentFile) -> None:
    assert refused(file).message == "The file 'a' cannot be read: it is empty"


def test_twenty_files_are_a_jobs_most() -> None:
    many = [SentFile(f"{n}", text="x") for n in range(21)]
    assert len(read_files(many[:20])) == 20
    error = refused(*many)
    assert "at most 20 are allowed, not 21" in error.message
    assert getattr(error, "pointer", None) == "/files"


def test_a_file_has_at_most_ten_megabytes() -> None:
    error = refused(SentFile("a", data=b"x" * (MAX_FILE_BYTES + 1)))
    assert "it has 10,485,761 bytes; at most 10,485,760" in error.message


def test_a_file_has_at_most_a_megabyte_of_text() -> None:
    assert read(b"x" * MAX_TEXT_BYTES)[0] == "x" * MAX_TEXT_BYTES
    for file in (
        SentFile("a", data=b"x" * (MAX_TEXT_BYTES + 1)),
        SentFile("a", text="€" * 400_000),
    ):
        error = refused(file)
        assert isinstance(error, FileUnreadable)
        assert "at most 1,048,576 are allowed" in error.message


def test_all_files_have_at_most_four_megabytes_of_text() -> None:
    files = [SentFile(f"{n}", text="x" * MAX_TEXT_BYTES) for n in range(5)]
    assert len(read_files(files[:4])) == 4
    error = refused(*files)
    assert "more than 4,194,304 bytes" in error.message
    assert getattr(error, "pointer", None) == "/files/4"


def test_ten_hostile_megabytes_are_told_apart_at_once() -> None:
    began = time.process_time()
    for piece in (b"\x00", b"\xff", b"\r\n", b"\xf0\x9f", b"%PDF", b"\xff\xfe\x00\xd8"):
        data = piece * (MAX_FILE_BYTES // len(piece))
        refused(SentFile("a", data=data))
    assert time.process_time() - began < 10
