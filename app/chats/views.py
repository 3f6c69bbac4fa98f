"""Chats and messages as clients see them.

An assistant's message is the projection of its job, read with it in one query: whatever becomes of
the job, and whoever finds out, the message says the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session, defer

from app.accounts import Caller
from app.grants import role_with
from app.moments import iso
from models import Attempt, Chat, ChatGrant, ChatMessage, ChatRetrieval, LLMOutput, Status

NEWEST = 100
"""Messages that are shown with a chat."""

QUOTA = "quota"
GIVEN_UP = "cancelled"
"""The category of an answer that was given up while its turn had not come."""

_LARGE = (LLMOutput.script, LLMOutput.prompt, LLMOutput.parsed_output)
"""Not read with messages: each script holds the conversation once more."""

_STATUSES: Mapping[str, str] = {
    Status.PENDING: "pending",
    Status.PROCESSING: "processing",
    Status.COMPLETED: "success",
    Status.FAILED: "error",
    Status.CANCELLED: "cancelled",
}
_SENTENCES: Mapping[str, str] = {
    "timeout": "The assistant did not answer in time. You can try again.",
    "abandoned": "The assistant was interrupted. You can try again.",
    "upstream_error": "The model could not answer. You can try again.",
    "incomplete_response": "The answer broke off; what there is was kept. You can try again.",
    "removed": "The answer was removed. You can ask again.",
    "internal": "Something went wrong. You can try again.",
}
_CATEGORIES: Mapping[str, str] = {
    "timeout": "timeout",
    "expired": "timeout",
    "poison": "abandoned",
    "worker_lost": "abandoned",
    "internal": "internal",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """A message with what its job says of it."""

    message: ChatMessage
    output: LLMOutput | None
    seen: str | None = None
    """What had been written of an answer that failed."""
    found: Sequence[Mapping[str, Any]] | None = None
    """The sources the answer was given, best first."""
    warning: str | None = None

    @property
    def status(self) -> str:
        """`pending`, `processing`, `success`, `error` or `cancelled`."""
        if self.message.waiting is not None:
            return "pending"
        if self.output is not None:
            return _STATUSES[self.output.status]
        if self.message.failure_category == GIVEN_UP:
            return "cancelled"
        answers = self.message.role == "assistant" and self.message.reply_to_id is not None
        return "error" if answers else "success"

    @property
    def active(self) -> bool:
        return self.status in ("pending", "processing")

    @property
    def text(self) -> str:
        """What was said; of an answer that failed or was stopped, as much as there is."""
        if self.output is None:
            return self.message.content or ""
        if self.output.status == Status.FAILED:
            return self.seen or ""  # the row's own sentence is no answer
        return self.output.raw_response or ""

    @property
    def failure(self) -> dict[str, str] | None:
        """Why there is no answer, in words for people; a provider's own are never shown."""
        if self.status != "error":
            return None
        if self.output is None:
            category = self.message.failure_category or "removed"
            return {
                "category": category,
                "message": self.message.failure_message or _SENTENCES["removed"],
            }
        category = _CATEGORIES.get(self.output.error_code or "", "upstream_error")
        category = "incomplete_response" if self.seen else category
        return {"category": category, "message": _SENTENCES[category]}

    @property
    def job(self) -> dict[str, Any] | None:
        """The job that answers, or did."""
        if self.output is None:
            return None
        return {"id": self.output.job_id, "status": self.output.status}

    def to_json(self) -> dict[str, Any]:
        message, output = self.message, self.output
        return {
            "id": message.id,
            "chat_id": message.chat_id,
            "seq": message.seq,
            "role": message.role,
            "content": self.text,
            "status": self.status,
            "failure": self.failure,
            "page": message.page,
            "attachments": message.attachments,
            "parts": message.parts,
            "output_id": output.id if output else None,
            "job_id": output.job_id if output else None,
            "reply_to_id": message.reply_to_id,
            "author_id": message.author_id,
            "client_message_id": message.client_message_id,
            "sources": [dict(one) for one in self.found or ()],
            "warning": self.warning,
            "usage": _usage(output),
            "feedback": output.feedback_word if output else "none",
            "created_at": iso(message.created_at),
            "started_at": iso(output.started_at) if output else None,
            "completed_at": iso(output.finished_at) if output else None,
        }


