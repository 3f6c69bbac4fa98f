"""What a provider's error means: one table for every vendor, from its words to our error tree.

The vendor's code and type decide before the HTTP status does: an error in the middle of a stream
comes with status 200, and one status (429) means "slow down" and "your money is spent" alike.
Knows no SDK and no connection; messages leave it short and without secrets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

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
from app.providers.limits_headers import retry_after
from app.text import clean_text

MAX_MESSAGE = 300

_BY_WORD: dict[type[CallError], frozenset[str]] = {
    QuotaExhausted: frozenset(
        {
            "insufficient_quota",
            "billing_error",
            "billing_not_active",
            "billing_hard_limit_reached",
            "enforced_spend_limit_reached",
            "contract_spend_limit_reached",
            "linked_organization_spend_limit_reached",
            "linked_organization_billing_unavailable",
        }
    ),
    ContextTooLong: frozenset({"context_length_exceeded", "context_window_exceeded"}),
    Refused: frozenset(
        {"content_filter", "content_policy_violation", "responsible_ai_policy_violation"}
    ),
    ProviderOverloaded: frozenset({"overloaded", "overloaded_error", "server_overloaded"}),
    ProviderRateLimited: frozenset(
        {"rate_limit_error", "rate_limit_exceeded", "ramp_limit_exceeded", "slow_down"}
    ),
    ProviderDenied: frozenset({"authentication_error", "permission_error", "invalid_api_key"}),
    ModelNotFound: frozenset({"not_found_error", "model_not_found"}),
}
"""Words that mean one thing wherever they stand; the first class that has one wins."""

_BY_STATUS: dict[int, type[CallError]] = {
    401: ProviderDenied,
    402: QuotaExhausted,
    403: ProviderDenied,
    404: ModelNotFound,
    408: ProviderFailed,
    409: ProviderFailed,
    429: ProviderRateLimited,
    503: ProviderOverloaded,
    529: ProviderOverloaded,
}

_TOO_LONG = re.compile(
    r"prompt is too long|context (length|window|size)|maximum context|exceeds?\b.{0,40}\bcontext",
    re.IGNORECASE,
)
_SECRET = re.compile(r"\b(?:sk|pk|rk|ljk)[-_][\w*.-]{6,}|\bBearer\s+\S{12,}|(?<=//)[^/\s@]+@")


@dataclass(frozen=True, slots=True)
class Complaint:
    """What an error body says, in whichever of the known shapes it came."""

    words: tuple[str, ...] = ()
    message: str = ""
    status: int | None = None


def from_reply(
    provider: str,
    status: int,
    body: object,
    headers: Mapping[str, str],
    *,
    request_id: str | None = None,
) -> CallError:
    """The error for a reply that is an error, or for an error event within a stream.

    `status` is the reply's own (200 within a stream), `headers` have lower-case names, `body` is
    the parsed JSON or whatever text came instead.
    """
    said = complaint(body)
    if 300 <= status < 400:
        return RedirectRefused(
            f"{provider} answered {status}, a redirect; set the base URL it should be called at",
            http_status=status,
            request_id=request_id,
        )
    meant = said.status if status < 400 and said.status else status
    kind = _advised(_kind(meant, said), headers.get("x-should-retry"))
    return kind(
        _sentence(provider, status, said),
        http_status=status,
        request_id=request_id,
        retry_after_seconds=retry_after(headers, datetime.now(UTC)) if kind.retryable else None,
        billed=False if 400 <= status < 500 or kind is ProviderOverloaded else None,
    )


def from_exception(error: BaseException, provider: str) -> CallError:
    """The error for whatever an SDK raised before it gave us a reply to read.

    An error of our own (the transport raises them) is kept, however the SDK wrapped it. An error
    reply is recognised by its `response`. Anything else was never sent: our bug or the template's,
    not billed.
    """
    root = error
    for cause in _causes(error):
        root = cause
        if isinstance(cause, CallError):
            return cause
        response = getattr(cause, "response", None)
        if response is not None and hasattr(response, "status_code"):
            return from_reply(
                provider,
                response.status_code,
                getattr(cause, "body", None),
                response.headers,
                request_id=getattr(cause, "request_id", None),
            )
    words = scrubbed(f"{type(root).__name__}: {root}")
    if type(root) is RuntimeError:  # the client was closed under the call, at shutdown
        return ConnectionFailed(f"{provider}: {words}")
    return ProviderRejected(f"{provider}: the request cannot be sent: {words}")


def complaint(body: object) -> Complaint:
    """Read an error body: OpenAI's, Anthropic's, FastAPI's (vLLM), Ollama's, or plain text."""
    if isinstance(body, Mapping):
        inner = body.get("error", body)
        return _from_object(inner) if isinstance(inner, Mapping) else complaint(inner)
    if isinstance(body, str) and "<" not in body[:200]:  # a page's HTML helps nobody
        return Complaint(message=body)
    return Complaint()


def scrubbed(text: str) -> str:
    """`text` on one line, short, without anything that looks like a key or a password."""
    line = " ".join(clean_text(_SECRET.sub("[redacted]", text[:4000])).split())
    return line if len(line) <= MAX_MESSAGE else line[: MAX_MESSAGE - 1] + "…"


def _from_object(error: Mapping[Any, Any]) -> Complaint:
    details = error.get("details")
    code = error.get("code")
    told = (
        details.get("error_code") if isinstance(details, Mapping) else None,
        code,
        error.get("type"),
    )
    message = next(
        (v for v in (error.get(k) for k in ("message", "detail", "error")) if isinstance(v, str)),
        "",
    )
    return Complaint(
        words=tuple(word.lower() for word in told if isinstance(word, str)),
        message=message,
        status=code if isinstance(code, int) and 400 <= code < 600 else None,
    )


def _kind(status: int, said: Complaint) -> type[CallError]:
    for kind, words in _BY_WORD.items():
        if not words.isdisjoint(said.words):
            return kind
    if status in (400, 413, 422) and _TOO_LONG.search(said.message):
        return ContextTooLong
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if 400 <= status < 500 or "invalid_request_error" in said.words:
        return ProviderRejected
    return ProviderFailed


def _advised(kind: type[CallError], should_retry: str | None) -> type[CallError]:
    """The vendor's own `x-should-retry` overrides, except about money and about slowing down."""
    if kind in (QuotaExhausted, ProviderRateLimited):
        return kind
    if should_retry == "true" and not kind.retryable:
        return ProviderFailed
    if should_retry == "false" and kind.retryable:
        return ProviderRejected
    return kind


def _sentence(provider: str, status: int, said: Complaint) -> str:
    word = f" ({said.words[0]})" if said.words else ""
    where = f"{provider} answered {status}" if status >= 400 else f"{provider} broke off"
    return scrubbed(f"{where}{word}: {said.message}" if said.message else where + word)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what it was raised from, at most a few levels."""
    for _ in range(8):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__
