"""`llm-jobs dev` from its start to Ctrl-C: plan, start, show, keep serving, stop in order."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from app.dev.console import Console
from app.dev.data_directory import locked_data_directory
from app.dev.first_run import first_run, welcome
from app.dev.plan import Plan, make_plan
from app.dev.supervisor import StartFailed, Supervisor, until
from app.errors import ConfigurationError
from app.settings import load_settings

STOPPED, START_FAILED, USAGE = 0, 1, 2

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_REDIS_WITHIN_SECONDS = 10
_ONE_WISH_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line may say. `port` None: PORT, else 8000 or any free one."""

    port: int | None = None
    data_dir: Path = Path("var")


def run(options: Options) -> int:
    """Run the service until it is told to stop. Call it from the main thread of a process.

    Returns the exit status: 0 stopped as asked, 1 the start failed, 2 a setting or option is wrong
    or the data directory is in use; the reason is on standard error.
    """
    try:
        settings = load_settings()
        with locked_data_directory(options.data_dir) as data:
            plan = make_plan(settings, data, port=options.port)
            return asyncio.run(serve(plan, Console(sys.stdout)))
    except ConfigurationError as error:
        sys.stderr.write(f"llm-jobs dev: {error}\n")
        return USAGE
    except StartFailed as error:
        sys.stderr.write(f"llm-jobs dev: the start failed: {error}\n")
        return START_FAILED


async def serve(plan: Plan, console: Console) -> int:
    """Start everything in `plan`, run a first job, then serve until a signal asks to stop.

    A second signal ends everything at once. Raises StartFailed after stopping what was started.
    """
    supervisor = Supervisor(console)
    life = asyncio.create_task(_live(plan, supervisor, console))
    with _at_signals(life.cancel, supervisor.kill):
        await asyncio.wait([life])
        await supervisor.stop()
    if life.cancelled():
        console.say("Stopped.")
        return STOPPED
    raise _cause(life.exception())


async def _live(plan: Plan, supervisor: Supervisor, console: Console) -> None:
    """The whole life; ends only by being cancelled or by a failure."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(supervisor.broken())
        await _start(plan, supervisor)
        shown = await first_run(plan, supervisor.capture)
        supervisor.steady()
        console.say(
            welcome(
                plan.addresses, flower_auth=plan.flower_auth, password=plan.password, shown=shown
            )
        )


async def _start(plan: Plan, supervisor: Supervisor) -> None:
    """Redis first, then the migrations, then the servers all at once."""
    if plan.redis and plan.redis_program:
        await supervisor.start(plan.redis_program)
        await until(
            partial(asyncio.to_thread, plan.redis.answers),
            within_seconds=_REDIS_WITHIN_SECONDS,
            failure="the private Redis does not answer",
        )
    await supervisor.run(plan.release)
    for program in plan.servers:
        await supervisor.start(program)


@contextmanager
def _at_signals(first: Callable[[], object], again: Callable[[], object]) -> Iterator[None]:
    """Until the block ends, the first signal to stop calls `first`, a later one `again`.

    One wish often comes as several signals at once, as when `make` passes on what the whole group
    of processes has got; those within a second count as one.
    """
    loop = asyncio.get_running_loop()
    first_at: float | None = None

    def act() -> None:
        nonlocal first_at
        if first_at is None:
            first_at = loop.time()
            first()
        elif loop.time() - first_at > _ONE_WISH_SECONDS:
            again()

    for sign in _STOP_SIGNALS:
        loop.add_signal_handler(sign, act)
    try:
        yield
    finally:
        for sign in _STOP_SIGNALS:
            loop.remove_signal_handler(sign)


def _cause(error: BaseException | None) -> BaseException:
    """The first failure in a task group's bundle."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error or StartFailed("ended for no reason")
