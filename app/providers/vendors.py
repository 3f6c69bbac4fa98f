"""The built-in vendors, entering by the door a plugin uses. Adapters are imported when built."""

from __future__ import annotations

import re

from pydantic import SecretStr

from app.plugins import Registry
from app.providers import ollama_names
from app.providers.contract import Provider
from app.providers.registry import SIMULATOR, Vendor
from app.settings import Endpoint, Settings

_OPENAI = re.compile(r"(gpt-|chatgpt-|o\d)")

_OPENAI_MODELS = (
    "gpt-6-astra", "gpt-6.1-sol", "gpt-6-luna", "gpt-5.4", "gpt-5.4-mini", "gpt-5", "gpt-5-mini",
    "gpt-4.1", "gpt-4o", "gpt-4o-mini", "gpt-4", "o3", "o4-mini",
)  # fmt: skip
_ANTHROPIC_MODELS = (
    "claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5", "claude-opus-5", "claude-sonnet-5",
    "claude-opus-4-8", "claude-sonnet-4-6", "claude-haiku-4-5",
)  # fmt: skip
"""Suggestions, as of November 2026: any other name of these vendors works as well."""


def register(registry: Registry) -> None:
    """Add OpenAI, Anthropic, Ollama and the simulator."""
    for vendor in (_openai(), _anthropic(), _ollama(), _simulator()):
        registry.providers.add(vendor.name, vendor)


def build_endpoint(name: str, endpoint: Endpoint, *, trusted: bool) -> Provider:
    """The adapter of a registered endpoint. Only a `trusted` one, set by the operator, may be
    called without TLS or at an internal address.
    """
    from app.errors import ConfigurationError
    from app.providers.openai import STANDARD_PARAMETERS, Capabilities, OpenAIProvider

    if not trusted and endpoint.base_url.scheme != "https":
        raise ConfigurationError(f"endpoint {name!r}: its base URL must be https")
    password = _shown(endpoint.password)
    return OpenAIProvider(
        name,
        base_url=str(endpoint.base_url),
        api_key=_shown(endpoint.api_key) or "",
        basic=(endpoint.user, password or "") if endpoint.user else None,
        capabilities=Capabilities(
            max_tokens=endpoint.max_tokens,
            stream_usage=endpoint.stream_usage,
            json_schema=endpoint.json_schema,
            parameters=None if endpoint.any_option else STANDARD_PARAMETERS,
        ),
        extra=endpoint.options,
        internal=trusted,
    )


def _openai() -> Vendor:
    def build(settings: Settings) -> Provider:
        from app.providers.openai import OpenAIProvider

        url = settings.openai_base_url
        key = _shown(settings.openai_api_key) or ""
        return OpenAIProvider("openai", base_url=str(url) if url else None, api_key=key)

    return Vendor(
        name="openai",
        claims=lambda model: _OPENAI.match(model) is not None,
        secret=lambda settings: _shown(settings.openai_api_key),
        build=build,
        hint="set OPENAI_API_KEY",
        models=lambda settings: _OPENAI_MODELS,
    )


def _anthropic() -> Vendor:
    def build(settings: Settings) -> Provider:
        from app.providers.anthropic import AnthropicProvider

        url = settings.anthropic_base_url
        key = _shown(settings.anthropic_api_key) or ""
        return AnthropicProvider(base_url=str(url) if url else None, api_key=key)

    return Vendor(
        name="anthropic",
        claims=lambda model: model.startswith("claude-"),
        secret=lambda settings: _shown(settings.anthropic_api_key),
        build=build,
        hint="set ANTHROPIC_API_KEY",
        models=lambda settings: _ANTHROPIC_MODELS,
    )


def _ollama() -> Vendor:
    def build(settings: Settings) -> Provider:
        from app.providers.ollama import OllamaProvider

        return OllamaProvider(base_url=str(settings.ollama_base_url))

    return Vendor(
        name="ollama",
        claims=lambda model: model.startswith("llama-"),
        lists=ollama_names.has,
        secret=lambda settings: "",
        build=build,
        hint="start Ollama and pull the model",
        models=lambda settings: tuple(f"ollama/{name}" for name in ollama_names.read(settings)),
    )


def _simulator() -> Vendor:
    def build(settings: Settings) -> Provider:
        from app.providers.openai import Capabilities, OpenAIProvider

        url = f"{str(settings.simulator_url).rstrip('/')}/v1"
        everything = Capabilities(max_tokens="max_completion_tokens", parameters=None)
        return OpenAIProvider(SIMULATOR, base_url=url, capabilities=everything)

    return Vendor(
        name=SIMULATOR,
        claims=lambda model: False,
        secret=lambda settings: "" if settings.simulator_url else None,
        build=build,
        hint="set LLM_JOBS_SIMULATOR_URL",
        models=lambda settings: ("simulator/echo",) if settings.simulator_url else (),
    )


def _shown(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None
