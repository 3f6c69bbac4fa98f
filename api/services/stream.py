"""The events of a streamed answer: Anthropic's, then `complete` or `error`.

`message_start` is first and once; blocks are numbered from 0, one open at a time; a status is a
whole block of thinking. The bytes are strict: LF only, one space after each colon, an empty line at
the very end, because the readers of these streams stumble over anything else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from api import sse

_SIGNATURE = "llm-jobs"


class Events:
    """Writes the events of one answer in an order that is always allowed."""

    def __init__(self, message_id: str, model: str) -> None:
        self._message_id = message_id
        self._model = model
        self._index = -1
        self._open = False

    def start(self) -> Iterator[bytes]:
        """The first event."""
        message: dict[str, Any] = {
            "id": self._message_id,
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [],
            "stop_reason": None,
            "usage": {"input_tokens": 0, "output_tokens": 0},
        }
        yield _event("message_start", {"message": message})

    def status(self, sentence: str) -> Iterator[bytes]:
        """What is being done, as a block of thinking."""
        yield from self._begin({"type": "thinking", "thinking": ""})
        yield self._delta({"type": "thinking_delta", "thinking": sentence})
        yield self._delta({"type": "signature_delta", "signature": _SIGNATURE})
        yield from self._end()

    def text(self, piece: str) -> Iterator[bytes]:
        """A piece of the answer; the block stays open for the next."""
        if not self._open:
            yield from self._begin({"type": "text", "text": ""})
        yield self._delta({"type": "text_delta", "text": piece})

    def changes(self, changes: Mapping[str, Any]) -> Iterator[bytes]:
        """What the answer changes in its reader's things, such as `yaml`."""
        yield from self._end()
        yield encoded("changes", changes)

    def complete(self, response: Mapping[str, Any], usage: Mapping[str, int]) -> Iterator[bytes]:
        """The end, with the whole response."""
        yield from self._end()
        yield _event("message_delta", {"delta": {"stop_reason": "end_turn"}, "usage": dict(usage)})
        yield _event("message_stop", {})
        yield encoded("complete", response)

    def fail(self, error: Mapping[str, Any]) -> Iterator[bytes]:
        """The end, without an answer."""
        yield from self._end()
        yield encoded("error", error)

    def _begin(self, block: Mapping[str, Any]) -> Iterator[bytes]:
        yield from self._end()
        self._index += 1
        self._open = True
        yield _event("content_block_start", {"index": self._index, "content_block": block})

    def _delta(self, delta: Mapping[str, Any]) -> bytes:
        return _event("content_block_delta", {"index": self._index, "delta": delta})

    def _end(self) -> Iterator[bytes]:
        if self._open:
            self._open = False
            yield _event("content_block_stop", {"index": self._index})


def encoded(event: str, data: Mapping[str, Any]) -> bytes:
    """One event without an id."""
    return sse.encode(event, data)


def _event(type: str, data: Mapping[str, Any]) -> bytes:
    return encoded(type, {"type": type, **data})
