"""The events of a streamed answer: Anthropic's, then `complete` or `error`.

`message_start` is first and once; blocks are numbered from 0, one open at a time; a status is a
whole block of thinking. How they are sent is not known here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_SIGNATURE = "llm-jobs"


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `complete` and `error` are the last."""

    type: str
    data: Mapping[str, Any]


class Events:
    """Makes the events of one answer in an order that is always allowed."""

    def __init__(self, message_id: str, model: str) -> None:
        self._message_id = message_id
        self._model = model
        self._index = -1
        self._open = False

    def start(self) -> Iterator[Event]:
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
        yield _typed("message_start", {"message": message})

    def status(self, sentence: str) -> Iterator[Event]:
        """What is being done, as a block of thinking."""
        yield from self._begin({"type": "thinking", "thinking": ""})
        yield self._delta({"type": "thinking_delta", "thinking": sentence})
        yield self._delta({"type": "signature_delta", "signature": _SIGNATURE})
        yield from self._end()

    def text(self, piece: str) -> Iterator[Event]:
        """A piece of the answer; the block stays open for the next."""
        if not self._open:
            yield from self._begin({"type": "text", "text": ""})
        yield self._delta({"type": "text_delta", "text": piece})

    def changes(self, changes: Mapping[str, Any]) -> Iterator[Event]:
        """What the answer changes in its reader's things, such as `yaml`."""
        yield from self._end()
        yield Event("changes", changes)

    def complete(self, response: Mapping[str, Any], usage: Mapping[str, int]) -> Iterator[Event]:
        """The end, with the whole response."""
        yield from self._end()
        yield _typed("message_delta", {"delta": {"stop_reason": "end_turn"}, "usage": dict(usage)})
        yield _typed("message_stop", {})
        yield Event("complete", response)

    def fail(self, error: Mapping[str, Any]) -> Iterator[Event]:
        """The end, without an answer."""
        yield from self._end()
        yield Event("error", error)

    def _begin(self, block: Mapping[str, Any]) -> Iterator[Event]:
        yield from self._end()
        self._index += 1
        self._open = True
        yield _typed("content_block_start", {"index": self._index, "content_block": block})

    def _delta(self, delta: Mapping[str, Any]) -> Event:
        return _typed("content_block_delta", {"index": self._index, "delta": delta})

    def _end(self) -> Iterator[Event]:
        if self._open:
            self._open = False
            yield _typed("content_block_stop", {"index": self._index})


def _typed(type: str, data: Mapping[str, Any]) -> Event:
    return Event(type, {"type": type, **data})
