"""OpenAI's chat completions, as the SDK reads them: also what every compatible server speaks.

Sources: the types of the `openai` package and the vendor's API reference.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

from app.simulator.answers import REFUSAL
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

_DONE = b"data: [DONE]\n\n"
_VENDORS_OWN = re.compile(r"(gpt-|chatgpt-|o\d)")
_REASONS = re.compile(r"(o\d|gpt-[5-9])")
"""Models that know only `max_completion_tokens`."""

_FINISH = {
    End.DONE: "stop",
    End.LENGTH: "length",
    End.WINDOW: "length",
    End.REFUSED: "stop",
    End.FILTERED: "content_filter",
    End.TOOL: "tool_calls",
    End.PAUSED: "stop",
}

_RATE_LIMITED = "Rate limit reached for requests. Please try again later."
_QUOTA = "You exceeded your current quota, please check your plan and billing details."
_FAILURES: dict[str, tuple[int, str, str | None, str]] = {
    "400": (400, "invalid_request_error", None, "The request was not valid."),
    "401": (401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    "402": (402, "billing_error", "billing_not_active", "Your account is not active."),
    "403": (403, "invalid_request_error", "permission_denied", "You have no permission."),
    "404": (404, "invalid_request_error", "model_not_found", "The model does not exist."),
    "408": (408, "timeout_error", None, "The request timed out."),
    "409": (409, "conflict_error", None, "The resource was changed by another request."),
    "413": (413, "invalid_request_error", "request_too_large", "The request is too large."),
    "422": (422, "invalid_request_error", None, "The request could not be processed."),
    "429": (429, "requests", "rate_limit_exceeded", _RATE_LIMITED),
    "500": (500, "server_error", None, "The server had an error. Sorry about that!"),
    "502": (502, "server_error", None, "Bad gateway."),
    "503": (503, "server_error", None, "The service is temporarily unavailable."),
    "504": (504, "server_error", None, "Gateway time-out."),
    "529": (529, "overloaded_error", "overloaded", "The engine is currently overloaded."),
    "quota": (429, "insufficient_quota", "insufficient_quota", _QUOTA),
    "spend-limit": (429, "insufficient_quota", "billing_hard_limit_reached", _QUOTA),
    "ramp": (429, "requests", "slow_down", "Your traffic grows too fast. Slow down."),
    "context-length": (
        400,
        "invalid_request_error",
        "context_length_exceeded",
        "This model's maximum context length is 128 tokens. Please reduce the messages.",
    ),
}


class OpenAIWire:
    """`POST /v1/chat/completions`."""

    name = "openai"

    def read(self, body: Mapping[str, Any], headers: Mapping[str, str]) -> Question:
        model = body.get("model")
        if not isinstance(model, str) or not model:
            raise Rejected("you must provide a model parameter", param="model")
        messages = _messages(body)
        form = body.get("response_format") or {"type": "text"}
        if not isinstance(form, Mapping):
            raise Rejected("response_format: expected an object", param="response_format")
        wants_json = form.get("type") in ("json_object", "json_schema")
        _refuse_what_the_vendor_refuses(model, body, form, messages)
        options = body.get("stream_options")
        return Question(
            model=model,
            messages=messages,
            limit=whole_number(body, "max_completion_tokens") or whole_number(body, "max_tokens"),
            stream=body.get("stream") is True,
            usage_wanted=isinstance(options, Mapping) and options.get("include_usage") is True,
            json=wants_json,
            schema=_schema(form),
        )

    def reply(self, question: Question, said: Said) -> Mapping[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": said.text, "refusal": None}
        if said.end is End.REFUSED:
            message |= {"content": None, "refusal": REFUSAL}
        if said.tool_ids:
            message |= {"content": None, "tool_calls": _tool_calls(said)}
        choice = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": _FINISH[said.end],
        }
        return {
            **_envelope(question, said, "chat.completion"),
            "choices": [choice],
            "usage": _usage(said),
        }

    def script(self, question: Question, said: Said) -> Script:
        field = "refusal" if said.end is End.REFUSED else "content"
        first: dict[str, Any] = {"role": "assistant", "content": "", "refusal": None}
        if said.tool_ids:
            calls = _tool_calls(said)
            first["tool_calls"] = [{"index": i, **call} for i, call in enumerate(calls)]
        before, _, after = _chunk(question, said, {field: "\0"}, None).partition(b'"\\u0000"')
        closing = _chunk(question, said, {}, _FINISH[said.end])
        if question.usage_wanted:
            last = {**_envelope(question, said, "chat.completion.chunk"), "choices": []}
            closing += _event({**last, "usage": _usage(said)})
        return Script(
            opening=_chunk(question, said, first, None),
            pieces=[before + dumps(piece) + after for piece in said.pieces],
            closing=closing + _DONE,
        )

    def failure(self, word: str, number: int) -> Failure:
        status, kind, code, message = _FAILURES[word]
        error = {"message": message, "type": kind, "param": None, "code": code}
        return Failure(status, {"error": error})

    def rejection(self, why: Rejected, number: int) -> Failure:
        error = {
            "message": why.message,
            "type": "invalid_request_error",
            "param": why.param or None,
            "code": why.code or None,
        }
        return Failure(why.status, {"error": error})

    def event_error(self) -> bytes:
        status, kind, _, message = _FAILURES["500"]
        return _event({"error": {"message": message, "type": kind, "param": None, "code": status}})

    def broken(self, word: str, question: Question, said: Said) -> Mapping[str, Any]:
        if word == "choices-null":
            return {**self.reply(question, said), "choices": None}
        answer = {"index": "first", "message": {"role": 7, "content": 42}, "finish_reason": 9}
        delta = {"delta": {"role": 7, "content": 42}}
        return {
            "id": 1,
            "object": None,
            "created": "now",
            "model": [question.model],
            "choices": [{**answer, **(delta if question.stream else {})}],
            "usage": "many",
        }

    def scripted(self, body: bytes) -> bytes:
        return b"data: " + body + b"\n\n" + _DONE

    def models(self, names: tuple[str, ...]) -> Mapping[str, Any]:
        listed = [
            {"id": name, "object": "model", "created": 1_704_067_200, "owned_by": "simulator"}
            for name in names
        ]
        return {"object": "list", "data": listed}

    def headers(self, number: int, behaviour: Behaviour) -> dict[str, str]:
        left = behaviour.remaining_requests
        return {
            "x-request-id": f"req_{number}",
            "openai-processing-ms": "1",
            "x-ratelimit-limit-requests": "10000",
            "x-ratelimit-limit-tokens": "2000000",
            "x-ratelimit-remaining-requests": str(9999 if left is None else left),
            "x-ratelimit-remaining-tokens": "1999000" if left is None else str(left * 1000),
            "x-ratelimit-reset-requests": "6ms" if left is None else "1s",
            "x-ratelimit-reset-tokens": "30ms" if left is None else "1s",
        }


def _messages(body: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    listed = body.get("messages")
    if not isinstance(listed, list) or not listed:
        raise Rejected("messages: expected at least one message", param="messages")
    read = []
    for number, message in enumerate(listed):
        where = f"messages[{number}]"
        if not isinstance(message, Mapping):
            raise Rejected(f"{where}: expected an object", param=where)
        role = message.get("role")
        if role not in ("system", "developer", "user", "assistant", "tool", "function"):
            raise Rejected(f"{where}.role: {role!r} is not a role", param=f"{where}.role")
        role = "system" if role == "developer" else role
        read.append((role, plain_text(message.get("content"), f"{where}.content")))
    return tuple(read)


def _schema(form: Mapping[str, Any]) -> Any:
    if form.get("type") != "json_schema":
        return None
    described = form.get("json_schema")
    if not isinstance(described, Mapping) or not isinstance(described.get("name"), str):
        where = "response_format.json_schema"
        raise Rejected(f"Missing required parameter: '{where}.name'.", param=f"{where}.name")
    return described.get("schema", {})


def _refuse_what_the_vendor_refuses(
    model: str,
    body: Mapping[str, Any],
    form: Mapping[str, Any],
    messages: tuple[tuple[str, str], ...],
) -> None:
    """Two traps of the vendor's own models that compatible servers do not have."""
    if _REASONS.match(model) and body.get("max_tokens") is not None:
        raise Rejected(
            "Unsupported parameter: 'max_tokens' is not supported with this model."
            " Use 'max_completion_tokens' instead.",
            code="unsupported_parameter",
            param="max_tokens",
        )
    if form.get("type") != "json_object" or not _VENDORS_OWN.match(model):
        return
    if not any("json" in text.lower() for _, text in messages):
        raise Rejected(
            "'messages' must contain the word 'json' in some form, to use"
            " 'response_format' of type 'json_object'.",
            param="messages",
        )


def _envelope(question: Question, said: Said, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{said.number}",
        "object": kind,
        "created": int(time.time()),
        "model": question.model,
        "service_tier": "default",
        "system_fingerprint": "fp_simulator",
    }


def _chunk(question: Question, said: Said, delta: Mapping[str, Any], finish: str | None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    chunk = {**_envelope(question, said, "chat.completion.chunk"), "choices": [choice]}
    return _event({**chunk, "usage": None} if question.usage_wanted else chunk)


def _event(value: Mapping[str, Any]) -> bytes:
    return b"data: " + dumps(value) + b"\n\n"


def _usage(said: Said) -> dict[str, Any]:
    return {
        "prompt_tokens": said.input_tokens,
        "completion_tokens": said.output_tokens,
        "total_tokens": said.input_tokens + said.output_tokens,
        "prompt_tokens_details": {"cached_tokens": said.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


def _tool_calls(said: Said) -> list[dict[str, Any]]:
    function = {"name": "look_up", "arguments": "{}"}
    return [{"id": one, "type": "function", "function": function} for one in said.tool_ids]
