"""What was asked and what is said, between the wires that read it and the wires that write it.

Only values and the seam: `answers` makes what is said, `openai_wire` and `anthropic_wire` do the
translating.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from app.simulator.behaviour import Behaviour


class End(StrEnum):
    """Why the model stopped."""

    DONE = "done"
    LENGTH = "length"
    WINDOW = "window"
    REFUSED = "refused"
    FILTERED = "filtered"
    TOOL = "tool"
    PAUSED = "paused"


class Rejected(Exception):
    """A request the vendor would not take, before anything is generated."""

    def __init__(self, message: str, *, status: int = 400, code: str = "", param: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code
        self.param = param


@dataclass(frozen=True, slots=True)
class Question:
    """One request to a model, whatever its wire.

    `messages` are (role, text), system texts first; `limit` is the most output tokens; `schema`
    is the JSON Schema the answer must match, `json` that it must be JSON; `usage_wanted` is
    OpenAI's `stream_options.include_usage`.
    """

    model: str
    messages: tuple[tuple[str, str], ...]
    limit: int | None = None
    stream: bool = False
    usage_wanted: bool = False
    json: bool = False
    schema: Any = None

    @property
    def prompt(self) -> str:
        """The last user message; the last of all where no user speaks."""
        for role, text in reversed(self.messages):
            if role == "user":
                return text
        return self.messages[-1][1] if self.messages else ""

    @property
    def input_tokens(self) -> int:
        return tokens(sum(len(text) for _, text in self.messages))


@dataclass(frozen=True, slots=True)
class Said:
    """What the model says; `number` makes its ids, `cached_tokens` are part of `input_tokens`."""

    number: int
    text: str
    end: End
    input_tokens: int
    cached_tokens: int = 0
    tool_ids: tuple[str, ...] = ()

    @property
    def output_tokens(self) -> int:
        return tokens(len(self.text))

    @property
    def pieces(self) -> list[str]:
        """The text as a stream brings it, a token at a time."""
        return [self.text[i : i + 4] for i in range(0, len(self.text), 4)]


@dataclass(frozen=True, slots=True)
class Script:
    """A streamed answer in three acts, each event ready to send."""

    opening: bytes
    pieces: list[bytes]
    closing: bytes


@dataclass(frozen=True, slots=True)
class Failure:
    """A proper error reply."""

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


class Wire(Protocol):
    """One vendor's format."""

    name: str

    def read(self, body: Mapping[str, Any], headers: Mapping[str, str]) -> Question:
        """What a request body asks. Raises Rejected as the vendor would."""
        ...

    def reply(self, question: Question, said: Said) -> Mapping[str, Any]:
        """The body of a plain answer."""
        ...

    def script(self, question: Question, said: Said) -> Script:
        """The events of a streamed answer."""
        ...

    def failure(self, word: str, number: int) -> Failure:
        """The reply to a word of kind error."""
        ...

    def rejection(self, why: Rejected, number: int) -> Failure:
        """The reply to a request that was not taken."""
        ...

    def event_error(self) -> bytes:
        """The event that breaks a stream off."""
        ...

    def broken(self, word: str, question: Question, said: Said) -> Mapping[str, Any]:
        """The reply whose envelope is wrong in the named way."""
        ...

    def scripted(self, body: bytes) -> bytes:
        """A stream that brings this document as its only event before the terminal one."""
        ...

    def models(self, names: tuple[str, ...]) -> Mapping[str, Any]:
        """The list of models."""
        ...

    def headers(self, number: int, behaviour: Behaviour) -> dict[str, str]:
        """Request id and rate-limit news, as the vendor sends them."""
        ...


def tokens(characters: int) -> int:
    """The simulator's count of tokens: a quarter of the characters, at least one."""
    return max(1, characters // 4)


def dumps(value: Any) -> bytes:
    """Compact ASCII JSON: whatever a text holds, lone surrogates included, fits the wire."""
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def plain_text(content: Any, where: str) -> str:
    """The text of a message's content: a string, or a list of text parts. Raises Rejected."""
    if isinstance(content, str):
        return content
    if content is None:
        return ""
    if not isinstance(content, list):
        raise Rejected(f"{where}: expected a string or a list of parts", param=where)
    return "".join(_part_text(part, where) for part in content)


def _part_text(part: Any, where: str) -> str:
    if not isinstance(part, Mapping) or not isinstance(part.get("type"), str):
        raise Rejected(f"{where}: each part needs a type", param=where)
    text = part.get("text", "")
    if not isinstance(text, str):
        raise Rejected(f"{where}: text must be a string", param=where)
    return text


def whole_number(body: Mapping[str, Any], name: str) -> int | None:
    """A positive integer parameter, or None where it is absent. Raises Rejected."""
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise Rejected(f"{name}: expected a whole number of at least 1, not {value!r}", param=name)
    return value
