"""Running a program beside a test: its output is kept, and it never outlives the test.

Each runs in a session of its own, tethered to this process (`app/dev/tether.py`), so that neither
Ctrl-C nor a killed test run leaves anything behind.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from app.dev.tether import tethered
from tests.support.waiting import eventually


class RunningProcess:
    """A started program. `output` is all it has written so far, both streams together."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self.popen = popen
        self._written: list[bytes] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def output(self) -> str:
        return b"".join(self._written).decode(errors="replace")

    @property
    def running(self) -> bool:
        return self.popen.poll() is None

    def wait_for(self, pattern: str, *, timeout: float = 30) -> re.Match[str]:
        """Wait until the output matches the regular expression; fails early when it has ended."""

        def seen() -> re.Match[str] | None:
            ended = not self.running
            if ended:
                self._reader.join(1)
            found = re.search(pattern, self.output)
            if ended and not found:
                raise AssertionError(
                    f"ended with {self.popen.returncode} before {pattern!r}:\n{self.output}"
                )
            return found

        found = eventually(
            seen, timeout=timeout, message=lambda: f"{pattern!r} not in:\n{self.output}"
        )
        assert found
        return found

    def wait(self, *, timeout: float = 30) -> int:
        """Wait until it has ended; returns its exit status (negative: ended by that signal)."""
        try:
            status = self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout:g} s:\n{self.output}") from None
        self._reader.join(1)
        return status

    def signal(self, sign: signal.Signals) -> None:
        """Signal the program itself, not its children."""
        self.popen.send_signal(sign)

    def end(self, *, grace: float) -> None:
        """SIGTERM, then after `grace` seconds SIGKILL to it and everything it has started."""
        if self.running:
            self.popen.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.popen.wait(grace)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait(10)
        self._reader.join(10)
        if self.popen.stdout:
            self.popen.stdout.close()

    def _read(self) -> None:
        assert self.popen.stdout
        while chunk := os.read(self.popen.stdout.fileno(), 65536):
            self._written.append(chunk)


@contextmanager
def run_process(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: bytes = b"",
    ready: str | Callable[[], object] | None = None,
    timeout: float = 30,
    grace: float = 10,
    tether: bool = True,
) -> Iterator[RunningProcess]:
    """Run `command` until the block ends.

    `env` is added to this process's environment. `ready` is a regular expression its output must
    match, or a question that must become true, before the block starts (within `timeout`
    seconds). `tether=False` is for a command that ties itself (one that changes its user).
    """
    popen = subprocess.Popen(
        tethered(command) if tether else list(command),
        env={**os.environ, **(env or {})},
        cwd=cwd,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    process = RunningProcess(popen)
    try:
        _feed(popen, stdin)
        _wait_until_ready(process, ready, timeout=timeout)
        yield process
    finally:
        process.end(grace=grace)


def is_alive(pid: int) -> bool:
    """Whether process `pid` runs: not ended, nor ended and waiting for its parent to notice."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def children_of(pid: int) -> list[int]:
    """The processes that process `pid` has started and that are alive."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = stat.read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        if int(parent) == pid and is_alive(int(stat.parent.name)):
            found.append(int(stat.parent.name))
    return found


def _feed(popen: subprocess.Popen[bytes], data: bytes) -> None:
    assert popen.stdin
    with suppress(BrokenPipeError):
        popen.stdin.write(data)
        popen.stdin.flush()
    with suppress(BrokenPipeError):
        popen.stdin.close()


def _wait_until_ready(
    process: RunningProcess, ready: str | Callable[[], object] | None, *, timeout: float
) -> None:
    if isinstance(ready, str):
        process.wait_for(ready, timeout=timeout)
    elif ready is not None:

        def answered() -> bool:
            if not process.running:
                raise AssertionError(
                    f"ended with {process.popen.returncode} before it was ready:\n{process.output}"
                )
            return bool(ready())

        eventually(answered, timeout=timeout, message=lambda: f"not ready:\n{process.output}")
