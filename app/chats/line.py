"""The line of a chat: messages that were sent while a turn was in progress, in their order.

A waiting answer has no job: what its model gets is known only when the turn before it has ended.
The dispatcher asks for the next one every tick, so it does not matter who ended a turn, or how. Of
two dispatchers that begin the same turn the second finds, holding the chat, that it has begun.
"""

from __future__ import annotations

from typing import Any

import structlog
from sqlalchemy import Select, select
from sqlalchemy.orm import Session, aliased

from app.accounts import caller_of
from app.chats.sources import look_up_again
from app.chats.turns import ACTIVE, Begun, Request, take, tell, turn_job
from app.errors import Forbidden, RequestError
from app.runtime import Runtime
from models import Chat, ChatMessage, LLMOutput, User

log = structlog.get_logger(__name__)

MOST = 100
"""Turns that are begun in one round."""

_CANNOT = "The message waited for its turn, and then could not be asked: {reason}"


class _Gone(Exception):
    """The turn has begun meanwhile, was given up, or another one is in progress."""


def begin_waiting(runtime: Runtime) -> list[int]:
    """Begin the first waiting turn of every chat in which none is in progress; the outputs. One
    that cannot begin (its model is served no longer) has failed, so that the next can.
    """
    with runtime.database.read() as session:
        found = session.scalars(_next_turns()).all()
    return [output_id for answer_id in found if (output_id := _begin(runtime, answer_id))]


def _next_turns() -> Select[int]:
    """The first waiting answer of each chat that has no turn in progress."""
    other = aliased(ChatMessage)
    earlier = select(other.id).where(
        other.chat_id == ChatMessage.chat_id,
        other.seq < ChatMessage.seq,
        other.waiting.is_not(None),
    )
    return (
        select(ChatMessage.id)
        .where(
            ChatMessage.waiting.is_not(None),
            ~earlier.exists(),
            ~_in_progress(ChatMessage.chat_id).exists(),
        )
        .order_by(ChatMessage.id)
        .limit(MOST)
    )


def _in_progress(chat_id: Any) -> Select[int]:
    other = aliased(ChatMessage)
    return (
        select(other.id)
        .join(LLMOutput, LLMOutput.id == other.output_id)
        .where(other.chat_id == chat_id, LLMOutput.status.in_(ACTIVE))
    )


def _begin(runtime: Runtime, answer_id: int) -> int | None:
    with runtime.database.read() as session:
        answer = session.get_one(ChatMessage, answer_id)
        question = session.get_one(ChatMessage, answer.reply_to_id)
        chat = session.get_one(Chat, answer.chat_id)
        author = session.get(User, question.author_id) if question.author_id else None
    if author is None or not author.active:
        _fail(runtime, answer_id, Forbidden("its author is here no more"))
        return None
    asked = answer.waiting or {}
    request = Request(content="", traceparent=asked.get("traceparent"))
    model = asked.get("model") or chat.meta.get("model")
    try:
        job = turn_job(runtime.settings, caller_of(author), chat.kind, model, request)
        looked = look_up_again(runtime, caller_of(author), chat, question)
        taken = take(
            runtime, caller_of(author), job, lambda session: _its_turn(session, answer_id), looked
        )
    except _Gone:
        return None
    except RequestError as error:
        _fail(runtime, answer_id, error)
        return None
    return taken.job.output_id if taken.job else None


def _its_turn(session: Session, answer_id: int) -> Begun:
    """The turn, with its chat held. Raises _Gone."""
    answer = session.get_one(ChatMessage, answer_id)
    chat = session.scalars(select(Chat).where(Chat.id == answer.chat_id).with_for_update()).one()
    session.refresh(answer)
    if answer.waiting is None or session.scalar(_in_progress(chat.id).limit(1)) is not None:
        raise _Gone
    answer.waiting = None
    return Begun(chat, session.get_one(ChatMessage, answer.reply_to_id), answer)


def _fail(runtime: Runtime, answer_id: int, error: RequestError) -> None:
    with runtime.database.write() as session:
        answer = session.get_one(ChatMessage, answer_id)
        answer.waiting, answer.failure_category = None, "internal"
        answer.failure_message = _CANNOT.format(reason=error.message)[:500]
        chat_id = answer.chat_id
    log.warning("chat turn refused", error=error.code)
    tell(runtime, chat_id)
