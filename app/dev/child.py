"""One running process of a program: its session, its output, its orderly end.

Each child leads a session of its own, so Ctrl-C in the terminal reaches only the supervisor, which
then stops the children in order. Each is tethered (see `tether`): it does not outlive us.
"""

from __future__ import annotations

import asyncio
import codecs
import os
import signal
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from app.dev.tether import tethered

_PRIVATE_UMASK = 0o077
_LONGEST_LINE = 1_000_000
_OUTPUT_AFTER_END_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Program:
    """What to run. `env` is its whole environment; `stdin` is written once and closed.

    `grace_seconds` is how long it may take to end after SIGTERM before it is killed.
    """

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    stdin: bytes = field(default=b"", repr=False)
    grace_seconds: float = 10

    @classmethod
    def of_shell(
        cls, name: str, line: str, *, env: Mapping[str, str], grace_seconds: float = 10
    ) -> Program:
        """A program written as a shell command, as in a Procfile; the shell becomes it."""
        command = ("/bin/sh", "-c", f"exec {line}")
        return cls(name=name, command=command, env=env, grace_seconds=grace_seconds)


class Child:
    """A started program. Start it with `start`, from the main thread (see `tether`)."""

    def __init__(self, program: Program, process: Process, reading: asyncio.Task[None]) -> None:
        self.program = program
        self._process = process
        self._reading = reading

    @classmethod
    async def start(cls, program: Program, on_line: Callable[[str], None]) -> Child:
        """Start it; `on_line` is called with each line it writes, on either stream."""
        # A pipe of our own: asyncio's would keep `wait` waiting for whoever has inherited it.
        reading, writing = os.pipe()
        try:
            process = await _spawn(program, stdout=writing, stderr=STDOUT)
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        child = cls(program, process, asyncio.create_task(_read_lines(reading, on_line)))
        await _feed(process, program.stdin)
        return child

    async def wait(self) -> int:
        """Wait until it has ended and its output is read; returns its status."""
        status = await self._process.wait()
        # Something it started may still hold its output open: then do not wait for the rest.
        await asyncio.wait([self._reading], timeout=_OUTPUT_AFTER_END_SECONDS)
        self._reading.cancel()
        return status

    async def stop(self) -> int:
        """SIGTERM, and after the program's grace SIGKILL, also to what it has left behind."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.terminate()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), self.program.grace_seconds)
        self.kill()
        return await self.wait()

    def kill(self) -> None:
        """End it and everything in its session at once."""
        _kill_session(self._process)


async def output_of(program: Program) -> tuple[int, str, str]:
    """Run a program to its end: its status, and what it wrote on either stream, stripped."""
    process = await _spawn(program, stdout=PIPE, stderr=PIPE)
    try:
        written = await process.communicate(program.stdin)
    finally:
        _kill_session(process)
    output, errors = (text.decode(errors="replace").strip() for text in written)
    return await process.wait(), output, errors


async def _spawn(program: Program, *, stdout: int, stderr: int) -> Process:
    return await asyncio.create_subprocess_exec(
        *tethered(program.command),
        env=program.env,
        stdin=PIPE,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
        umask=_PRIVATE_UMASK,
    )


async def _feed(process: Process, data: bytes) -> None:
    if process.stdin:
        with suppress(ConnectionError):
            process.stdin.write(data)
            await process.stdin.drain()
        process.stdin.close()


async def _read_lines(pipe: int, on_line: Callable[[str], None]) -> None:
    loop, stream = asyncio.get_running_loop(), asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(pipe, "rb")
    )
    decode = codecs.getincrementaldecoder("utf-8")(errors="replace").decode
    rest = ""
    try:
        while chunk := await stream.read(65_536):
            *lines, rest = (rest + decode(chunk)).split("\n")
            if len(rest) > _LONGEST_LINE:
                lines, rest = [*lines, rest], ""
            for line in lines:
                on_line(line)
        if rest:
            on_line(rest)
    finally:
        transport.close()


def _kill_session(process: Process) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
