"""Titles a model finds: a small job beside a chat's first turn, whose answer becomes the title.

Nothing waits for it, and nothing fails with it: until it has ended, and when it comes to nothing,
the title is the first words of the first message. Somebody who renames the chat is faster.
"""

from __future__ import annotations

import re

import structlog
from sqlalchemy import Select, or_, select
from sqlalchemy.orm import Session

from app.accounts import Caller
from app.chats.titles import title_of
from app.errors import LLMJobsError
from app.jobs.meaning import find_route
from app.jobs.submit import accept
from app.lifecycle import NewJob
from app.prompts.chat import beside, chat_script
from app.providers.contract import Message
from app.runtime import Runtime
from models import ENDED, Chat, Format, LLMOutput, Queue, Status

log = structlog.get_logger(__name__)

MOST = 100
"""Titles that are given in one round."""

LONGEST = 80
MOST_CHARACTERS = 4_000
"""Of the first message, that the model gets."""

_MOST_TRIES = 2
_ASK = (
    "Find a title of three to ten words for a conversation that begins with the next message, in"
    " the language of the message. Answer with the title alone, without quotation marks. Do not"
    " answer the message."
)
_MARKUP = re.compile(r"[*_`#\"“”„«»]+")


def ask_for_title(runtime: Runtime, caller: Caller, chat_id: int, content: str) -> None:
    """Begin the job that finds a chat's title, if LLM_JOBS_CHAT_TITLE_MODEL names a model."""
    model = runtime.settings.chat_title_model
    if not model:
        return
    try:
        job = NewJob(
            template_name="chat/title",
            model_name=model,
            max_tries=min(_MOST_TRIES, runtime.settings.max_tries),
            max_age_seconds=runtime.settings.chat_turn_timeout_seconds,
            user_id=caller.user_id,
            format=Format.TEXT,
            bucket=find_route(runtime.settings, model).bucket,
            queue=Queue.LOW,
            script=beside(
                chat_script([Message("system", _ASK), Message("user", content[:MOST_CHARACTERS])])
            ),
        )
        accept(
            runtime,
            caller,
            [job],
            refer=lambda session, created: _note(session, chat_id, created[job.job_id].output_id),
        )
    except LLMJobsError as error:
        log.warning("chat has no title of its own", error=error.code)


def give_titles(runtime: Runtime) -> list[int]:
    """Give chats the titles that were found for them meanwhile; those chats."""
    with runtime.database.read() as session:
        if session.scalar(_found().limit(1)) is None:
            return []
    with runtime.database.write() as session:
        held = select(Chat).where(Chat.id.in_(_found().limit(MOST)))
        rows = session.scalars(held.with_for_update(skip_locked=True, of=Chat)).all()
        return [chat.id for chat in rows if _named(session, chat)]


def _note(session: Session, chat_id: int, output_id: int) -> None:
    session.get_one(Chat, chat_id).title_output_id = output_id
    session.flush()


def _found() -> Select[int]:
    """The chats whose title's job has ended, or is gone."""
    return (
        select(Chat.id)
        .join(LLMOutput, LLMOutput.id == Chat.title_output_id, isouter=True)
        .where(
            Chat.title_output_id.is_not(None),
            or_(LLMOutput.id.is_(None), LLMOutput.status.in_(sorted(ENDED))),
        )
    )


def _named(session: Session, chat: Chat) -> bool:
    """Whether a chat got the title that was found for it; asked for again it is not."""
    output = session.get(LLMOutput, chat.title_output_id) if chat.title_output_id else None
    chat.title_output_id = None
    if output is None or output.status != Status.COMPLETED:
        return False
    first_line = (output.raw_response or "").strip().partition("\n")[0]
    words = _MARKUP.sub("", first_line).removeprefix("Title:")
    if not words.strip():
        return False
    chat.title = title_of(words, longest=LONGEST)
    return True
