"""Anthropic's messages, as the SDK reads them.

Usage stands where the vendor puts it: input tokens (without cached ones) in `message_start`,
cumulative output tokens in `message_delta`. Sources: the types of the `anthropic` package and the
vendor's API reference.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from app.simulator.behaviour import Behaviour
from app.simulator.question import (
    End,
    Failure,
    Question,
    Rejected,
    Said,
    Script,
    dumps,
    plain_text,
    whole_number,
)

_WITHOUT_SAMPLING = "2026-10-21"
"""The API version from which the sampling parameters are refused."""
_SAMPLING = ("temperature", "top_p", "top_k")

_STOP = {
    End.DONE: "end_turn",
    End.LENGTH: "max_tokens",
    End.WINDOW: "model_context_window_exceeded",
    End.REFUSED: "refusal",
    End.FILTERED: "refusal",
    End.TOOL: "tool_use",
    End.PAUSED: "pause_turn",
}

_RATE_LIMITED = "This request would exceed your organization's rate limit."
_FAILURES: dict[str, tuple[int, str, str | None, str]] = {
    "400": (400, "invalid_request_error", None, "The request was not valid."),
    "401": (401, "authentication_error", None, "invalid x-api-key"),
    "402": (402, "billing_error", None, "Your credit balance is too low."),
    "403": (403, "permission_error", None, "Your key may not use this resource."),
    "404": (404, "not_found_error", None, "model: not found"),
    "408": (408, "timeout_error", None, "The request timed out."),
    "409": (409, "conflict_error", None, "The resource was changed by another request."),
    "413": (413, "invalid_request_error", None, "Request exceeds the maximum size."),
    "422": (422, "invalid_request_error", None, "The request could not be processed."),
    "429": (429, "rate_limit_error", None, _RATE_LIMITED),
    "500": (500, "api_error", None, "Internal server error"),
    "502": (502, "api_error", None, "Bad gateway"),
    "503": (503, "api_error", None, "Service unavailable"),
    "504": (504, "timeout_error", None, "Request timed out"),
    "529": (529, "overloaded_error", None, "Overloaded"),
    "quota": (402, "billing_error", None, "Your credit balance is too low."),
    "spend-limit": (
        429,
        "rate_limit_error",
        "enforced_spend_limit_reached",
        "The monthly usage threshold of your tier is reached.",
    ),
    "ramp": (429, "rate_limit_error", "ramp_limit_exceeded", "Your usage grows too fast."),
    "context-length": (
        400,
        "invalid_request_error",
        None,
        "prompt is too long: 200001 tokens > 200000 maximum",
    ),
}


class AnthropicWire:
    """`POST /v1/messages`."""

    name = "anthropic"

    def read(self, body: Mapping[str, Any], headers: Mapping[str, str]) -> Question:
        model = body.get("model")
        if not isinstance(model, str) or not model:
            raise Rejected("model: Field required", param="model")
        limit = whole_number(body, "max_tokens")
        if limit is None:
            raise Rejected("max_tokens: Field required", param="max_tokens")
        if headers.get("anthropic-version", "") >= _WITHOUT_SAMPLING:
            for name in _SAMPLING:
                if name in body:
                    raise Rejected(f"{name}: Extra inputs are not permitted", param=name)
        schema = _schema(body)
        return Question(
            model=model,
            messages=_messages(body),
            limit=limit,
            stream=body.get("stream") is True,
            usage_wanted=True,
            json=schema is not None,
            schema=schema,
        )

    def reply(self, question: Question, said: Said) -> Mapping[str, Any]:
        message = _message(question, said, _content(said))
        return {
            **message,
            "stop_reason": _STOP[said.end],
            "stop_details": _stop_details(said),
            "usage": {**message["usage"], "output_tokens": said.output_tokens},
        }

    def script(self, question: Question, said: Said) -> Script:
        opening = _event("message_start", message=_message(question, said, []))
        blocks = _content(said)
        last = {"type": "text", "text": ""}
        for index, block in enumerate(blocks):
            last = {**block, "text": ""} if block["type"] == "text" else block
            opening += _event("content_block_start", index=index, content_block=last)
            if index < len(blocks) - 1:
                opening += _event("content_block_stop", index=index)
        opening += _event("ping")
        index = max(0, len(blocks) - 1)
        delta = {"type": "text_delta", "text": "\0"}
        probe = _event("content_block_delta", index=index, delta=delta)
        before, _, after = probe.partition(b'"\\u0000"')
        closing = _event("content_block_stop", index=index) if blocks else b""
        ended = {
            "stop_reason": _STOP[said.end],
            "stop_sequence": None,
            "stop_details": _stop_details(said),
        }
        closing += _event("message_delta", delta=ended, usage={"output_tokens": said.output_tokens})
        return Script(
            opening=opening,
            pieces=[before + dumps(piece) + after for piece in said.pieces] if blocks else [],
            closing=closing + _event("message_stop"),
        )

    def failure(self, word: str, number: int) -> Failure:
        status, kind, code, message = _FAILURES[word]
        details = {"details": {"error_code": code}} if code else {}
        return Failure(status, _error(kind, message, number, **details))

    def rejection(self, why: Rejected, number: int) -> Failure:
        kind = "not_found_error" if why.status == 404 else "invalid_request_error"
        return Failure(why.status, _error(kind, why.message, number))

    def event_error(self) -> bytes:
        return _event("error", error={"type": "overloaded_error", "message": "Overloaded"})

    def broken(self, word: str, question: Question, said: Said) -> Mapping[str, Any]:
        if word == "choices-null":
            return {**self.reply(question, said), "content": None}
        return {
            "id": 1,
            "type": "message",
            "role": 7,
            "model": [question.model],
            "content": [{"type": "text", "text": 42}],
            "stop_reason": 9,
            "usage": "many",
        }

    def scripted(self, body: bytes) -> bytes:
        start = b'event: message_start\ndata: {"type":"message_start","message":' + body + b"}\n\n"
        return start + _event("message_stop")

    def models(self, names: tuple[str, ...]) -> Mapping[str, Any]:
        listed = [
            {
                "type": "model",
                "id": name,
                "display_name": name,
                "created_at": "2024-01-01T00:00:00Z",
                "lifecycle": "active",
            }
            for name in names
        ]
        return {"data": listed, "has_more": False, "first_id": names[0], "last_id": names[-1]}

    def headers(self, number: int, behaviour: Behaviour) -> dict[str, str]:
        left = behaviour.remaining_requests
        reset = _rfc3339(int(time.time()) + 1)
        return {
            "request-id": f"req_{number}",
            "anthropic-ratelimit-requests-limit": "10000",
            "anthropic-ratelimit-requests-remaining": str(9999 if left is None else left),
            "anthropic-ratelimit-requests-reset": reset,
            "anthropic-ratelimit-tokens-limit": "2000000",
            "anthropic-ratelimit-tokens-remaining": str(1_999_000 if left is None else left * 1000),
            "anthropic-ratelimit-tokens-reset": reset,
        }


def _messages(body: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    listed = body.get("messages")
    if not isinstance(listed, list) or not listed:
        raise Rejected("messages: at least one message is required", param="messages")
    read = [("system", plain_text(body["system"], "system"))] if body.get("system") else []
    for number, message in enumerate(listed):
        where = f"messages.{number}"
        if not isinstance(message, Mapping):
            raise Rejected(f"{where}: Input should be an object", param=where)
        role = message.get("role")
        if role not in ("user", "assistant", "system"):
            raise Rejected(f"{where}.role: {role!r} is not a role", param=where)
        text = plain_text(message.get("content"), f"{where}.content")
        if not text.strip() and role == "user":
            raise Rejected(f"{where}: user messages must have non-empty content", param=where)
        read.append((role, text))
    return tuple(read)


def _schema(body: Mapping[str, Any]) -> Any:
    config = body.get("output_config") or {}
    form = config.get("format") if isinstance(config, Mapping) else None
    if form is None:
        return None
    if not isinstance(form, Mapping) or form.get("type") != "json_schema" or "schema" not in form:
        raise Rejected("output_config.format: expected a json_schema", param="output_config")
    return form["schema"]


def _message(question: Question, said: Said, content: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": f"msg_{said.number}",
        "type": "message",
        "role": "assistant",
        "model": question.model,
        "content": content,
        "stop_reason": None,
        "stop_sequence": None,
        "stop_details": None,
        "usage": {
            "input_tokens": said.input_tokens - said.cached_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": said.cached_tokens,
            "output_tokens": 1,
            "service_tier": "standard",
        },
    }


def _content(said: Said) -> list[dict[str, Any]]:
    if said.tool_ids:
        return [
            {"type": "tool_use", "id": one, "name": "look_up", "input": {}} for one in said.tool_ids
        ]
    return [{"type": "text", "text": said.text}] if said.text else []


def _stop_details(said: Said) -> dict[str, Any] | None:
    if said.end not in (End.REFUSED, End.FILTERED):
        return None
    return {"type": "refusal", "category": "general_harms", "explanation": "Simulated refusal."}


def _error(kind: str, message: str, number: int, **details: Any) -> dict[str, Any]:
    error = {"type": kind, "message": message, **details}
    return {"type": "error", "error": error, "request_id": f"req_{number}"}


def _event(name: str, **data: Any) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), dumps({"type": name, **data}))


@lru_cache(maxsize=4)
def _rfc3339(epoch_seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch_seconds))
