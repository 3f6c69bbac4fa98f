"""The fetchers that come with the platform. They enter the registry like everybody's.

All of them read for the job's own user only: what a job names in its arguments can never widen
what its user may see.
"""

from __future__ import annotations

from typing import Any

from app.context.fetchers import FetchContext, context_fetcher
from app.context.threads import in_thread
from app.errors import ContextUnavailable
from app.plugins import Registry

DEFAULT_OUTPUTS = 5
MAX_OUTPUTS = 20
MAX_OUTPUT_CHARACTERS = 4_000

# Written out because strftime would follow the process's locale.
_MONTHS: tuple[str, ...] = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


@context_fetcher("user_profile")
def user_profile(context: FetchContext) -> dict[str, Any]:
    """The user's `name`, `email`, `join_date` ("January 2026") and `plan`."""
    user = context.source.user(_user_id(context))
    if user is None:
        raise ContextUnavailable("the user is unknown")
    joined = user.created_at
    return {
        "name": user.name,
        "email": user.email,
        "join_date": f"{_MONTHS[joined.month - 1]} {joined.year}",
        "plan": user.plan,
    }


@context_fetcher("recent_outputs")
def recent_outputs(context: FetchContext, *, limit: int = DEFAULT_OUTPUTS) -> list[dict[str, Any]]:
    """The user's last completed outputs, newest first, each text cut to 4,000 characters."""
    limit = _whole_number("limit", limit, largest=MAX_OUTPUTS)
    return [
        {
            "output_id": output.output_id,
            "template": output.template_name,
            "model": output.model_name,
            "text": output.text[:MAX_OUTPUT_CHARACTERS],
            "created_at": output.created_at,
        }
        for output in context.source.recent_outputs(_user_id(context), limit)
    ]


@context_fetcher("output_text")
def output_text(context: FetchContext, *, output_id: int) -> str:
    """The text of one stored output of the user."""
    number = _whole_number("output_id", output_id, largest=2**63 - 1)
    text = context.source.output_text(_user_id(context), number)
    if text is None:
        raise ContextUnavailable(f"there is no output {number}")
    return text


@context_fetcher("http_get")
async def http_get(context: FetchContext, *, name: str) -> dict[str, Any]:
    """What a registered URL answers: `text`, `content_type`, and `json` (null if it is none)."""
    from app.context.safe_http import get

    registered = await in_thread(lambda: context.source.registered_url(str(name)))
    if registered is None:
        raise ContextUnavailable(f"no URL is registered as {str(name)[:80]!r}")
    page = await get(registered.url, internal=registered.internal)
    return {"text": page.text, "content_type": page.content_type, "json": page.json}


def register(registry: Registry) -> None:
    """Enter all of them."""
    for fetcher in (user_profile, recent_outputs, output_text, http_get):
        fetcher.register(registry)


def _user_id(context: FetchContext) -> int:
    if context.user_id is None:
        raise ContextUnavailable("the job belongs to no user")
    return context.user_id


def _whole_number(name: str, value: Any, *, largest: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= largest:
        raise ContextUnavailable(f"{name} must be a whole number from 1 to {largest}")
    return value
