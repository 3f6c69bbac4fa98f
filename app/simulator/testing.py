"""The simulator inside a test: its own thread and loop, a free port, real sockets.

    with running_simulator() as sim:
        sim.set_behaviour("503", calls=2)
        ...
        sim.wait_for(lambda seen: len(seen.calls("job-1")) == 3, timeout=5)

Every method may be called from any thread; from a coroutine, `wait_for` belongs into
`asyncio.to_thread`, because it blocks.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

from app.simulator.server import Simulator, serving
from app.simulator.witness import Counts, Record, Witness

_Result = TypeVar("_Result")

_START_SECONDS = 20.0


class RunningSimulator:
    """A simulator that listens. `url` is its root; `openai_url` ends in `/v1`."""

    def __init__(self, simulator: Simulator, loop: asyncio.AbstractEventLoop) -> None:
        self._simulator = simulator
        self._loop = loop
        self.url = simulator.url
        self.openai_url = f"{simulator.url}/v1"
        self.anthropic_url = simulator.url

    def requests(self, job_id: str | None = None) -> list[Record]:
        """Copies of the records kept, oldest first; of one job only if it is named."""
        return self._ask(lambda seen: [copy.copy(one) for one in seen.requests(job_id)])

    def calls(self, job_id: str | None = None) -> list[Record]:
        """Those of them that are calls of a model."""
        return [record for record in self.requests(job_id) if record.is_call]

    def counts(self) -> Counts:
        """Sums since the last reset."""
        return self._ask(lambda seen: seen.counts())

    def reset(self) -> None:
        """Forget all requests and the standing order."""
        self.clear_behaviour()
        self._ask(lambda seen: seen.reset())

    def set_behaviour(
        self, told: str, *, seconds: float | None = None, calls: int | None = None
    ) -> None:
        """Give every call this behaviour, for so long or so many. Raises UnknownBehaviour."""
        self._ask(lambda _: self._simulator.order.give(told, seconds=seconds, calls=calls))

    def clear_behaviour(self) -> None:
        """Back to what names and headers say."""
        self._ask(lambda _: self._simulator.order.clear())

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Until the block ends every call of a model is taken in, and none is answered."""
        self._ask(lambda _: self._simulator.gate.clear())
        try:
            yield
        finally:
            self._ask(lambda _: self._simulator.gate.set())

    def wait_for(self, predicate: Callable[[Witness], object], timeout: float = 10.0) -> None:
        """Block until `predicate(witness)` is true; it is asked at each beginning and end.

        Raises TimeoutError after `timeout` seconds, and what the predicate raises.
        """
        asyncio.run_coroutine_threadsafe(self._until(predicate, timeout), self._loop).result()

    async def _until(self, predicate: Callable[[Witness], object], limit: float) -> None:
        changed = asyncio.Event()
        witness = self._simulator.witness
        witness.watch(changed.set)
        try:
            async with asyncio.timeout(limit):
                while not predicate(witness):
                    await changed.wait()
                    changed.clear()
        finally:
            witness.unwatch(changed.set)

    def _ask(self, question: Callable[[Witness], _Result]) -> _Result:
        async def on_loop() -> _Result:
            return question(self._simulator.witness)

        return asyncio.run_coroutine_threadsafe(on_loop(), self._loop).result()


@contextlib.contextmanager
def running_simulator(host: str = "127.0.0.1", port: int = 0) -> Iterator[RunningSimulator]:
    """Start a simulator in a thread of its own and stop it again."""
    thread = _Thread(host, port)
    thread.start()
    try:
        yield thread.ready()
    finally:
        thread.stop()


class _Thread(threading.Thread):
    def __init__(self, host: str, port: int) -> None:
        super().__init__(name="simulator", daemon=True)
        self._address = host, port
        self._up = threading.Event()
        self._running: RunningSimulator | None = None
        self._failure: BaseException | None = None
        self._stop_asked: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._failure = error
        finally:
            self._up.set()

    async def _serve(self) -> None:
        self._stop_asked = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        async with serving(*self._address) as simulator:
            self._running = RunningSimulator(simulator, self._loop)
            self._up.set()
            await self._stop_asked.wait()

    def ready(self) -> RunningSimulator:
        """The simulator once it listens. Raises why it does not."""
        if not self._up.wait(_START_SECONDS):
            raise TimeoutError("the simulator did not start")
        if self._failure is not None:
            raise self._failure
        if self._running is None:
            raise RuntimeError("the simulator ended at once")
        return self._running

    def stop(self) -> None:
        """End it and wait for its end."""
        if self._loop is not None and self._stop_asked is not None and self.is_alive():
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._stop_asked.set)
        self.join(_START_SECONDS)
