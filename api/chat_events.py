"""Server-Sent Events of one chat, composed of its rows and of the stream of the job that answers.

Rows decide: they are read again whenever news say that something moved, and now and then anyway, so
lost news lose nothing. Only text as it is written comes from the job's stream. The bytes are those
of `api.sse`. An event's id is `<output>.<place in its job's stream>`: what of the text was seen.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from api import sse
from app.chats import news_of
from app.errors import LLMJobsError
from app.runtime import Runtime
from app.streaming import StreamEvent

log = structlog.get_logger(__name__)

LOOK_SECONDS = 2.0
"""How often the rows are read again although no news came."""

KEEPALIVE_SECONDS = 3.0
"""Often, for only by writing is it noticed that a reader has gone; and a page that is loaded anew a
few times must not find all its places taken. (A job's stream ends by itself.)
"""

_OVERLAP_SECONDS = 5.0

_ID = re.compile(r"(\d{1,19})\.(\d{1,15}-\d{1,10})", re.ASCII)
_ENDS: Mapping[str, str] = {
    "success": "message_completed",
    "error": "message_failed",
    "cancelled": "message_cancelled",
}
_LIVE = ("delta", "reset")

Chat = Mapping[str, Any]
Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ChatEvent:
    """Something that happened in a chat, or a piece of text."""

    type: str
    data: Mapping[str, Any]
    id: str


def events_of(
    runtime: Runtime,
    chat_id: int,
    read_chat: Callable[[], Chat],
    *,
    after: str | None,
    stopping: Callable[[], bool] = lambda: False,
) -> Iterator[bytes]:
    """The same as `follow`, as an event stream."""
    for event in follow(runtime, chat_id, read_chat, after=after, stopping=stopping):
        yield sse.KEEPALIVE if event is None else sse.encode(event.type, event.data, id=event.id)


def follow(
    runtime: Runtime,
    chat_id: int,
    read_chat: Callable[[], Chat],
    *,
    after: str | None,
    stopping: Callable[[], bool] = lambda: False,
) -> Iterator[ChatEvent | None]:
    """The events of a chat, as long as it can be read and this process is not `stopping`; None
    where nothing happens for long.

    `read_chat` reads it; it raises one of our errors when that cannot be.
    """
    stream = _Stream(runtime, chat_id, read_chat, stopping)
    if seen := _ID.fullmatch(after or ""):
        stream.output_id, stream.place = int(seen[1]), seen[2]
    try:
        yield from stream.events()
    except LLMJobsError as error:  # the reader comes back and is told why
        log.info("event stream ended early", error=error.code)


class _Stream:
    """One reader's stream: the chat as it knows it, and how much of which answer it has seen."""

    def __init__(
        self,
        runtime: Runtime,
        chat_id: int,
        read_chat: Callable[[], Chat],
        stopping: Callable[[], bool],
    ) -> None:
        self._runtime = runtime
        self._chat_id = chat_id
        self._read_chat = read_chat
        self._stopping = stopping
        self._chat: Chat = {}
        self._spoken = self._looked = time.monotonic()
        self.output_id = 0
        self.place = sse.START

    def events(self) -> Iterator[ChatEvent | None]:
        """A snapshot, then one source of news after the other: the chat's, an answering job's."""
        self._chat = self._read_chat()
        yield self._event("snapshot", self._chat)
        while not self._stopping():
            turn = _active(self._chat)
            yield from self._of_chat() if turn is None else self._of_turn(turn)

    def _of_chat(self) -> Iterator[ChatEvent | None]:
        """Until a turn begins. What was told a moment before the snapshot may be told again."""
        since = f"{int((time.time() - _OVERLAP_SECONDS) * 1000)}-0"
        for news in self._news(news_of(self._chat_id), since):
            yield from self._look(news.event)
            if _active(self._chat) is not None:
                return

    def _of_turn(self, turn: Message) -> Iterator[ChatEvent | None]:
        """Until the turn has ended, or another one is under way."""
        if turn["output_id"] != self.output_id:
            self.output_id, self.place = turn["output_id"], sse.START
        for news in self._news(turn["job_id"], self.place):
            if news.event in _LIVE:
                if (_active(self._chat) or turn)["status"] == "pending":
                    yield from self._look("status")  # its start comes before its text
                self.place = news.id or self.place
                data = {name: value for name, value in news.data.items() if name != "attempt"}
                yield self._event(news.event, {"message_id": turn["id"], **data})
            else:
                yield from self._look(news.event)
            now = _active(self._chat)
            if now is None or now["output_id"] != self.output_id:
                return

    def _news(self, name: str, after: str) -> Iterator[StreamEvent]:
        events = self._runtime.events
        for news in events.follow(name, after, keepalive_seconds=sse.TICK_SECONDS):
            if self._stopping():
                return
            yield news

    def _look(self, why: str) -> Iterator[ChatEvent | None]:
        """What moved in the rows since the last look; a sign of life where nothing did for long."""
        moment = time.monotonic()
        if why != "keepalive" or moment - self._looked >= LOOK_SECONDS:
            before, self._chat, self._looked = self._chat, self._read_chat(), moment
            for event, data in changes(before, self._chat):
                yield self._event(event, data)
        if moment - self._spoken >= KEEPALIVE_SECONDS:
            self._spoken = moment
            yield None

    def _event(self, type: str, data: Mapping[str, Any]) -> ChatEvent:
        self._spoken = time.monotonic()
        return ChatEvent(type, data, f"{self.output_id}.{self.place}")


def changes(before: Chat, after: Chat) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """What moved between two readings of a chat; a fresh `snapshot` when messages were removed."""
    old, new = before["messages"], after["messages"]
    # Messages may also drop out because there are newer ones; then they are the oldest.
    first = min((m["seq"] for m in new.values()), default=0)
    if any(name not in new and (m["seq"] > first or not new) for name, m in old.items()):
        yield "snapshot", after
        return
    if before["title"] != after["title"]:
        yield "title", {"chat_id": after["id"], "title": after["title"]}
    for message_id in map(str, after["message_ids"]):
        message = new[message_id]
        if message_id not in old and message["role"] == "user":
            yield "user_message", message
        elif message["role"] == "assistant" and _moved(old.get(message_id), message):
            begun = "turn_started" if message["job_id"] else "turn_waiting"
            yield _ENDS.get(message["status"], begun), message


def _moved(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> bool:
    names = ("status", "output_id")
    return before is None or any(before[name] != after[name] for name in names)


def _active(chat: Chat) -> Mapping[str, Any] | None:
    """The message that is being written; not one whose turn has not come."""
    for message in chat["messages"].values():
        if message["status"] in ("pending", "processing") and message["job_id"]:
            return message  # type: ignore[no-any-return]
    return None
