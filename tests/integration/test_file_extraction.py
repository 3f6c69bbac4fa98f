"""PDFs are read by a process of their own: honest ones give their text, hostile ones a clear no.

What a PDF could do to its reader happens there: it is killed in time, its memory is its own, and it
has no file, network or program in reach.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.context.files import MAX_TEXT_BYTES, SentFile, extraction, extractor, read_files
from app.errors import ConfigurationError, FileUnreadable, TooManyRequests
from tests.support import pdfs


def text_of(data: bytes) -> str:
    (found,) = read_files([SentFile("a.pdf", data=data)])
    assert (found.media_type, found.size) == ("application/pdf", len(data))
    return found.text


def refusal_of(data: bytes, *, seconds: float = 10) -> str:
    with pytest.raises(FileUnreadable) as caught:
        read_files([SentFile("a.pdf", data=data)], timeout_seconds=seconds)
    assert caught.value.pointer == "/files/0"
    return caught.value.message.removeprefix("The file 'a.pdf' cannot be read: ")


def processor_seconds() -> float:
    """What ended processes of ours have worked: how busy the machine is does not count."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


# --- honest files --------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [False, True])
def test_the_text_of_each_page_is_found_in_order(packed: bool) -> None:
    data = pdfs.pdf("Hello\nworld – “é”", "second page", packed=packed)
    assert text_of(data) == "Hello\nworld – “é”\n\nsecond page"


def test_a_pdf_may_begin_with_something_else() -> None:
    assert text_of(b"#!/bin/sh\necho polyglot\nexit\n" + pdfs.pdf("still a PDF")) == "still a PDF"


def test_two_hundred_pages_are_read_and_one_more_is_refused() -> None:
    assert text_of(pdfs.pdf(*["page"] * 200)).count("page") == 200
    assert refusal_of(pdfs.pdf(*["page"] * 201)) == "it has more than 200 pages"


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """The processes that were started meanwhile."""
    found: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def start(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        found.append(popen(*arguments, **options))
        return found[-1]

    monkeypatch.setattr(subprocess, "Popen", start)
    return found


def test_texts_and_pdfs_keep_their_order_and_one_process_reads_them_all(
    started: list[subprocess.Popen[bytes]],
) -> None:
    files = [
        SentFile("1.pdf", data=pdfs.pdf("one")),
        SentFile("2.txt", text="two"),
        SentFile("3.txt", data=b"three"),
        SentFile("4.pdf", data=pdfs.pdf("four")),
    ]
    found = read_files(files)
    assert [file.text for file in found] == ["one", "two", "three", "four"]
    assert [file.name for file in found] == [file.name for file in files]
    assert len(started) == 1


def test_the_pointer_names_the_file_at_fault() -> None:
    files = [
        SentFile("text", text="x"),
        SentFile("good.pdf", data=pdfs.pdf("x")),
        SentFile("bad.pdf", data=pdfs.scan()),
        SentFile("worse.pdf", data=b"%PDF-"),
    ]
    with pytest.raises(FileUnreadable, match=r"'bad\.pdf' cannot be read") as caught:
        read_files(files)
    assert caught.value.pointer == "/files/2"


# --- files without a text ------------------------------------------------------------------------


def test_an_encrypted_pdf_is_refused_as_such() -> None:
    assert refusal_of(pdfs.encrypted()).startswith("it is encrypted.")


def test_a_pdf_without_text_is_refused_as_a_scan() -> None:
    assert refusal_of(pdfs.scan()).startswith("there is no text in it (a scan?).")
    assert refusal_of(pdfs.pdf("", " ")).startswith("there is no text in it (a scan?).")


@pytest.mark.parametrize(
    "data",
    [
        b"%PDF-1.7",
        b"%PDF-1.7\n" + b"junk obj endobj " * 100_000,
        pdfs.pdf("cut off" * 100)[:300],
        pdfs.pdf("no page tree").replace(b"/Pages 2 0 R", b"/Pages 9 0 R"),
        pdfs.recursive_table(),
        pdfs.recursive_page_tree(),
        pdfs.nested_array(100_000),
    ],
    ids=["head", "junk", "cut", "no pages", "recursive table", "recursive pages", "nested"],
)
def test_a_broken_pdf_is_refused_as_such(data: bytes) -> None:
    assert refusal_of(data) == "it is a PDF, but a broken one"


def test_a_pdf_with_too_much_text_is_refused() -> None:
    data = pdfs.pdf(*["x" * 60_000] * 20, packed=True)
    assert refusal_of(data) == f"its text has more than {MAX_TEXT_BYTES:,} bytes"


# --- hostile files -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda: pdfs.flate_bomb(512 * 1024 * 1024),
        lambda: pdfs.flate_bomb(256 * 1024 * 1024, layers=3),
        lambda: pdfs.flate_bomb(8 * 1024 * 1024),
        lambda: pdfs.wide_page_tree(1_000_000),
        lambda: pdfs.doubling_page_tree(30),
        lambda: pdfs.doubling_forms(30),
    ],
    ids=["half a gigabyte", "packed thrice", "8 MB", "a million pages", "doubling pages", "forms"],
)
def test_a_bomb_is_refused_in_time_and_costs_this_process_no_memory(
    make: Callable[[], bytes],
) -> None:
    data = make()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    worked = processor_seconds()
    assert refusal_of(data, seconds=60) == "unpacking it takes too much time or memory"
    assert processor_seconds() - worked < 6
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 64 * 1024, f"{grown} kB"  # a few times the largest of these files


