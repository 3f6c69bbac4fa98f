"""The table from a vendor's words to our errors, where the simulator cannot say them."""

from __future__ import annotations

from typing import Any

import pytest

from app.errors import (
    CallError,
    ConnectionFailed,
    ContextTooLong,
    ModelNotFound,
    ProviderDenied,
    ProviderFailed,
    ProviderOverloaded,
    ProviderRateLimited,
    ProviderRejected,
    QuotaExhausted,
    RedirectRefused,
    Refused,
)
from app.providers.failures import MAX_MESSAGE, from_exception, from_reply, scrubbed
from app.providers.schemas import is_strict


def error(**fields: Any) -> dict[str, Any]:
    return {"error": fields}


def anthropic_error(kind: str, code: str | None = None) -> dict[str, Any]:
    details = {"error_code": code} if code else None
    return {"type": "error", "error": {"type": kind, "message": "m", "details": details}}


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (429, error(type="insufficient_quota", code="insufficient_quota"), QuotaExhausted),
        (429, error(type="tokens", code="rate_limit_exceeded"), ProviderRateLimited),
        (429, anthropic_error("rate_limit_error", "contract_spend_limit_reached"), QuotaExhausted),
        (429, anthropic_error("rate_limit_error", "ramp_limit_exceeded"), ProviderRateLimited),
        (429, anthropic_error("rate_limit_error"), ProviderRateLimited),
        (429, "Too many", ProviderRateLimited),
        (402, None, QuotaExhausted),
        (400, error(message="maximum context length is 8192 tokens"), ContextTooLong),
        (400, error(message="the request exceeds the available context size"), ContextTooLong),
        (413, anthropic_error("request_too_large"), ProviderRejected),
        (400, error(code="content_filter", message="policy"), Refused),
        (400, error(code="model_not_found"), ModelNotFound),
        (403, error(type="invalid_request_error"), ProviderDenied),
        (418, None, ProviderRejected),
        (500, error(code="slow_down"), ProviderRateLimited),
        (520, None, ProviderFailed),
        (599, None, ProviderFailed),
        (301, None, RedirectRefused),
        (200, anthropic_error("overloaded_error"), ProviderOverloaded),
        (200, anthropic_error("api_error"), ProviderFailed),
        (200, anthropic_error("timeout_error"), ProviderFailed),
        (200, anthropic_error("authentication_error"), ProviderDenied),
        (200, anthropic_error("invalid_request_error"), ProviderRejected),
        (200, error(code=429, message="slow"), ProviderRateLimited),
        (200, error(code=502, message="upstream"), ProviderFailed),
        (200, error(message="who knows"), ProviderFailed),
        (200, {"error": "text"}, ProviderFailed),
    ],
)
def test_words_decide_before_the_status(
    status: int, body: object, expected: type[CallError]
) -> None:
    assert type(from_reply("p", status, body, {})) is expected


@pytest.mark.parametrize(
    ("advice", "status", "expected"),
    [
        ("true", 400, ProviderFailed),
        ("false", 500, ProviderRejected),
        ("false", 429, ProviderRateLimited),
        ("true", 402, QuotaExhausted),
        ("true", 500, ProviderFailed),
        ("maybe", 500, ProviderFailed),
    ],
)
def test_vendors_advice_overrides_but_for_money_and_pace(
    advice: str, status: int, expected: type[CallError]
) -> None:
    assert type(from_reply("p", status, None, {"x-should-retry": advice})) is expected


def test_only_what_may_be_retried_says_when() -> None:
    headers = {"retry-after": "9"}
    assert from_reply("p", 503, None, headers).retry_after_seconds == 9
    assert from_reply("p", 400, None, headers).retry_after_seconds is None


def test_error_of_our_own_is_kept_however_it_was_wrapped() -> None:
    ours = ConnectionFailed("gone")
    wrapped = RuntimeError("sdk")
    wrapped.__cause__ = ours
    assert from_exception(wrapped, "p") is ours


def test_anything_else_was_never_sent() -> None:
    found = from_exception(TypeError("no sk-abcdefghijk here"), "p")
    assert type(found) is ProviderRejected
    assert found.message == "p: the request cannot be sent: TypeError: no [redacted] here"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("key sk-proj-abc_DEF*** is wrong", "key [redacted] is wrong"),
        ("Authorization: Bearer abcdefghijklmnop", "Authorization: [redacted]"),
        ("at https://ann:secret@host/v1", "at https://[redacted]host/v1"),
        ("a\nb\0c", "a b\ufffdc"),
        ("Bearer token missing", "Bearer token missing"),
    ],
)
def test_messages_are_one_line_without_secrets(text: str, clean: str) -> None:
    assert scrubbed(text) == clean


def test_messages_are_short() -> None:
    assert len(scrubbed("word " * 10_000)) == MAX_MESSAGE


CLOSED = {
    "type": "object",
    "properties": {"a": {"type": "string"}},
    "required": ["a"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        (CLOSED, True),
        ({**CLOSED, "required": []}, False),
        ({**CLOSED, "additionalProperties": True}, False),
        ({"type": "object"}, False),
        ({"type": "array", "items": CLOSED}, True),
        ({"type": "array", "items": {"type": "object"}}, False),
        ({"anyOf": [CLOSED, {"type": "object"}]}, False),
        ({"$defs": {"x": {"type": "object"}}, "$ref": "#/$defs/x"}, False),
        (True, False),
    ],
)
def test_strict_mode_is_for_closed_schemas(schema: object, strict: bool) -> None:
    assert is_strict(schema) is strict
