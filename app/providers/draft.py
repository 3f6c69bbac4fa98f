"""An answer being put together from a reply: what all wire formats have in common.

A format's subclass says which field means what; nothing here sends, or knows an SDK.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Protocol

from app.errors import InvalidResponse, Refused
from app.providers.contract import Answer, Call, Stop, Usage
from app.providers.events import Event
from app.providers.limits_headers import limits
from app.text import clean_text

MAX_TEXT = 8 * 1024 * 1024
"""Characters of one answer."""


class Response(Protocol):
    """What both SDKs' raw responses have."""

    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def status_code(self) -> int: ...
    @property
    def request_id(self) -> str | None: ...
    async def read(self) -> bytes: ...
    def iter_bytes(self) -> AsyncIterator[bytes]: ...
    async def close(self) -> None: ...


class Text:
    """The text of an answer as it grows, storable at every moment."""

    def __init__(self) -> None:
        self.first_at: float | None = None
        self._parts: list[str] = []
        self._half = ""
        self._length = 0

    def add(self, piece: object) -> str:
        """Append `piece` (None adds nothing) and return what of it can be shown now, clean."""
        if piece is None or piece == "":
            return ""
        if not isinstance(piece, str):
            raise InvalidResponse(f"the answer's text is of type {type(piece).__name__}")
        if self.first_at is None:
            self.first_at = perf_counter()
        piece = self._half + piece
        # Half of a character, cut in two by the stream: wait for the other half.
        self._half = piece[-1] if "\ud800" <= piece[-1] <= "\udbff" else ""
        return self._append(piece[:-1] if self._half else piece)

    def __str__(self) -> str:
        return "".join([*self._parts, clean_text(self._half)])

    def _append(self, piece: str) -> str:
        self._length += len(piece)
        if self._length > MAX_TEXT:
            raise InvalidResponse(f"the answer is longer than {MAX_TEXT:,} characters")
        cleaned = clean_text(piece)
        self._parts.append(cleaned)
        return cleaned


@dataclass
class Draft(ABC):
    """The answer so far. `ended`: a terminal event was seen, what is here is all of it;
    `about`: the reply's short texts (`id`, `model`, `service_tier`).
    """

    provider: str
    response: Response
    ended: bool = False
    text: Text = field(default_factory=Text)
    about: dict[str, str | None] = field(default_factory=dict)

    @property
    @abstractmethod
    def usage(self) -> Usage | None: ...

    @abstractmethod
    def take(self, event: Event) -> str:
        """Take one event in; returns the text it added. Raises CallError."""

    @abstractmethod
    def take_whole(self, body: Mapping[str, Any]) -> None:
        """Take a reply that is not a stream. Raises CallError."""

    @abstractmethod
    def stop(self) -> tuple[Stop, str]:
        """Why the model stopped, and for a refusal the vendor's words about it."""

    def answer(self, call: Call, started: float, warnings: list[str]) -> Answer:
        """The complete answer to `call`, sent at `started` (`perf_counter`).

        Raises Refused, or InvalidResponse when nothing was said: an answer cut by the token limit
        may be empty (the model may have thought until then), any other may not.
        """
        text, (stop, words) = str(self.text), self.stop()
        if stop in (Stop.REFUSED, Stop.FILTERED):
            raise Refused(words[:300], usage=self.usage, text=text)
        if stop in (Stop.DONE, Stop.TOOL) and not text.strip():
            what = "is empty" if stop is Stop.DONE else "is a call of a tool, not a text"
            raise InvalidResponse(f"the answer {what}", usage=self.usage)
        first = self.text.first_at if is_stream(self.response) else None
        return Answer(
            text=text,
            stop=stop,
            usage=self.usage,
            model=self.about.get("model") or call.model,
            request_id=self.response.request_id or self.about.get("id"),
            response_id=self.about.get("id"),
            http_status=self.response.status_code,
            service_tier=self.about.get("service_tier"),
            first_token_seconds=None if first is None else first - started,
            limits=limits(self.response.headers),
            warnings=tuple(warnings),
        )

    def tell(self, body: Mapping[str, Any]) -> None:
        """Note what `body` says about the answer; what it does not say stays."""
        for name in ("id", "model", "service_tier"):
            self.about[name] = word(body.get(name)) or self.about.get(name)


def is_stream(response: Response) -> bool:
    """Whether the reply is a stream of events."""
    return response.headers.get("content-type", "").startswith("text/event-stream")


def parse_object(data: bytes) -> Mapping[str, Any]:
    """`data` as a JSON object. Raises InvalidResponse, whatever was sent instead."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        page = " but a web page" if data[:200].lstrip().startswith(b"<") else ""
        raise InvalidResponse(f"the answer is not JSON{page}") from None
    if not isinstance(value, dict):
        raise InvalidResponse(f"the answer is not a JSON object but {type(value).__name__}")
    return value


def count(value: object) -> int:
    """A token count out of a reply: 0 for anything that is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def counted(usage: Mapping[str, Any], *names: str) -> bool:
    """Whether `usage` counts anything: an unknown usage must not look like none."""
    return any(count(usage.get(name)) for name in names)


def word(value: object) -> str | None:
    """A short text field of a reply, clean; None for anything else."""
    return clean_text(value)[:255] if isinstance(value, str) and value else None
