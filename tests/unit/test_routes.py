"""Finding a model's provider holds up nobody, and asks once for all who wait."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from app import routes
from app.errors import UnsupportedModel
from app.providers.registry import Route
from app.routes import Routes
from app.settings import Settings


class Registry:
    """Stands for `resolve` and the adapters behind it; both block."""

    def __init__(self) -> None:
        self.resolved: list[str] = []
        self.threads: set[str] = set()
        self.blocks_seconds = 0.0

    def resolve(self, model: str, settings: Settings) -> Route:
        self.resolved.append(model)
        self.threads.add(threading.current_thread().name)
        time.sleep(self.blocks_seconds)
        if model == "unknown":
            raise UnsupportedModel(model)
        return Route("fake", model, f"fake:{model}:0")

    def get(self, route: Route) -> Any:
        time.sleep(self.blocks_seconds)
        return f"adapter of {route.model}"

    async def close(self) -> None:
        pass


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    found = Registry()
    monkeypatch.setattr(routes, "resolve", found.resolve)
    monkeypatch.setattr(routes, "Providers", lambda settings: found)
    return found


async def longest_standstill(seconds: float) -> float:
    """For how long the loop stood still, at the most, within that time."""
    longest, end = 0.0, time.monotonic() + seconds
    while time.monotonic() < end:
        before = time.monotonic()
        await asyncio.sleep(0.005)
        longest = max(longest, time.monotonic() - before)
    return longest


def test_the_loop_goes_on_while_a_provider_is_found(registry: Registry) -> None:
    registry.blocks_seconds = 0.4

    async def find() -> float:
        finding = asyncio.create_task(Routes(Settings()).find("slow"))
        standstill = await longest_standstill(0.9)
        await finding
        return standstill

    assert asyncio.run(find()) < 0.3
    assert threading.main_thread().name not in registry.threads


def test_those_who_wait_for_one_model_ask_once(registry: Registry) -> None:
    registry.blocks_seconds = 0.05

    async def find() -> list[Any]:
        shared = Routes(Settings())
        return await asyncio.gather(*(shared.find("m") for _ in range(100)))

    found = asyncio.run(find())
    assert registry.resolved == ["m"]
    assert {adapter for _, adapter in found} == {"adapter of m"}


def test_an_answer_is_remembered_for_a_while(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def find() -> None:
        shared = Routes(Settings())
        for _ in range(3):
            await shared.find("m")

    asyncio.run(find())
    assert registry.resolved == ["m"]
    monkeypatch.setattr(routes, "FRESH_SECONDS", -1)
    asyncio.run(find())
    assert registry.resolved == ["m"] * 4


def test_a_model_nobody_serves_is_asked_for_each_time(registry: Registry) -> None:
    """It may be served a moment later."""

    async def find() -> None:
        shared = Routes(Settings())
        for _ in range(2):
            with pytest.raises(UnsupportedModel):
                await shared.find("unknown")

    asyncio.run(find())
    assert registry.resolved == ["unknown"] * 2


def test_names_do_not_gather_for_ever(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "MOST_KEPT", 10)

    async def find() -> int:
        shared = Routes(Settings())
        for number in range(50):
            await shared.find(f"m{number}")
        return len(shared._found)

    assert asyncio.run(find()) <= 10


def test_a_cancelled_caller_leaves_the_others_their_turn(registry: Registry) -> None:
    registry.blocks_seconds = 0.1

    async def find() -> Any:
        shared = Routes(Settings())
        first = asyncio.create_task(shared.find("m"))
        await asyncio.sleep(0.02)
        first.cancel()
        return await asyncio.wait_for(shared.find("m"), 5)

    assert asyncio.run(find())[1] == "adapter of m"
