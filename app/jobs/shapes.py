"""The shape of a request: types, words and limits of its fields. Pure; asks nobody.

Whoever reads JSON has checked most of this already; callers from Python have not.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from app import formats
from app.context.fetchers import normalise
from app.errors import InvalidParameter
from app.jobs.limits import check_text, check_value
from app.jobs.request import JobRequest
from models import Format, Queue

MAX_MESSAGES = 200

_ROLES = ("system", "user", "assistant")
_LONGEST = {"model": 255, "traceparent": 64}


def check_shapes(request: JobRequest) -> None:
    """Types and limits of every field but the four essential ones' presence.

    Raises InvalidParameter naming the field.
    """
    for name in ("template", "model", "system", "traceparent"):
        _expect(name, getattr(request, name), str, "a text")
    for name in ("options", "metadata", "response_schema", "workitem"):
        _expect(name, getattr(request, name), dict, "an object")
    for name in ("run_at", "deadline"):
        _expect_moment(name, getattr(request, name))
    for name in ("strict", "debug"):
        _expect(name, getattr(request, name), bool, "a boolean")
    if request.queue is not None and request.queue not in list(Queue):
        raise InvalidParameter(
            f"Invalid queue. Must be one of: {', '.join(Queue)}", pointer="/queue"
        )
    _check_messages(request)
    for name, longest in _LONGEST.items():
        if len(getattr(request, name) or "") > longest:
            raise InvalidParameter(
                f"Invalid {name}. Must be at most {longest} characters", pointer=f"/{name}"
            )
    for name in ("template", "model", "system", "traceparent"):
        check_text(getattr(request, name) or "", pointer=f"/{name}")
    for name in (
        "context",
        "options",
        "messages",
        "response_schema",
        "metadata",
        "fetchers",
        "workitem",
    ):
        check_value(getattr(request, name), pointer=f"/{name}", depth=2)


def check_schema(request: JobRequest) -> None:
    """A response schema must be one we can apply, and goes with the format json only."""
    if request.response_schema is None:
        return
    if request.format != Format.JSON:
        raise InvalidParameter("response_schema needs the format json", pointer="/response_schema")
    formats.check_schema(request.response_schema)


def known_fetchers(fetchers: Any) -> dict[str, dict[str, Any]]:
    """Name → arguments, as the row keeps them. Raises InvalidParameter for what cannot run."""
    if not fetchers:
        return {}
    normalise(fetchers)
    named = fetchers if isinstance(fetchers, dict) else dict.fromkeys(fetchers)
    return {name: args or {} for name, args in named.items()}


def _expect(name: str, value: Any, kind: type, words: str) -> None:
    if value is not None and not isinstance(value, kind):
        raise InvalidParameter(f"Invalid {name}. Must be {words}", pointer=f"/{name}")


def _expect_moment(name: str, value: Any) -> None:
    _expect(name, value, datetime, "a time")
    if value is not None and value.tzinfo is None:
        raise InvalidParameter(
            f"Invalid {name}: {value.isoformat()}. Give it a zone", pointer=f"/{name}"
        )


def _check_messages(request: JobRequest) -> None:
    messages: Any = request.messages
    if not messages:
        return
    if request.template is not None:
        raise InvalidParameter("Send template or messages, not both", pointer="/messages")
    if not isinstance(messages, list) or len(messages) > MAX_MESSAGES:
        raise InvalidParameter(
            f"Invalid messages. Must be a list of at most {MAX_MESSAGES}", pointer="/messages"
        )
    for number, message in enumerate(messages):
        if not _is_message(message):
            raise InvalidParameter(
                f'Invalid messages. Must be {{"role", "content"}} objects of texts, with a role of:'
                f" {', '.join(_ROLES)}",
                pointer=f"/messages/{number}",
            )
    if not any(m["content"].strip() for m in messages if m["role"] != "system"):
        raise InvalidParameter(
            "Invalid messages. One of user or assistant must say something", pointer="/messages"
        )


def _is_message(message: Any) -> bool:
    return (
        isinstance(message, dict)
        and message.keys() == {"role", "content"}
        and isinstance(message["content"], str)
        and message["role"] in _ROLES
    )
