"""A real Redis for tests: the same program, found the same way, as `llm-jobs dev` uses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from app.dev.ports import free_port
from app.dev.redis import EmbeddedRedis, find_redis_server
from app.errors import ConfigurationError
from tests.support.processes import RunningProcess, run_process
from tests.support.requirements import missing

_PORTS_TO_TRY = 5


@contextmanager
def running_redis(
    directory: Path, *, port: int | None = None
) -> Iterator[tuple[EmbeddedRedis, RunningProcess]]:
    """A server of its own, working in `directory`: for tests that stop, fill or kill it.

    Without `port` a free one is chosen, and another if somebody else was quicker.
    """
    with ExitStack() as stack:
        yield _start(stack, directory, port=port)


def _start(
    stack: ExitStack, directory: Path, *, port: int | None
) -> tuple[EmbeddedRedis, RunningProcess]:
    program = _program()
    for remaining in reversed(range(1 if port else _PORTS_TO_TRY)):
        server = EmbeddedRedis(program=program, port=port or free_port())
        process = run_process(
            server.command,
            cwd=directory,
            stdin=server.configuration,
            ready=server.answers,
            timeout=10,
        )
        try:
            return server, stack.enter_context(process)
        except AssertionError:
            if not remaining:
                raise
    raise AssertionError("unreachable")


def _program() -> Path:
    try:
        return find_redis_server()
    except ConfigurationError:
        missing("Redis", install="apt-get install redis-server")
