"""How often a key may call, said in headers; and how often an address may fail to show one.

Counting is `app.limits`' business (shared between processes, over Redis). Both header styles are
sent: `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10), and the older
`X-RateLimit-*`.
"""

from __future__ import annotations

import math

from flask import Response, g

from app.accounts import Caller
from app.errors import TooManyRequests
from app.limits import Allowance
from app.runtime import Runtime
from app.settings import parse_rate

POLICY = "key"


def count_request(runtime: Runtime, caller: Caller) -> None:
    """Take one request from the caller's rate. Raises TooManyRequests when none is left."""
    left = runtime.limiter.check(f"key:{caller.key_id}")
    g.rate = left
    if not left.allowed:
        raise TooManyRequests(
            f"Rate limit reached: {runtime.settings.rate_limit} for each API key",
            retry_after_seconds=left.retry_after_seconds,
        )


def count_form(runtime: Runtime, caller: Caller, *, chat_id: int | None = None) -> None:
    """Take one form of a page from its sender's rate, which is a key's. One caller may stand for
    many people who are each in a chat: then the rate is the chat's. Raises TooManyRequests.
    """
    whose = f"person:{caller.user_id}" if chat_id is None else f"chat:{chat_id}"
    left = runtime.limiter.check(whose)
    if not left.allowed:
        raise TooManyRequests(
            f"Too many forms at once; {runtime.settings.rate_limit} are taken",
            retry_after_seconds=left.retry_after_seconds,
        )


def count_refusal(runtime: Runtime, address: str) -> None:
    """Take one wrong key from an address's rate. Right keys are never counted here.

    Raises TooManyRequests when none is left: whoever guesses keys is slowed down.
    """
    left = runtime.limiter.check(f"refused:{address}")
    if not left.allowed:
        raise TooManyRequests(
            "Too many requests with a missing or wrong API key",
            retry_after_seconds=left.retry_after_seconds,
        )


def add_headers(response: Response, rate: str) -> Response:
    """Say what is left of the caller's rate (such as `600/minute`), when it was counted."""
    left: Allowance | None = g.get("rate")
    if left is None:
        return response
    _, window_seconds = parse_rate(rate)
    seconds = math.ceil(left.reset_seconds)
    response.headers["RateLimit-Policy"] = f'"{POLICY}";q={left.limit};w={window_seconds}'
    response.headers["RateLimit"] = f'"{POLICY}";r={left.remaining};t={seconds}'
    response.headers["X-RateLimit-Limit"] = str(left.limit)
    response.headers["X-RateLimit-Remaining"] = str(left.remaining)
    response.headers["X-RateLimit-Reset"] = str(seconds)
    return response