def test_a_drawing_that_repeats_itself_a_little_is_read() -> None:
    assert text_of(pdfs.doubling_forms(3)).split() == ["ha"] * 8


# --- the process around them ---------------------------------------------------------------------


@pytest.fixture
def run_as_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Makes this Python code the PDF library; what `act` returns or raises becomes the text."""

    def run(act: str, *, seconds: float = 10) -> str:
        package = tmp_path / "pypdf"
        package.mkdir(exist_ok=True)
        (package / "__init__.py").write_text(_STAND_IN + act)
        monkeypatch.setattr(extraction, "_package", lambda: str(package))
        (found,) = read_files([SentFile("a", data=b"%PDF-")], timeout_seconds=seconds)
        return found.text

    return run


_STAND_IN = """
class errors:
    class LimitReachedError(Exception):
        pass

def overwrite_configuration(**limits):
    pass

class PdfReader:
    is_encrypted = False
    def __init__(self, stream):
        self.pages = [self]
    def extract_text(self):
        try:
            return f"done: {act()}"
        except MemoryError:
            raise
        except Exception as error:
            return f"{type(error).__name__}: {error}"
"""


@pytest.mark.parametrize(
    "act",
    [
        "open('/etc/passwd').read()",
        "open('/proc/self/environ').read()",
        "open(__import__('os').__file__ + '/../../../../etc/passwd').read()",
        "__import__('io').open_code('/etc/passwd').read()",
        "open(__file__, 'a')",
        "__import__('os').open('/tmp/x', 65)",
        "__import__('os').system('true')",
        "__import__('os').fork()",
        "__import__('os').execv('/bin/true', ['true'])",
        "__import__('os').kill(1, 0)",
        "__import__('os').remove('/tmp/x')",
        "__import__('subprocess').run(['true'])",
        "__import__('socket').socket()",
        "__import__('socket').getaddrinfo('localhost', 1)",
        "__import__('ctypes').CDLL(None)",
    ],
)
def test_the_reader_has_no_file_process_or_network_in_reach(
    run_as_reader: Callable[..., str], act: str
) -> None:
    answer = run_as_reader(f"def act():\n    return {act}\n")
    assert answer.endswith("out of reach"), answer


def test_the_reader_may_read_the_modules_of_python(run_as_reader: Callable[..., str]) -> None:
    act = (
        "def act():\n    return b'a'.decode('mac_roman') + __import__('this').c.__class__.__name__"
    )
    assert run_as_reader(act) == "done: aint"


def test_the_reader_knows_no_secret_of_this_process(
    run_as_reader: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    act = (
        "import os, sys\ndef act():\n    return sorted(os.environ), 'app' in sys.modules, sys.flags"
    )
    told = run_as_reader(act)
    assert "OPENAI" not in told
    assert "'app' in" not in told
    assert "False" in told
    assert "isolated=1" in told
    assert "no_site=1" in told


def test_the_reader_has_bounded_resources(run_as_reader: Callable[..., str]) -> None:
    act = """
