"""Keeps a list of programs running, and stops them in the reverse order of their start.

A program that ends by itself is started again, later each time it fails quickly. Until `steady()`
has been called a program that keeps failing is taken for broken, and the start is given up.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable

from app.dev.child import Child, Program, output_of
from app.dev.console import Console

_FIRST_DELAY_SECONDS = 0.5
_LONGEST_DELAY_SECONDS = 30.0
_STABLE_AFTER_SECONDS = 60.0
_FAILURES_BEFORE_STEADY = 3
_POLL_SECONDS = 0.1


class StartFailed(Exception):
    """A program cannot be started, or a step of the start did not work; says which and how."""


def back_off(failures: int) -> float:
    """Seconds to wait before starting again what has failed so many times in a row (from 1)."""
    return min(_FIRST_DELAY_SECONDS * 2.0 ** (failures - 1), _LONGEST_DELAY_SECONDS)


class Supervisor:
    """Runs programs within the running event loop, in the main thread.

    `delay` says how many seconds to wait before the next start, after so many failures in a row.
    """

    def __init__(self, console: Console, *, delay: Callable[[int], float] = back_off) -> None:
        self._console = console
        self._delay = delay
        self._children: dict[str, Child] = {}
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._stopping = False
        self._steady = False
        self._broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self, program: Program) -> None:
        """Run a program that ends by itself. Raises StartFailed when it fails."""
        child = await self._start(program)
        try:
            status = await child.wait()
        finally:
            self._children.pop(program.name, None)
            child.kill()
        if status:
            raise StartFailed(f"{program.name} {_ended(status)}")

    async def capture(self, program: Program) -> str:
        """Run a program that ends by itself and return its standard output, which is not shown.

        Raises StartFailed, with what it said, when it fails.
        """
        status, output, errors = await output_of(program)
        if status:
            raise StartFailed(f"{program.name} {_ended(status)}: {errors or output}")
        return output

    async def start(self, program: Program) -> None:
        """Start a program and keep it running until `stop()`."""
        child = await self._start(program)
        self._keepers[program.name] = asyncio.create_task(self._keep(child))

    def steady(self) -> None:
        """The start is over: from now on every program is started again, however often it ends."""
        self._steady = True

    async def broken(self) -> None:
        """Waits for ever, unless a program fails again and again during the start: StartFailed."""
        await asyncio.shield(self._broken)

    async def stop(self) -> None:
        """Stop all, the last started first, each with its grace."""
        self._stopping = True
        for name in reversed(self._keepers):
            if child := self._children.get(name):
                self._console.line(name, "stopping")
                await child.stop()
            self._keepers[name].cancel()
        for child in list(self._children.values()):
            await child.stop()
        await asyncio.gather(*self._keepers.values(), return_exceptions=True)
        self._broken.cancel()

    def kill(self) -> None:
        """End everything at once: the second Ctrl-C."""
        self._stopping = True
        for child in list(self._children.values()):
            child.kill()

    async def _start(self, program: Program) -> Child:
        child = await Child.start(program, lambda text: self._console.line(program.name, text))
        self._children[program.name] = child
        return child

    async def _keep(self, child: Child) -> None:
        program, clock = child.program, asyncio.get_running_loop().time
        failures = 0
        while True:
            started = clock()
            status = await child.wait()
            child.kill()  # what it has left behind in its session
            if self._stopping:
                return
            failures = 1 if clock() - started > _STABLE_AFTER_SECONDS else failures + 1
            if self._gives_up(program, status, failures):
                return
            delay = self._delay(failures)
            self._console.line(program.name, f"{_ended(status)}; starting again in {delay:g} s")
            await asyncio.sleep(delay)
            child = await self._start(program)

    def _gives_up(self, program: Program, status: int, failures: int) -> bool:
        if self._steady or failures < _FAILURES_BEFORE_STEADY:
            return False
        if not self._broken.done():
            self._broken.set_exception(StartFailed(f"{program.name} {_ended(status)}"))
        return True


async def until(
    check: Callable[[], Awaitable[bool]], *, within_seconds: float, failure: str
) -> None:
    """Ask until `check` is true; raises StartFailed(`failure`) after so many seconds."""
    try:
        async with asyncio.timeout(within_seconds):
            # It is about another process: there is no event to wait for.
            while not await check():  # noqa: ASYNC110
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        raise StartFailed(failure) from None


def _ended(status: int) -> str:
    if status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    return f"ended with status {status}"
