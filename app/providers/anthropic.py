"""Anthropic's messages.

Importing this module imports the Anthropic SDK: only a process that calls a model does. The SDK
speaks API version 2026-10-21, which refuses the sampling parameters: they are left out with a
warning, unless the call names an older version in its option `anthropic_version`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import anthropic
from anthropic.resources.messages import DEPRECATED_MODELS

from app.providers import schemas
from app.providers.contract import TOKEN_LIMITS, Answer, Call, OnText
from app.providers.draft import Response
from app.providers.exchange import exchange, listed_models, read, read_object
from app.providers.http import new_client
from app.providers.message_reply import MessageDraft

STREAM_ABOVE_TOKENS = 16_000
"""Beyond this limit an answer is streamed even if nobody listens: Anthropic refuses long calls
that are not, and idle connections get cut on the way."""

_PARAMETERS = frozenset(
    {
        "cache_control",
        "inference_geo",
        "metadata",
        "output_config",
        "service_tier",
        "speed",
        "stop_sequences",
        "thinking",
        "tool_choice",
        "tools",
    }
)
_SAMPLING = frozenset({"temperature", "top_p", "top_k"})
_SAMPLING_REFUSED_FROM = "2026-10-21"


@dataclass(frozen=True, slots=True)
class _Model:
    """What models whose names begin with `prefix` can do."""

    prefix: str
    max_tokens: int = 8192
    structured: bool = True


_MODELS = (
    _Model("claude-2", max_tokens=4096, structured=False),
    _Model("claude-3-5", structured=False),
    _Model("claude-3-7", structured=False),
    _Model("claude-3", max_tokens=4096, structured=False),
    _Model("claude-opus-4-0", structured=False),
    _Model("claude-opus-4-2025", structured=False),
    _Model("claude-sonnet-4-0", structured=False),
    _Model("claude-sonnet-4-2025", structured=False),
    _Model(""),
)
"""The first that fits. `max_tokens` is sent when a call names none: the vendor insists on one."""


class AnthropicProvider:
    """Anthropic, or a gateway that speaks its format, with one key."""

    name = "anthropic"

    def __init__(self, *, base_url: str | None = None, api_key: str) -> None:
        self._secret = api_key
        self._sdk = anthropic.AsyncAnthropic(
            api_key=api_key,
            base_url=base_url or "https://api.anthropic.com",
            max_retries=0,
            open_telemetry=False,
            http_client=new_client(self.name, internal=True),
        )

    @property
    def base_url(self) -> str:
        """Where it calls."""
        return str(self._sdk.base_url)

    async def call(self, call: Call, *, on_text: OnText | None = None) -> Answer:
        """See `contract.Provider.call`."""
        started = perf_counter()
        body, warnings = _body(call)
        async with exchange(
            self._request(call, body), provider=self.name, secret=self._secret
        ) as response:
            draft = MessageDraft(self.name, response)
            await read(response, draft, on_text)
            return draft.answer(call, started, warnings)

    async def models(self) -> list[str]:
        """See `contract.Provider.models`."""
        request = self._sdk.models.with_streaming_response.list(limit=1000)
        async with exchange(request, provider=self.name, secret=self._secret) as response:
            return listed_models(await read_object(response))

    async def close(self) -> None:
        """See `contract.Provider.close`."""
        await self._sdk.close()

    def _request(
        self, call: Call, body: Mapping[str, Any]
    ) -> AbstractAsyncContextManager[Response]:
        headers = {"x-llm-jobs-attempt": call.attempt_id} if call.attempt_id else {}
        if version := call.options.get("anthropic_version"):
            headers["anthropic-version"] = str(version)
        return self._sdk.messages.with_streaming_response.create(
            model=call.model,
            max_tokens=body["max_tokens"],
            messages=body["messages"],
            stream=body["stream"],
            extra_body=body,
            extra_headers=headers,
        )


def _body(call: Call) -> tuple[dict[str, Any], list[str]]:
    """The request, and a warning for each option that is not sent."""
    model = next(model for model in _MODELS if call.model.startswith(model.prefix))
    options, left_out = _options(call.options)
    max_tokens = options.pop("max_tokens", model.max_tokens)
    system = [message.content for message in call.messages if message.role == "system"]
    body: dict[str, Any] = {
        **options,
        "max_tokens": max_tokens,
        "messages": _turns(call),
        "stream": call.stream or (isinstance(max_tokens, int) and max_tokens > STREAM_ABOVE_TOKENS),
    }
    if call.response_schema is not None:
        if form := _form(call.response_schema) if model.structured else None:
            body["output_config"] = {**options.get("output_config", {}), "format": form}
        else:
            system.append(schemas.instruction(call.response_schema))
    if system:
        body["system"] = "\n\n".join(system)
    warnings = [f"anthropic takes no option {name}; not sent." for name in left_out]
    if last_day := DEPRECATED_MODELS.get(call.model):
        warnings.append(f"{call.model} will be switched off by Anthropic on {last_day}.")
    return body, warnings


def _turns(call: Call) -> list[dict[str, str]]:
    """The conversation; where there are only instructions, they are what is said."""
    said = [message for message in call.messages if message.role != "system"]
    return [{"role": m.role, "content": m.content} for m in said or call.messages[-1:]]


def _options(given: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The options in Anthropic's words, and the names of those it has none for."""
    sampled = str(given.get("anthropic_version") or _SAMPLING_REFUSED_FROM) < _SAMPLING_REFUSED_FROM
    options: dict[str, Any] = {}
    left_out: list[str] = []
    for name, value in given.items():
        if name in TOKEN_LIMITS:
            options["max_tokens"] = value
        elif name == "stop":
            options["stop_sequences"] = [value] if isinstance(value, str) else value
        elif name in ("effort", "reasoning_effort"):
            options["output_config"] = {**options.get("output_config", {}), "effort": value}
        elif name in _PARAMETERS or (sampled and name in _SAMPLING):
            options[name] = value
        elif name != "anthropic_version":
            left_out.append(name)
    return options, left_out


def _form(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """The schema as the vendor's structured output takes it, or None if it cannot."""
    if not schemas.is_object(schema):
        return None
    try:
        return {"type": "json_schema", "schema": anthropic.transform_schema(dict(schema))}
    except (ValueError, TypeError, AttributeError):
        return None  # the SDK's transformation does not know every schema