import resource
NAMES = ("AS", "CPU", "NOFILE", "NPROC", "FSIZE", "CORE")
def act():
    return {name: resource.getrlimit(getattr(resource, "RLIMIT_" + name)) for name in NAMES}
"""
    assert run_as_reader(act) == (
        "done: {'AS': (536870912, 536870912), 'CPU': (10, 11), 'NOFILE': (16, 16),"
        " 'NPROC': (0, 0), 'FSIZE': (0, 0), 'CORE': (0, 0)}"
    )


@pytest.mark.parametrize(
    ("act", "part"),
    [
        ("def act():\n    return len(bytearray(600 << 20))", "unpacking it takes too much"),
        ("def act():\n    errors.LimitReachedError('x')", "unpacking it takes too much"),
        ("def act():\n    __import__('os')._exit(3)", "a broken one"),
        ("def act():\n    return 'x' * 1_100_000", "more than 1,048,576 bytes"),
        ("import sys\nsys.exit()", "a broken one"),
        ("import sys\ndef act():\n    print('{}', flush=True)", "a broken one"),
        ("import sys\ndef act():\n    print('x' * 20_000_000)", "a broken one"),
    ],
    ids=["memory", "limit", "exit", "text", "no start", "other line", "flood"],
)
def test_whatever_becomes_of_the_reader_the_answer_is_a_clear_refusal(
    run_as_reader: Callable[..., str], act: str, part: str
) -> None:
    with pytest.raises(FileUnreadable, match=part):
        run_as_reader(act)


def test_a_reader_that_hangs_is_ended_from_outside(run_as_reader: Callable[..., str]) -> None:
    hang = "import threading\ndef act():\n    threading.Event().wait()"
    with pytest.raises(FileUnreadable, match=r"takes longer than 0\.5 seconds"):
        run_as_reader(hang, seconds=0.5)


def test_a_reader_that_swallows_its_interrupts_is_ended_by_its_processor_time(
    run_as_reader: Callable[..., str],
) -> None:
    stubborn = """
def act():
    while True:
        try:
            while True: pass
        except BaseException: pass
"""
    with pytest.raises(FileUnreadable, match="takes longer than"):
        run_as_reader(stubborn, seconds=2)


def test_no_more_than_two_requests_read_at_once_and_a_third_is_told_to_come_back(
    run_as_reader: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extraction, "WAIT_SECONDS", 0.05)
    with extraction._place(), extraction._place(), pytest.raises(TooManyRequests) as caught:
        run_as_reader("def act(): return 1")
    assert caught.value.retry_after_seconds > 0
    assert run_as_reader("def act(): return 1") == "done: 1"


def test_a_place_is_given_back_however_the_reading_ended(
    run_as_reader: Callable[..., str],
) -> None:
    for _ in range(3):
        with pytest.raises(FileUnreadable):
            run_as_reader("def act():\n    __import__('os')._exit(3)")
    assert run_as_reader("def act(): return 1") == "done: 1"


def test_requests_beside_each_other_get_their_own_texts() -> None:
    found: dict[int, str] = {}

    def read(number: int) -> None:
        found[number] = text_of(pdfs.pdf(f"text {number}"))

    threads = [threading.Thread(target=read, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: f"text {number}" for number in range(4)}


def test_no_process_no_pipe_and_no_thread_is_left_behind(
    started: list[subprocess.Popen[bytes]],
) -> None:
    text_of(pdfs.pdf("x"))
    refusal_of(pdfs.scan())
    for process in started:
        assert process.returncode is not None
        assert process.stdin is not None
        assert process.stdin.closed
    assert len(started) == 2
    assert not [t for t in threading.enumerate() if isinstance(t, threading.Timer)]


def test_a_machine_without_the_library_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match="pypdf is not installed"):
        text_of(pdfs.pdf("x"))


def test_the_reading_process_ends_with_its_input() -> None:
    command = [sys.executable, "-I", "-S", extractor.__file__, "5", extraction._package()]
    frame = extractor.FRAME.pack(len(pdfs.pdf("x"))) + pdfs.pdf("x")
    done = subprocess.run(command, input=frame * 2, capture_output=True, timeout=60)
    assert done.returncode == 0
    assert [json.loads(line) for line in done.stdout.splitlines()] == [{"text": "x"}] * 2
