"""What every provider adapter takes and gives: the seam between jobs and vendors.

An adapter translates a `Call` to its wire, the answer back to an `Answer`, and each failure to one
`app.errors.CallError`. It holds no policy: retries, limits, deadlines, cost and logging are the
caller's. Source of the rules: `docs/explanation/design.md`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

TOKEN_LIMITS = ("max_tokens", "max_completion_tokens", "n_predict")
"""Options that limit the answer's tokens, whatever a server calls it; the last is llama.cpp's."""


ANSWER_CUT = "The answer was cut by the token limit"
"""The warning of an answer that is of use although its end is missing."""


class Stop(StrEnum):
    """Why a model stopped writing, in one vocabulary for all vendors."""

    DONE = "done"
    TRUNCATED = "truncated"
    REFUSED = "refused"
    FILTERED = "filtered"
    TOOL = "tool"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation; `role` is `system`, `user` or `assistant`."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call. `input_tokens` includes cached ones, whatever the vendor's counting.

    `cached_tokens` were read from the vendor's prompt cache, `cache_write_tokens` written to it;
    both are part of `input_tokens`. Reasoning is part of `output_tokens`.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Call:
    """One request to a model.

    `model` is the vendor's own name (routing prefix removed); `options` are provider parameters
    such as `temperature` and `max_tokens`; `response_schema` is a JSON Schema the answer must
    match; `json` asks for a JSON answer where the vendor has such a switch; `stream` asks for
    streaming; `attempt_id` names the attempt to the provider (for its logs and the simulator's);
    `any_option` passes every option on, whether or not a chat-completions server is known to take
    it.
    """

    model: str
    messages: tuple[Message, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    response_schema: Mapping[str, Any] | None = None
    json: bool = False
    stream: bool = False
    attempt_id: str = ""
    any_option: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer: a terminal event or finish reason was seen.

    `request_id` and `http_status` are the provider's, `response_id` is its name for the answer;
    `first_token_seconds` is None without streaming; `limits` are the vendor's rate-limit headers,
    lower-case; `warnings` are sentences (a dropped option, …).
    """

    text: str
    stop: Stop
    usage: Usage | None
    model: str
    request_id: str | None = None
    response_id: str | None = None
    http_status: int = 200
    service_tier: str | None = None
    first_token_seconds: float | None = None
    limits: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


OnText = Callable[[str], Awaitable[None]]
"""Called with each piece of text, in order, while a streamed answer arrives."""


class Provider(Protocol):
    """One vendor or endpoint. Made once per process and key; used from one event loop.

    One that also has a `base_url`, where it calls, is shown with its address in traces.
    """

    name: str
    """`openai`, `anthropic`, `ollama`, `simulator` or the registered endpoint's name."""

    async def call(self, call: Call, *, on_text: OnText | None = None) -> Answer:
        """Make at most one request and return its complete answer.

        Raises one `app.errors.CallError`. Cancelling the coroutine closes the connection. The
        caller bounds the time (`asyncio.timeout`); on a cut, `on_text` has had what arrived.
        """
        ...

    async def models(self) -> list[str]:
        """Names the endpoint says it serves. Raises `CallError`."""
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...
