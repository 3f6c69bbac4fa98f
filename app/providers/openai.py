"""Chat completions: OpenAI, and every server that speaks its format, told apart by capabilities.

Importing this module imports the OpenAI SDK: only a process that calls a model does. The SDK
builds, signs and sends; `exchange` reads; this file knows the format's fields.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import openai

from app.providers import schemas
from app.providers.chat_reply import ChatDraft
from app.providers.contract import TOKEN_LIMITS, Answer, Call, Message, OnText
from app.providers.draft import Response
from app.providers.exchange import exchange, listed_models, read, read_object
from app.providers.http import new_client

STANDARD_PARAMETERS = frozenset(
    {
        "frequency_penalty",
        "presence_penalty",
        "reasoning_effort",
        "response_format",
        "seed",
        "stop",
        "temperature",
        "tool_choice",
        "tools",
        "top_p",
    }
)
"""What every compatible server understands; an unknown parameter is an error for some of them."""

_OURS = frozenset({"model", "messages", "n", "stream", "stream_options"})


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a server of this format takes.

    `max_tokens` is its name for that limit; `stream_usage` whether it takes `stream_options`;
    `json_schema` whether it holds answers to a schema; `parameters` the options sent on (None:
    all of them, the server decides), `limits` the options that are told by its name for them.
    """

    max_tokens: str = "max_tokens"
    stream_usage: bool = True
    json_schema: bool = True
    parameters: frozenset[str] | None = STANDARD_PARAMETERS
    limits: tuple[str, ...] = TOKEN_LIMITS[:2]


OPENAI = Capabilities(max_tokens="max_completion_tokens", parameters=None, limits=TOKEN_LIMITS)


class OpenAIProvider:
    """One server and key."""

    def __init__(
        self,
        name: str,
        *,
        base_url: str | None = None,
        api_key: str = "",
        basic: tuple[str, str] | None = None,
        capabilities: Capabilities = OPENAI,
        extra: Mapping[str, Any] | None = None,
        internal: bool = True,
    ) -> None:
        """`basic` (user, password) replaces the key; `extra` are the server's own parameters with
        their defaults, which a call may override; `internal` allows private addresses.
        """
        self.name = name
        self._secret = basic[1] if basic else api_key
        self._capabilities = capabilities
        self._extra = dict(extra or {})
        headers: Any = {}
        if name != "openai":
            # Whatever the environment says about OpenAI is not for this server.
            headers = {
                "Authorization": _basic(*basic) if basic else f"Bearer {api_key or 'none'}",
                "OpenAI-Organization": openai.Omit(),
                "OpenAI-Project": openai.Omit(),
            }
        self._sdk = openai.AsyncOpenAI(
            api_key=api_key or "none",  # the SDK insists on one; servers without keys ignore it
            base_url=base_url or "https://api.openai.com/v1",
            max_retries=0,
            default_headers=headers,
            http_client=new_client(name, internal=internal),
        )

    @property
    def base_url(self) -> str:
        """Where it calls."""
        return str(self._sdk.base_url)

    async def call(self, call: Call, *, on_text: OnText | None = None) -> Answer:
        """See `contract.Provider.call`."""
        started = perf_counter()
        parameters, warnings = self._parameters(call)
        async with exchange(
            self._request(call, parameters), provider=self.name, secret=self._secret
        ) as response:
            draft = ChatDraft(self.name, response)
            await read(response, draft, on_text)
            return draft.answer(call, started, warnings)

    async def models(self) -> list[str]:
        """See `contract.Provider.models`."""
        request = self._sdk.models.with_streaming_response.list()
        async with exchange(request, provider=self.name, secret=self._secret) as response:
            return listed_models(await read_object(response))

    async def close(self) -> None:
        """See `contract.Provider.close`."""
        await self._sdk.close()

    def _request(
        self, call: Call, parameters: Mapping[str, Any]
    ) -> AbstractAsyncContextManager[Response]:
        messages: Any = [
            {"role": message.role, "content": message.content}
            for message in (*_added(call, parameters), *call.messages)
        ]
        return self._sdk.chat.completions.with_streaming_response.create(
            model=call.model,
            messages=messages,
            stream=call.stream,
            extra_body=parameters,
            extra_headers={"x-llm-jobs-attempt": call.attempt_id} if call.attempt_id else None,
        )

    def _parameters(self, call: Call) -> tuple[dict[str, Any], list[str]]:
        """The options in this server's words, and a warning for each one it would not take."""
        known = None if call.any_option else self._capabilities.parameters
        parameters: dict[str, Any] = {}
        left_out: list[str] = []
        for name, value in {**self._extra, **call.options}.items():
            if name in self._capabilities.limits:
                parameters[self._capabilities.max_tokens] = value
            elif name in _OURS or not (known is None or name in known or name in self._extra):
                left_out.append(name)
            else:
                parameters[name] = value
        if call.stream and self._capabilities.stream_usage:
            parameters["stream_options"] = {"include_usage": True}
        if form := _response_format(call, self._capabilities):
            parameters["response_format"] = form
        return parameters, [f"{self.name} takes no option {name}; not sent." for name in left_out]


def _response_format(call: Call, capabilities: Capabilities) -> dict[str, Any] | None:
    schema = call.response_schema
    if schema is not None and capabilities.json_schema and schemas.is_object(schema):
        strict = schemas.is_strict(schema)
        form = {"name": "answer", "schema": dict(schema), "strict": strict}
        return {"type": "json_schema", "json_schema": form}
    if schema is not None:
        return {"type": "json_object"} if schemas.is_object(schema) else None
    return {"type": "json_object"} if call.json else None


def _added(call: Call, parameters: Mapping[str, Any]) -> tuple[Message, ...]:
    """The system message a format needs: the schema where the server cannot hold the model to it;
    the word "JSON", without which OpenAI refuses a JSON answer.
    """
    form = parameters.get("response_format")
    form = form.get("type") if isinstance(form, Mapping) else None
    if call.response_schema is not None and form != "json_schema":
        return (Message("system", schemas.instruction(call.response_schema)),)
    said = any("json" in message.content.lower() for message in call.messages)
    if form == "json_object" and not said:
        return (Message("system", "Answer with JSON."),)
    return ()


def _basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode("ascii")
