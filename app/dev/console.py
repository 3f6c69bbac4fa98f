"""What a person sees: every line of every process, each behind the name of who wrote it."""

from __future__ import annotations

import os
from typing import TextIO

_COLOURS = (36, 33, 32, 35, 34, 31)
_NAME_WIDTH = 9


class Console:
    """Writes to `stream`. Colours the names on a terminal, unless NO_COLOR is set."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._coloured = stream.isatty() and not os.environ.get("NO_COLOR")
        self._seen: list[str] = []

    def line(self, name: str, text: str) -> None:
        """One line of the process called `name`."""
        self._write(f"{self._label(name)} {text.rstrip()}\n")

    def say(self, text: str = "") -> None:
        """Something of our own, in as many lines as it has."""
        self._write(f"{text}\n")

    def _label(self, name: str) -> str:
        label = f"{name:<{_NAME_WIDTH}} |"
        if not self._coloured:
            return label
        if name not in self._seen:
            self._seen.append(name)
        colour = _COLOURS[self._seen.index(name) % len(_COLOURS)]
        return f"\x1b[{colour}m{label}\x1b[0m"

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except BrokenPipeError:
            return  # the reader has gone; the processes go on until they are told to stop
