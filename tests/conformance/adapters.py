"""The adapters under test, and one way to call any of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import uuid4

from app.providers.contract import Answer, Call, Message, OnText, Provider
from app.providers.registry import Providers, resolve
from app.settings import Settings

Result = TypeVar("Result")
QUESTION = (Message("user", "Say something about the weather."),)


@dataclass(frozen=True)
class Adapter:
    """One provider as a user reaches it: by settings and a model's name."""

    name: str
    model: str
    wire: str = "openai"
    endpoint: Mapping[str, Any] = field(default_factory=dict)
    """More settings of a registered endpoint of this name."""

    def settings(self, url: str) -> Settings:
        """The settings that make this adapter talk to the server at `url`."""
        endpoints = {
            "bearer": {"base_url": f"{url}/v1", "api_key": "secret-bearer"},
            "basic": {"base_url": f"{url}/v1", "user": "ann", "password": "secret-basic"},
        }
        if self.endpoint:
            endpoints[self.name] = {"base_url": f"{url}/v1", **self.endpoint}
        values: dict[str, Any] = {
            "openai_api_key": "secret-openai",
            "openai_base_url": f"{url}/v1",
            "anthropic_api_key": "secret-anthropic",
            "anthropic_base_url": url,
            "ollama_base_url": url,
            "endpoints": endpoints,
        }
        return Settings(**values)

    def use(self, url: str, act: Callable[[Provider], Awaitable[Result]]) -> Result:
        """Run `act` with a fresh provider on a loop of its own; the provider is closed after."""
        settings = self.settings(url)
        route = resolve(self.model.format("echo"), settings)

        async def used() -> Result:
            providers = Providers(settings)
            try:
                return await act(providers.get(route))
            finally:
                await providers.close()

        return asyncio.run(used())

    def call_named(self, word: str, **changes: Any) -> Call:
        """A call of the model that behaves as `word` says, named after a new job."""
        model = self.model.format(word)
        values = {
            "model": model.rpartition("/")[2],
            "messages": QUESTION,
            "attempt_id": f"{uuid4()}/1",
            **changes,
        }
        return Call(**values)

    def ask(self, url: str, call: Call, *, on_text: OnText | None = None) -> Answer:
        """One call, one answer."""
        return self.use(url, lambda provider: provider.call(call, on_text=on_text))


ADAPTERS = (
    Adapter("openai", "gpt-sim-{}"),
    Adapter("anthropic", "claude-sim-{}", wire="anthropic"),
    Adapter("ollama", "ollama/llama-sim-{}"),
    Adapter("bearer", "bearer/qwen-sim-{}"),
    Adapter("basic", "basic/qwen-sim-{}"),
)


def job_of(call: Call) -> str:
    return call.attempt_id.partition("/")[0]
