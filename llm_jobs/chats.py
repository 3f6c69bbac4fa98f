"""`client.chats`: conversations over HTTP, every turn of which is a job."""

from __future__ import annotations

import uuid
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from llm_jobs.errors import Unreachable
from llm_jobs.events import Event, read_events
from llm_jobs.transport import Transport

_CHATS = "/api/v1/chats"
_MESSAGES = "/api/v1/chat_messages"
_STREAM_BREAKS = 5
_WRITTEN = ("pending", "processing")

Facts = Mapping[str, Any]
"""A chat, a message or a turn, as the API shows it."""


class Chats:
    """Chats and their messages; each may be given as its number, or as it was shown.

    What is said carries an id of its own, so it is added once however often the network makes it be
    sent.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(
        self, prompt: str | None = None, *, client_message_id: str | None = None, **more: Any
    ) -> Facts:
        """Start a chat, with a first message unless there is no `prompt`; `more` are the other
        fields of `POST /api/v1/chats`, such as `model`, `kind`, `step_id` and `context`.
        """
        own = client_message_id or str(uuid.uuid4())
        return self._post(_CHATS, prompt=prompt, client_message_id=own, **more)

    def send(
        self,
        chat: Any,
        content: str,
        *,
        queue: bool = False,
        client_message_id: str | None = None,
        **more: Any,
    ) -> Facts:
        """Say something: both messages of the turn, and its `job`. With `queue` it waits where a
        turn is in progress. `more` are the other fields of the route, such as `model` and `page`.
        """
        own = client_message_id or str(uuid.uuid4())
        said = {"content": content, "queue": queue, "client_message_id": own, **more}
        return self._post(f"{_CHATS}/{_number(chat)}/messages", **said)

    def get(self, chat: Any) -> Facts:
        """A chat with its newest messages."""
        return self._send("GET", f"{_CHATS}/{_number(chat)}")

    def list(self, *, limit: int = 100, **filters: Any) -> Iterator[Facts]:
        """One's own chats and those one was let into, newest first; asks for the next page when it
        is needed. `filters` are those of `GET /api/v1/chats`; `limit` is the size of a page.
        """
        return self._transport.pages(_CHATS, limit=limit, filters=filters)

    def messages(self, chat: Any, *, after_seq: int = 0) -> Iterator[Facts]:
        """Every message from one on, in their order."""
        path = f"{_CHATS}/{_number(chat)}/messages"
        while True:
            page = self._send("GET", path, query={"after_seq": after_seq})
            yield from page["data"]
            if not page["has_more"]:
                return
            after_seq = page["data"][-1]["seq"]

    def answer(self, turn: Facts) -> Facts:
        """The assistant's message once it has ended, well or not, of what `create`, `send` or
        `retry` gave. Raises as `events`, and LookupError when it was removed meanwhile.
        """
        message = turn["messages"][str(turn["message_ids"][-1])]
        for event in self.events(message["chat_id"]):
            found = event.data
            if event.event == "snapshot":
                found = event.data["messages"].get(str(message["id"]))
                if found is None:
                    raise LookupError(f"message {message['id']} was removed")
            if found.get("id") == message["id"] and found["status"] not in _WRITTEN:
                return found
        raise Unreachable("the stream ended")

    def events(self, chat: Any, *, after: str | None = None) -> Generator[Event, None, None]:
        """What happens in a chat, as it happens: a `snapshot` first, also where a broken stream is
        taken up. Endless; raises Unreachable when it keeps breaking, ApiError when it is refused.
        """
        breaks = 0
        while breaks < _STREAM_BREAKS:
            breaks += 1
            for event in self._until_it_breaks(_number(chat), after):
                breaks, after = 0, event.id or after
                yield event
        raise Unreachable(f"the events of chat {_number(chat)} keep breaking off")

    def retry(self, message: Any) -> Facts:
        """Ask again for an answer that failed or was stopped: its turn."""
        return self._send("POST", f"{_MESSAGES}/{_number(message)}/retry", repeats=False)

    def stop(self, message: Any) -> Facts:
        """Stop an answer; what was written is kept."""
        return self._send("POST", f"{_MESSAGES}/{_number(message)}/cancel")

    def feedback(self, message: Any, feedback: str, *, comment: str | None = None) -> None:
        """Say what an answer is worth: `thumbs_up`, `thumbs_down` or `none`."""
        path = f"{_MESSAGES}/{_number(message)}/feedback"
        self._post(path, feedback_type=feedback, comment=comment)

    def rename(self, chat: Any, title: str) -> Facts:
        """Give a chat another title."""
        return self._send("PATCH", f"{_CHATS}/{_number(chat)}", json={"title": title})

    def set_context(self, chat: Any, **context: str) -> Facts:
        """Tell a chat what its step is like now, in place of all it knew of it: `adaptor`,
        `expression`, `input`, `output`, `log`.
        """
        return self._send("PUT", f"{_CHATS}/{_number(chat)}/context", json=context)

    def bring_in(self, chat: Any, asset_type: str, asset_id: Any) -> Facts:
        """Let a chat be about an asset from now on; no model is asked."""
        named = {"asset_type": asset_type, "asset_id": str(asset_id)}
        return self._send("POST", f"{_CHATS}/{_number(chat)}/assets", json=named)

    def make_pass(self, chat: Any) -> Facts:
        """A pass to one chat for ten minutes, for its panel in a frame: `chat_id`, `token` and
        `expires_at`.
        """
        return self._send("POST", f"{_CHATS}/{_number(chat)}/passes")

    def share(self, chat: Any, user_id: int, role: str = "can_view") -> None:
        """Let somebody in: `can_view`, `can_edit` (they may write), `full_access` or `owner`."""
        self._post(f"{_CHATS}/{_number(chat)}/grants", user_id=user_id, role=role)

    def grants(self, chat: Any) -> Sequence[Facts]:
        """Who may what in a chat."""
        found: Sequence[Facts] = self._send("GET", f"{_CHATS}/{_number(chat)}/grants")["data"]
        return found

    def status(self) -> Facts:
        """Whether one can be answered now, what stands in the way, and what of the allowance is
        left.
        """
        return self._send("GET", "/api/v1/chat/status")

    def unshare(self, chat: Any, user_id: int) -> None:
        """Let somebody see a chat no more."""
        self._send("DELETE", f"{_CHATS}/{_number(chat)}/grants/{user_id}", repeats=False)

    def remove(self, chat: Any) -> None:
        """Remove a chat, and stop what is being written in it."""
        self._send("DELETE", f"{_CHATS}/{_number(chat)}", repeats=False)

    def _until_it_breaks(self, chat_id: int, after: str | None) -> Iterator[Event]:
        headers = {"Last-Event-ID": after} if after else {}
        path = f"{_CHATS}/{chat_id}/events"
        with suppress(Unreachable), self._transport.lines(path, headers=headers) as lines:
            yield from read_events(lines)

    def _post(self, path: str, **fields: Any) -> Facts:
        said = {name: value for name, value in fields.items() if value is not None}
        return self._send("POST", path, json=said)

    def _send(self, method: str, path: str, **how: Any) -> Facts:
        body: Facts = self._transport.send(method, path, **how)[0]
        return body


def _number(thing: Any) -> int:
    """The number of a chat or a message. Raises TypeError for what is neither."""
    found = thing.get("id") if isinstance(thing, Mapping) else thing
    if isinstance(found, bool) or not isinstance(found, int):
        raise TypeError(f"expected a chat or a message, or its number, not {type(thing).__name__}")
    return found
