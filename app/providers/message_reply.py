"""What an Anthropic message says: its one body or its events.

Knows no SDK and sends nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.errors import InvalidResponse
from app.providers.contract import Stop, Usage
from app.providers.draft import Draft, count, counted, parse_object, word
from app.providers.events import Event
from app.providers.failures import from_reply

_STOPS = {
    "end_turn": Stop.DONE,
    "stop_sequence": Stop.DONE,
    "max_tokens": Stop.TRUNCATED,
    "model_context_window_exceeded": Stop.TRUNCATED,
    "tool_use": Stop.TOOL,
    "pause_turn": Stop.PAUSED,
    "refusal": Stop.REFUSED,
}


@dataclass
class MessageDraft(Draft):
    """A message so far. Complete with its stop reason and, in a stream, `message_stop`."""

    stop_reason: str | None = None
    stop_details: Mapping[str, Any] = field(default_factory=dict)
    tokens: dict[str, Any] = field(default_factory=dict)

    @property
    def usage(self) -> Usage | None:
        """Anthropic counts cached tokens beside its input tokens; we count them within."""
        if not counted(self.tokens, "input_tokens", "output_tokens"):
            return None
        read = count(self.tokens.get("cache_read_input_tokens"))
        written = count(self.tokens.get("cache_creation_input_tokens"))
        return Usage(
            input_tokens=count(self.tokens.get("input_tokens")) + read + written,
            output_tokens=count(self.tokens.get("output_tokens")),
            cached_tokens=read,
            cache_write_tokens=written,
        )

    def take(self, event: Event) -> str:
        told = parse_object(event.data)
        match told.get("type"):
            case "message_start":
                self._begin(_object(told, "message"))
            case "content_block_delta":
                delta = _object(told, "delta")
                return self.text.add(delta.get("text")) if delta.get("type") == "text_delta" else ""
            case "message_delta":
                self._stop(_object(told, "delta"))
                self._count(told.get("usage"))
            case "message_stop":
                if self.stop_reason is None:
                    raise InvalidResponse("the message stopped without a reason")
                self.ended = True
            case "error":
                raise from_reply(self.provider, 200, told, self.response.headers)
        return ""  # pings, block starts and stops, and kinds added later

    def take_whole(self, body: Mapping[str, Any]) -> None:
        self._begin(body)
        blocks = body.get("content")
        if not isinstance(blocks, list):
            raise InvalidResponse("the answer has no content")
        for block in blocks:
            if isinstance(block, Mapping) and block.get("type") == "text":
                self.text.add(block.get("text"))
        self._stop(body)
        if self.stop_reason is None:
            raise InvalidResponse("the answer has no stop reason", text=str(self.text))
        self.ended = True

    def stop(self) -> tuple[Stop, str]:
        said = (word(self.stop_details.get(name)) for name in ("category", "explanation"))
        reasons = ", ".join(reason for reason in said if reason)
        words = f"the model refused: {reasons}" if reasons else "the model refused to answer"
        return _STOPS.get(self.stop_reason or "", Stop.DONE), words

    def _begin(self, message: Mapping[str, Any]) -> None:
        if message.get("type") == "error" or message.get("error"):
            raise from_reply(self.provider, 200, message, self.response.headers)
        if message.get("type") != "message":
            raise InvalidResponse("the answer is not a message")
        self.tell(message)
        self._count(message.get("usage"))

    def _stop(self, told: Mapping[str, Any]) -> None:
        reason = told.get("stop_reason")
        if reason is not None and not isinstance(reason, str):
            raise InvalidResponse("the answer's stop reason is not a text")
        self.stop_reason = reason or self.stop_reason
        if isinstance(details := told.get("stop_details"), Mapping):
            self.stop_details = details

    def _count(self, usage: object) -> None:
        """Later counts are cumulative and replace earlier ones; what they omit stays."""
        if isinstance(usage, Mapping):
            self.tell({"service_tier": usage.get("service_tier")})
            self.tokens |= {name: value for name, value in usage.items() if value is not None}


def _object(told: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = told.get(name)
    if not isinstance(value, Mapping):
        raise InvalidResponse(f"an event's {name} is not an object")
    return value
