"""A request of a service as it was read, whichever service it is; and how its parts are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from app.accounts import Caller
from app.providers.contract import Message
from app.runtime import Runtime
from app.services.problems import bad_request

_ROLES = ("user", "assistant")


class Asked(Protocol):
    """What the routes need of a request. `name` is the service's."""

    @property
    def name(self) -> str: ...

    def prepared(self, runtime: Runtime, caller: Caller) -> Asked:
        """The same with what has to be looked up for it; no transaction may be open."""

    def messages(self) -> list[Message]:
        """What the model gets."""

    def sayable(self, text: str) -> str:
        """As much of a growing answer as may be shown."""

    def again(self, answer: str) -> list[Message] | None:
        """What the model is asked once more because its answer cannot be used; None when it can."""

    def changes(self, response: Mapping[str, Any]) -> dict[str, Any] | None:
        """What a streamed answer's `changes` event says, if there is one."""

    def response(
        self, answer: str, usage: Mapping[str, int], *, longest: int, corrected: str | None = None
    ) -> dict[str, Any]:
        """What is answered. `longest` is how many characters it may have (0: any), `corrected` the
        answer to `again`. Raises ServiceError.
        """


def content_of(payload: Mapping[str, Any]) -> str:
    """What its author says; "" for nothing. Raises ServiceError for what is no text."""
    content = payload.get("content")
    if content is not None and not isinstance(content, str):
        raise bad_request("'content' must be a text")
    return content or ""


def history_of(payload: Mapping[str, Any]) -> Sequence[Mapping[str, str]]:
    """What was said before. Raises ServiceError."""
    history = payload.get("history")
    if history is not None and not isinstance(history, list):
        raise bad_request("'history' must be a list")
    return [_entry(one, number) for number, one in enumerate(history or [])]


def object_of(payload: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An object of the payload; what is none is empty."""
    value = payload.get(name)
    return value if isinstance(value, dict) else {}


def until(text: str, opening: str) -> str:
    """A growing text up to where a block begins, and up to what might be its beginning."""
    before, opened, _ = text.partition(opening)
    if opened:
        return before.rstrip()
    for length in range(min(len(opening) - 1, len(text)), 0, -1):
        if opening.startswith(text[-length:]):
            return text[:-length]
    return text


def _entry(value: Any, number: int) -> dict[str, str]:
    known = isinstance(value, dict) and value.get("role") in _ROLES
    if not known or not isinstance(value.get("content"), str):
        raise bad_request(f"'history[{number}]' must have a role and a content")
    return {"role": value["role"], "content": value["content"]}
