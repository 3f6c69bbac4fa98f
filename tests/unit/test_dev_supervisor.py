"""The supervisor, with small programs standing in for the servers."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import sys
import textwrap
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from app.dev.child import Program
from app.dev.console import Console
from app.dev.supervisor import StartFailed, Supervisor, back_off
from tests.support.processes import is_alive, run_process
from tests.support.waiting import eventually

_WAITS = "print('up', flush=True); import time; time.sleep(60)"


def _program(name: str, script: str, **options: object) -> Program:
    command = (sys.executable, "-u", "-c", textwrap.dedent(script))
    return Program(name=name, command=command, env=dict(os.environ), **options)  # type: ignore[arg-type]


class _Output(io.StringIO):
    """What was written, and a way to wait for it."""

    async def shows(self, text: str, *, times: int = 1) -> None:
        await asyncio.to_thread(
            eventually,
            lambda: self.getvalue().count(text) >= times,
            timeout=20,
            message=self.getvalue,
        )


def _supervise(
    story: Callable[[Supervisor, _Output], Awaitable[None]], *, delay: float = 0.01
) -> str:
    """Run a story with a supervisor, stop it, and return everything it has shown."""
    output = _Output()

    async def run() -> None:
        supervisor = Supervisor(Console(output), delay=lambda failures: delay)
        try:
            await story(supervisor, output)
        finally:
            await supervisor.stop()

    asyncio.run(run())
    return output.getvalue()


def test_each_line_stands_behind_its_programs_name() -> None:
    async def story(supervisor: Supervisor, output: _Output) -> None:
        await supervisor.run(_program("release", "print('one'); print('two', end='')"))

    assert _supervise(story) == "release   | one\nrelease   | two\n"


def test_standard_error_and_any_bytes_are_shown() -> None:
    script = "import os; os.write(2, b'caf\\xc3\\xa9 \\xff\\r\\n' + b'x' * 200_000)"

    async def story(supervisor: Supervisor, output: _Output) -> None:
        await supervisor.run(_program("web", script))

    first, second = _supervise(story).splitlines()
    assert first == "web       | café \ufffd"
    assert second == "web       | " + "x" * 200_000


def test_a_program_reads_what_it_is_given_and_its_files_are_private(tmp_path: Path) -> None:
    script = f"import sys; open({str(tmp_path / 'made')!r}, 'w').write(sys.stdin.read())"

    async def story(supervisor: Supervisor, output: _Output) -> None:
        await supervisor.run(_program("redis", script, stdin=b"port 1\n"))

    _supervise(story)
    assert (tmp_path / "made").read_text() == "port 1\n"
    assert (tmp_path / "made").stat().st_mode & 0o077 == 0


def test_a_failing_step_ends_the_start() -> None:
    async def story(supervisor: Supervisor, output: _Output) -> None:
        await supervisor.run(_program("release", "raise SystemExit(3)"))

    with pytest.raises(StartFailed, match="release ended with status 3"):
        _supervise(story)


def test_a_missing_command_ends_the_start_and_is_named() -> None:
    async def story(supervisor: Supervisor, output: _Output) -> None:
        program = Program(name="release", command=("no-such-command",), env=dict(os.environ))
        with pytest.raises(StartFailed, match="status 127"):
            await supervisor.run(program)

    assert "no-such-command: No such file" in _supervise(story)


def test_captured_output_is_returned_not_shown() -> None:
    script = "import sys; print('secret'); print('a warning', file=sys.stderr)"

    async def story(supervisor: Supervisor, output: _Output) -> None:
        assert await supervisor.capture(_program("keys", script)) == "secret"

    assert _supervise(story) == ""


def test_a_failed_capture_says_what_was_wrong() -> None:
    async def story(supervisor: Supervisor, output: _Output) -> None:
        await supervisor.capture(_program("keys", "raise SystemExit('no database')"))

    with pytest.raises(StartFailed, match="keys ended with status 1: no database"):
        _supervise(story)


def test_programs_stop_in_the_reverse_order_of_their_start() -> None:
    names = ["redis", "simulator", "flower", "worker", "web"]

    async def story(supervisor: Supervisor, output: _Output) -> None:
        for name in names:
            await supervisor.start(_program(name, _WAITS))
        await output.shows("| up", times=len(names))

    shown = _supervise(story)
    stopped = [line.split()[0] for line in shown.splitlines() if line.endswith("stopping")]
    assert stopped == names[::-1]


def test_the_next_program_is_stopped_only_when_the_one_before_has_ended() -> None:
    last_words = """
        import signal, sys, time
        def leave(*_):
            print('leaving')
            sys.exit()
        signal.signal(signal.SIGTERM, leave)
        print('up')
        time.sleep(60)
    """

    async def story(supervisor: Supervisor, output: _Output) -> None:
        for name in ("worker", "web"):
            await supervisor.start(_program(name, last_words))
        await output.shows("| up", times=2)

    shown = [line.split() for line in _supervise(story).splitlines() if "| up" not in line]
    assert [(line[0], line[2]) for line in shown] == [
        ("web", "stopping"),
        ("web", "leaving"),
        ("worker", "stopping"),
        ("worker", "leaving"),
    ]


def test_a_program_that_does_not_stop_is_killed_after_its_grace() -> None:
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + _WAITS

    async def story(supervisor: Supervisor, output: _Output) -> None:
        await supervisor.start(_program("worker", deaf, grace_seconds=0.1))
        await output.shows("| up")

    _supervise(story)  # returns: nothing is waited for in vain


def test_what_a_program_has_started_ends_with_it() -> None:
    script = f"""
        import subprocess, sys
        print(subprocess.Popen([sys.executable, '-u', '-c', {_WAITS!r}]).pid)
        sys.stdin.read()
        import time; time.sleep(60)
    """

    async def story(supervisor: Supervisor, output: _Output) -> None:
        await supervisor.start(_program("web", script))
        await output.shows("| up")

    shown = _supervise(story)
    pid = next(int(line.split()[-1]) for line in shown.splitlines() if line.split()[-1].isdigit())
    eventually(lambda: not is_alive(pid), message=f"process {pid} is alive")


def test_an_ended_program_is_started_again() -> None:
    async def story(supervisor: Supervisor, output: _Output) -> None:
        supervisor.steady()
        await supervisor.start(_program("worker", "print('up'); raise SystemExit(7)"))
        await output.shows("| up", times=5)

    assert "worker    | ended with status 7; starting again in 0.01 s" in _supervise(story)


def test_a_program_that_keeps_failing_breaks_the_start() -> None:
    async def story(supervisor: Supervisor, output: _Output) -> None:
        await supervisor.start(_program("web", "import os; os.kill(os.getpid(), 9)"))
        async with asyncio.timeout(20):
            await supervisor.broken()

    with pytest.raises(StartFailed, match="web was ended by SIGKILL"):
        _supervise(story)


def test_delays_grow_to_a_limit() -> None:
    assert [back_off(n) for n in (1, 2, 3, 7, 8, 1000)] == [0.5, 1, 2, 30, 30, 30]


def test_children_die_with_a_killed_supervisor(tmp_path: Path) -> None:
    script = f"""
        import asyncio, os, sys
        from app.dev.child import Program
        from app.dev.console import Console
        from app.dev.supervisor import Supervisor
        async def main():
            script = "import os; print('pid', os.getpid());" {_WAITS!r}
            command = (sys.executable, "-u", "-c", script)
            await Supervisor(Console(sys.stdout)).start(
                Program(name="web", command=command, env=dict(os.environ))
            )
            await asyncio.sleep(60)
        asyncio.run(main())
    """
    with run_process([sys.executable, "-c", textwrap.dedent(script)]) as supervisor:
        pid = int(supervisor.wait_for(r"\| pid (\d+)")[1])
        assert os.getsid(pid) == pid
        supervisor.signal(signal.SIGKILL)
        supervisor.wait()
        eventually(lambda: not is_alive(pid), message=f"process {pid} is alive")


def test_names_are_coloured_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = Terminal()
    Console(stream).line("web", "hello")
    assert stream.getvalue() == "\x1b[36mweb       |\x1b[0m hello\n"
    monkeypatch.setenv("NO_COLOR", "1")
    plain = Terminal()
    Console(plain).line("web", "hello")
    assert plain.getvalue() == "web       | hello\n"
