"""What a chat completion says: its one body or its chunks.

The format of OpenAI and of every server compatible with it. Knows no SDK and sends nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.errors import InvalidResponse
from app.providers.contract import Stop, Usage
from app.providers.draft import Draft, Text, count, counted, parse_object
from app.providers.events import Event
from app.providers.failures import from_reply

_STOPS = {
    "stop": Stop.DONE,
    "length": Stop.TRUNCATED,
    "tool_calls": Stop.TOOL,
    "function_call": Stop.TOOL,
    "content_filter": Stop.FILTERED,
}


@dataclass
class ChatDraft(Draft):
    """A chat completion so far. Complete with a finish reason, or the stream's `[DONE]`."""

    refusal: Text = field(default_factory=Text)
    finish: str = "stop"
    told_usage: Mapping[str, Any] = field(default_factory=dict)

    @property
    def usage(self) -> Usage | None:
        """OpenAI counts cached tokens within the prompt's, reasoning within the completion's."""
        if not counted(self.told_usage, "prompt_tokens", "completion_tokens"):
            return None
        details = self.told_usage.get("prompt_tokens_details")
        details = details if isinstance(details, Mapping) else {}
        return Usage(
            input_tokens=count(self.told_usage.get("prompt_tokens")),
            output_tokens=count(self.told_usage.get("completion_tokens")),
            cached_tokens=count(details.get("cached_tokens")),
            cache_write_tokens=count(details.get("cache_write_tokens")),
        )

    def take(self, event: Event) -> str:
        if event.data == b"[DONE]":
            self.ended = True
            return ""
        choice = self._choice(parse_object(event.data))
        delta = choice.get("delta") or {}
        if not isinstance(delta, Mapping):
            raise InvalidResponse("a chunk's delta is not an object")
        self._finished(choice.get("finish_reason"))
        self.refusal.add(delta.get("refusal"))
        return self.text.add(delta.get("content"))

    def take_whole(self, body: Mapping[str, Any]) -> None:
        choice = self._choice(body)
        message = choice.get("message")
        if not isinstance(message, Mapping):
            raise InvalidResponse("the answer has no message")
        self.refusal.add(message.get("refusal"))
        self.text.add(_joined(message.get("content")))
        self._finished(choice.get("finish_reason"))
        if not self.ended:
            raise InvalidResponse("the answer has no finish reason", text=str(self.text))

    def stop(self) -> tuple[Stop, str]:
        if refusal := str(self.refusal):
            return Stop.REFUSED, f"the model refused: {refusal}"
        return _STOPS.get(self.finish, Stop.DONE), "a content filter stopped the answer"

    def _choice(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """The first choice ({} where a chunk has none), after what the body says beside it."""
        if body.get("error"):
            raise from_reply(self.provider, 200, body, self.response.headers)
        self.tell(body)
        body = _as_chat(body)
        if isinstance(usage := body.get("usage"), Mapping):
            self.told_usage = usage
        choices = body.get("choices")
        if choices == []:
            return {}
        if not isinstance(choices, list) or not isinstance(choices[0], Mapping):
            raise InvalidResponse("the answer has no choices")
        return choices[0]

    def _finished(self, reason: object) -> None:
        if reason is None:
            return
        if not isinstance(reason, str):
            raise InvalidResponse("the answer's finish reason is not a text")
        self.finish, self.ended = reason, True


def _as_chat(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The reply, or chunk, of a llama.cpp that answers in its own words (`{"content": …}`, which
    Imixs-AI reads too) as the chat completion it stands for; any other as it is.
    """
    content = body.get("content")
    if "choices" in body or not isinstance(content, str):
        return body
    cut = body.get("stop_type") == "limit" or body.get("stopped_limit") is True
    finish = ("length" if cut else "stop") if body.get("stop", True) else None
    said = {"content": content}
    return {
        "choices": [{"message": said, "delta": said, "finish_reason": finish}],
        "usage": {
            "prompt_tokens": body.get("tokens_evaluated"),
            "completion_tokens": body.get("tokens_predicted"),
        },
    }


def _joined(content: object) -> object:
    """A message's text; some servers answer in parts, as requests may."""
    if not isinstance(content, list):
        return content
    parts = [part.get("text") for part in content if isinstance(part, Mapping)]
    return "".join(part for part in parts if isinstance(part, str))
