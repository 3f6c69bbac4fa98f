"""A program that reads PDFs and knows nothing else: it is run by path, never as part of a process
that has something to lose.

    python -I -S extractor.py <seconds> <folder of pypdf>

It takes PDFs on its input, each after its length, and answers each by one line of JSON: `text`, or
the word of a `problem`. Before the first byte of a stranger's file is looked at, it has given up
memory, time, files, processes and the network. It imports nothing of this project, so that there is
nothing to import: the constants are read by `extraction`, which must agree with it.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import signal
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import module_from_spec, spec_from_file_location
from io import BytesIO
from typing import Any, BinaryIO

FRAME = struct.Struct(">Q")
MAX_PAGES = 200
MAX_TEXT_BYTES = 1024 * 1024
MAX_ANSWER_BYTES = 6 * MAX_TEXT_BYTES + 1024
"""JSON writes a character as at most six for each of its bytes."""

_MEMORY_BYTES = 512 * 1024 * 1024
_OPEN_FILES = 16
_OPENING_SECONDS = 3.0
_PAGE_SECONDS = 3.0
"""Processor time for finding the pages, and for each page: a real document spreads its cost."""

_UNPACKED_BYTES = 16 * 1024 * 1024
_PACKED_TWICE_BYTES = 48 * 1024 * 1024
_LIMITS = {
    "array_based_stream_maximum_output_length": _UNPACKED_BYTES,
    "brotli_maximum_output_length": _UNPACKED_BYTES,
    "lzw_maximum_output_length": _UNPACKED_BYTES,
    "run_length_maximum_output_length": _UNPACKED_BYTES,
    "zlib_maximum_output_length": _UNPACKED_BYTES,
    "stream_decoding_work_maximum_length": _PACKED_TWICE_BYTES,
    "stream_filters_maximum_length": 4,
    "page_tree_maximum_entries": 100 * MAX_PAGES,
    "xform_maximum_invocations_per_extraction": sys.maxsize,  # beyond it text is left out, silently
    "jbig2dec_binary": None,
    "disable_legacy_handling": True,
}

_NEVER = frozenset(
    {"os", "socket", "subprocess", "shutil", "ctypes", "pty", "fcntl", "mmap", "tempfile"}
    | {"resource", "signal", "webbrowser"}
)
_HARMLESS = frozenset({"os.listdir", "os.scandir"})  # what looks for a module does
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class _TooMuch(BaseException):
    """A limit is reached. Not an Exception: no library that goes on after those goes on here."""


class _Refused(Exception):
    """A file that has a problem, by its word."""


def main(seconds: int, package: str) -> None:
    """Serve until the input ends."""
    pypdf = _loaded(package)  # first, so that Python may keep the modules it compiles
    _give_up_resources(seconds)
    _give_up_reach(package)
    for pdf in _questions(sys.stdin.buffer):
        line = json.dumps(_answer(pypdf, pdf)).encode() + b"\n"
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()


def _give_up_resources(seconds: int) -> None:
    os.nice(10)
    _limit(resource.RLIMIT_AS, _MEMORY_BYTES)
    _limit(resource.RLIMIT_CPU, seconds, then=seconds + 1)  # the first is told from other ends
    _limit(resource.RLIMIT_NOFILE, _OPEN_FILES)
    _limit(resource.RLIMIT_NPROC, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_CORE, 0)


def _limit(kind: int, most: int, *, then: int | None = None) -> None:
    """At most this much, for good; never more than was left to us."""
    hard = resource.getrlimit(kind)[1]
    end = most if then is None else then
    end = end if hard == resource.RLIM_INFINITY else min(end, hard)
    resource.setrlimit(kind, (min(most, end), end))


def _loaded(package: str) -> Any:
    """pypdf alone: the packages beside it, which it would use if it saw them, stay out of reach."""
    spec = spec_from_file_location(
        "pypdf", os.path.join(package, "__init__.py"), submodule_search_locations=[package]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"no package in {package}")
    module = module_from_spec(spec)
    sys.modules["pypdf"] = module
    spec.loader.exec_module(module)
    module.errors.LimitReachedError.__init__ = _interrupt  # it takes some for a part without text
    logging.disable()  # it would quote the file
    module.overwrite_configuration(**_LIMITS)
    return module


def _give_up_reach(package: str) -> None:
    """From here on: no file but Python's own and pypdf's, and those only to read; nothing else."""
    readable = tuple(os.path.join(path, "") for path in (os.path.dirname(os.__file__), package))

    def refuse(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if flags & _WRITES or not os.path.normpath(str(path)).startswith(readable):
                raise PermissionError("files are out of reach")
        elif event.partition(".")[0] in _NEVER and event not in _HARMLESS:
            raise PermissionError(f"{event} is out of reach")

    sys.addaudithook(refuse)


def _questions(source: BinaryIO) -> Iterator[bytes]:
    while head := source.read(FRAME.size):
        (length,) = FRAME.unpack(head)
        yield source.read(length)


def _answer(pypdf: Any, pdf: bytes) -> dict[str, str]:
    try:
        return {"text": _text(pypdf, pdf)}
    except _Refused as refused:
        return {"problem": str(refused)}
    except (_TooMuch, MemoryError):
        return {"problem": "too_costly"}
    except Exception:  # whatever a damaged file makes of its reader
        return {"problem": "broken"}


def _text(pypdf: Any, pdf: bytes) -> str:
    with _at_most(_OPENING_SECONDS):
        pages = _pages(pypdf.PdfReader(BytesIO(pdf)))
    texts: list[str] = []
    length = 0
    for page in pages:
        with _at_most(_PAGE_SECONDS):
            text = page.extract_text()
        length += len(text.encode("utf-8", "surrogatepass"))
        if length > MAX_TEXT_BYTES:
            raise _Refused("too_much_text")
        texts.append(text.strip("\n"))
    whole = "\n\n".join(text for text in texts if text)
    if not whole.strip():
        raise _Refused("no_text")
    return whole


def _pages(reader: Any) -> Any:
    if reader.is_encrypted:
        raise _Refused("encrypted")
    if len(reader.pages) > MAX_PAGES:
        raise _Refused("too_many_pages")
    return reader.pages


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Interrupt what takes more of the processor's time than this."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _interrupt(*_: Any) -> None:
    raise _TooMuch


if __name__ == "__main__":
    signal.signal(signal.SIGPROF, _interrupt)
    main(int(sys.argv[1]), sys.argv[2])
