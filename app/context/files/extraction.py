"""The texts of PDFs, read by a program of its own that can be lost: `extractor`.

A PDF is a program in disguise, and reading one can cost any amount of time and memory. So it
happens in another process, which has a bounded life and nothing in reach; this side feeds it, reads
a bounded answer, and ends it. One start (about 0.2 seconds) serves all PDFs of a request.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path

from app.context.files.extractor import FRAME, MAX_ANSWER_BYTES, MAX_PAGES, MAX_TEXT_BYTES
from app.errors import ConfigurationError, TooManyRequests

AT_ONCE = 2
WAIT_SECONDS = 5.0
"""How many requests of this process have PDFs read at once, and how long another one waits."""

_KEPT_ENVIRONMENT = ("LD_LIBRARY_PATH",)  # a Python may need it to start; no secret is in it
_places = threading.BoundedSemaphore(AT_ONCE)


class Problem(StrEnum):
    """Why there is no text; the words are those of the extractor."""

    ENCRYPTED = "encrypted"
    NO_TEXT = "no_text"
    BROKEN = "broken"
    TOO_MANY_PAGES = "too_many_pages"
    TOO_MUCH_TEXT = "too_much_text"
    TOO_COSTLY = "too_costly"
    TOO_SLOW = "too_slow"

    def sentence(self, seconds: float) -> str:
        """The fault for a person; `seconds` is the time there was."""
        return _SENTENCES[self].format(seconds=f"{seconds:g}")


_SENTENCES = {
    Problem.ENCRYPTED: "it is encrypted. Send it without a password and without restrictions",
    Problem.NO_TEXT: "there is no text in it (a scan?). Send one with a text layer",
    Problem.BROKEN: "it is a PDF, but a broken one",
    Problem.TOO_MANY_PAGES: f"it has more than {MAX_PAGES} pages",
    Problem.TOO_MUCH_TEXT: f"its text has more than {MAX_TEXT_BYTES:,} bytes",
    Problem.TOO_COSTLY: "unpacking it takes too much time or memory",
    Problem.TOO_SLOW: "reading the PDFs takes longer than {seconds} seconds. Send fewer pages",
}


def extract(pdfs: Iterable[bytes], *, timeout_seconds: float) -> list[str | Problem]:
    """The text of each PDF, in order, up to the first that has a problem, which is the last item.

    Raises TooManyRequests when no place became free, ConfigurationError when pypdf is missing.
    """
    found: list[str | Problem] = []
    with _place(), _extractor(timeout_seconds) as extractor:
        for pdf in pdfs:
            found.append(extractor.ask(pdf))
            if isinstance(found[-1], Problem):
                break
    return found


@contextmanager
def _place() -> Iterator[None]:
    if not _places.acquire(timeout=WAIT_SECONDS):
        raise TooManyRequests(
            f"Too many PDFs are being read; at most {AT_ONCE} requests at once",
            retry_after_seconds=WAIT_SECONDS,
        )
    try:
        yield
    finally:
        _places.release()


@contextmanager
def _extractor(seconds: float) -> Iterator[_Extractor]:
    """A running extractor that is ended after `seconds`, and with the block."""
    process = subprocess.Popen(  # noqa: S603 - our own program, and nothing of the request
        [sys.executable, "-I", "-S", _program(), str(math.ceil(seconds)), _package()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ},
        cwd="/",
    )
    extractor = _Extractor(process, threading.Event())
    watch = threading.Timer(seconds, extractor.expire)
    watch.daemon = True
    watch.start()
    try:
        yield extractor
    finally:
        watch.cancel()
        process.kill()
        with suppress(BrokenPipeError), process:  # closes the pipes, and waits
            pass


@dataclass(frozen=True, slots=True)
class _Extractor:
    """The other side of two pipes; question and answer take turns, so neither side ever blocks."""

    process: subprocess.Popen[bytes]
    expired: threading.Event

    def ask(self, pdf: bytes) -> str | Problem:
        """The text of one PDF, or what became of the attempt."""
        if self.process.stdin is None or self.process.stdout is None:
            raise RuntimeError("the extractor was started without pipes")
        with suppress(BrokenPipeError):  # it is gone; the answer's absence says so
            self.process.stdin.write(FRAME.pack(len(pdf)))
            self.process.stdin.write(pdf)
            self.process.stdin.flush()
        line = self.process.stdout.readline(MAX_ANSWER_BYTES)
        return _answer(line) if line.endswith(b"\n") else self._end()

    def expire(self) -> None:
        self.expired.set()
        self.process.kill()

    def _end(self) -> Problem:
        """Why a process that owes an answer is gone, or as good as gone."""
        self.process.kill()  # where the answer is only too long, it still runs
        ended_by = -self.process.wait()
        if self.expired.is_set() or ended_by == signal.SIGXCPU:
            return Problem.TOO_SLOW
        return Problem.BROKEN


def _answer(line: bytes) -> str | Problem:
    """What a line of the extractor says. It read a stranger's file: nothing is taken on trust."""
    try:
        told = json.loads(line)
        text = told.get("text")
        return text if isinstance(text, str) else Problem(told.get("problem"))
    except (ValueError, AttributeError):
        return Problem.BROKEN


def _program() -> str:
    return str(Path(__file__).with_name("extractor.py"))


def _package() -> str:
    """The folder of pypdf. It is found here, not imported: only the extractor loads it."""
    found = find_spec("pypdf")
    if found is None or found.origin is None:
        raise ConfigurationError("PDFs cannot be read: pypdf is not installed")
    return str(Path(found.origin).parent)