def describe(session: Session, caller: Caller, chat: Chat) -> dict[str, Any]:
    """One chat with its newest messages."""
    shown = newest_messages(session, chat.id)
    return {
        **describe_many(session, caller, [chat])[0],
        "message_ids": [one.message.id for one in shown],
        "messages": {str(one.message.id): one.to_json() for one in shown},
    }


def describe_many(session: Session, caller: Caller, chats: Sequence[Chat]) -> list[dict[str, Any]]:
    """Chats as JSON, without their messages."""
    mine = (ChatGrant.user_id == caller.user_id) & ChatGrant.chat_id.in_([c.id for c in chats])
    grants = {grant.chat_id: grant for grant in session.scalars(select(ChatGrant).where(mine))}
    return [
        {
            "id": chat.id,
            "title": chat.title,
            "kind": chat.kind,
            "project": chat.project or None,
            "step_id": chat.step_id,
            "model": chat.meta.get("model"),
            "last_page": chat.last_page,
            "asset": _asset(chat),
            "role": role_with(grants.get(chat.id), caller, chat),
            "user_id": chat.user_id,
            "created_at": iso(chat.created_at),
            "updated_at": iso(chat.updated_at),
            "archived_at": iso(chat.archived_at),
        }
        for chat in chats
    ]


def newest_messages(session: Session, chat_id: int, *, limit: int = NEWEST) -> list[Shown]:
    """A chat's last messages, in their order."""
    newest = _messages(chat_id).order_by(ChatMessage.seq.desc()).limit(limit)
    return _shown(session.execute(newest).all())[::-1]


def messages_after(
    session: Session, chat_id: int, *, after_seq: int = 0, limit: int = NEWEST
) -> list[Shown]:
    """A chat's messages from one on, in their order."""
    query = _messages(chat_id).where(ChatMessage.seq > after_seq)
    return _shown(session.execute(query.order_by(ChatMessage.seq).limit(limit)).all())


def shown_message(session: Session, message_id: int) -> Shown:
    """One message that is known to be there."""
    query = _joined().where(ChatMessage.id == message_id)
    return _shown(session.execute(query).all())[0]


_Rows = Select[ChatMessage, LLMOutput, str | None, list[dict[str, Any]], str | None]


def _messages(chat_id: int) -> _Rows:
    return _joined().where(ChatMessage.chat_id == chat_id, ChatMessage.deleted_at.is_(None))


def _joined() -> _Rows:
    last = (Attempt.output_id == LLMOutput.id) & (Attempt.number == LLMOutput.fence)
    return (
        select(ChatMessage, LLMOutput, Attempt.text, ChatRetrieval.found, ChatRetrieval.warning)
        .join(LLMOutput, LLMOutput.id == ChatMessage.output_id, isouter=True)
        .join(Attempt, last & (LLMOutput.status == Status.FAILED), isouter=True)
        .join(ChatRetrieval, ChatRetrieval.message_id == ChatMessage.id, isouter=True)
        .options(*(defer(column) for column in _LARGE))
    )


def _shown(rows: Sequence[Any]) -> list[Shown]:
    return [Shown(*row) for row in rows]


def _asset(chat: Chat) -> dict[str, Any] | None:
    """What a chat is about, in the version it was brought in."""
    if chat.asset_type is None:
        return None
    return {"type": chat.asset_type, "id": chat.asset_id, "version": chat.asset_version}


def _usage(output: LLMOutput | None) -> dict[str, int | None] | None:
    if output is None or output.input_tokens is None:
        return None
    return {"input_tokens": output.input_tokens, "output_tokens": output.output_tokens}
