"""A turn: what somebody says, and the job whose answer is the assistant's message.

Both messages and the job are one transaction. It holds the chat first, so of two turns that begin
at once the second finds the first, and is refused, or waits its turn (`line.py`) if it asked to;
and nothing a person wrote is lost: over the allowance their message stays, and the assistant's says
why there is no answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session, defer

from app import feedback, jobs
from app.accounts import OPERATOR, Caller
from app.chats.access import check_may_chat, get_chat, get_message, held_chat
from app.chats.conversation import conversation
from app.chats.naming import ask_for_title
from app.chats.sources import NOTHING, Looked, keep_with, look_up, look_up_again
from app.chats.titles import NEW_CHAT, title_of
from app.chats.views import GIVEN_UP, QUOTA, shown_message
from app.errors import Conflict, InvalidParameter, MissingParameter, TurnInProgress
from app.jobs import Submission
from app.jobs.limits import check_text
from app.jobs.meaning import find_route
from app.jobs.submit import accept, over_allowance
from app.lifecycle import Created, NewJob
from app.prompts.chat import chat_script
from app.runtime import Runtime
from app.settings import Settings
from models import (
    Chat,
    ChatMessage,
    Derivation,
    Format,
    GrantRole,
    LLMOutput,
    Queue,
    Role,
    Status,
    User,
)
from models.types import now

_OVER = "The token allowance is used up. Your message was kept; try again when there is more."
ACTIVE = (Status.PENDING, Status.PROCESSING)

MOST_WAITING = 20
"""Messages of one chat whose turn has not come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What somebody says. `message_id` is the message it is said in place of, and of all that came
    after it. `context` joins what the chat knows already; of that, only the parts that
    `attachments` names go with the message (None: all). `read_only` None leaves it as it is. With
    `queue` it waits its turn where another one is in progress.
    """

    content: str
    page: dict[str, Any] | None = None
    context: dict[str, Any] | None = None
    read_only: bool | None = None
    model: str | None = None
    client_message_id: str | None = None
    attachments: Sequence[str] | None = None
    message_id: int | None = None
    queue: bool = False
    traceparent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A turn that was taken: its messages in order, its job unless the allowance was used up or its
    turn has not come.

    `new` is False when the same request came before, and nothing was added.
    """

    chat_id: int
    message_ids: tuple[int, ...] = ()
    job: Submission | None = None
    new: bool = True
    limit: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Begun:
    """What a turn stands on, in its transaction."""

    chat: Chat
    question: ChatMessage
    answer: ChatMessage
    parent: LLMOutput | None = None


@dataclass
class SaidBefore(Exception):
    """The same `client_message_id` was seen. Never leaves this package."""

    question: ChatMessage


@dataclass
class _Taking:
    """Carries one turn through the transaction that accepts its job."""

    begin: Callable[[Session], Begun]
    caller: Caller
    looked: Looked
    begun: Begun | None = None
    limit: dict[str, Any] | None = None

    def choose(self, session: Session, jobs: Sequence[NewJob]) -> Sequence[NewJob]:
        """The job with the conversation in it; none over the allowance."""
        begun = self.begun = self.begin(session)
        answer = begun.answer
        answer.output_id = None
        answer.failure_category = answer.failure_message = None
        begun.chat.updated_at = now()
        if answer.waiting is not None:
            session.flush()
            return []
        if over_allowance(session, [self.caller.user_id]):
            answer.failure_category, answer.failure_message = QUOTA, _OVER
            self.limit = _allowance(session, self.caller)
            session.flush()
            return []
        keep_with(session, answer, self.looked)
        session.flush()
        reference = self.looked.reference
        return [_with_conversation(session, self.caller, begun, job, reference) for job in jobs]

    def refer(self, session: Session, created: Mapping[str, Created]) -> None:
        """The assistant's message is its job's."""
        for one in created.values():
            assert self.begun is not None  # noqa: S101 - `choose` came before
            self.begun.answer.output_id = one.output_id
        session.flush()


def send(runtime: Runtime, caller: Caller, chat_id: int, request: Request) -> Taken:
    """Say something in a chat. With a known `client_message_id` nothing is added.

    Raises NotFound, Forbidden, InvalidParameter, TurnInProgress (with `queue` only when too many
    wait already), and what `submit` raises of a model; AllowanceUsedUp never.
    """
    check_may_chat(runtime.settings, caller)
    check_content(runtime.settings, request.content, pointer="/content")
    with runtime.database.read() as session:
        chat = get_chat(session, caller, chat_id, need=GrantRole.CAN_EDIT)
    job = turn_job(runtime.settings, caller, chat.kind, _model(chat.meta, request), request)
    looked = look_up(
        runtime, caller, request.content, page=request.page, context=request.context, chat=chat
    )
    return take(
        runtime,
        caller,
        job,
        lambda session: _said(session, runtime, caller, chat_id, request),
        looked,
    )


def retry(
    runtime: Runtime, caller: Caller, message_id: int, *, traceparent: str | None = None
) -> Taken:
    """Ask once more for an answer that failed or was stopped; the message becomes the new job's.

    Raises NotFound, Forbidden, Conflict for any other message, TurnInProgress.
    """
    check_may_chat(runtime.settings, caller)
    with runtime.database.read() as session:
        chat, answer = get_message(session, caller, message_id, need=GrantRole.CAN_EDIT)
        question = session.get(ChatMessage, answer.reply_to_id) if answer.reply_to_id else None
    asked = Request(content="", traceparent=traceparent)
    job = turn_job(runtime.settings, caller, chat.kind, _model(chat.meta, asked), asked)
    looked = look_up_again(runtime, caller, chat, question) if question else NOTHING
    return take(
        runtime, caller, job, lambda session: _again(session, caller, chat.id, message_id), looked
    )


def cancel(runtime: Runtime, caller: Caller, message_id: int) -> None:
    """Stop an answer; what was written is kept. One whose turn has not come will not be asked for.
    Raises NotFound, Forbidden, Conflict.
    """
    with runtime.database.write() as session:
        chat, _ = get_message(session, caller, message_id, need=GrantRole.CAN_EDIT)
        held_chat(session, caller, chat.id, need=GrantRole.CAN_EDIT)
        given_up = give_up(session, ChatMessage.id == message_id)
        output = shown_message(session, message_id).output
    if output is not None:
        jobs.cancel(runtime, OPERATOR, output.job_id)  # whoever began it: the chat let them in
    elif not given_up:
        raise Conflict("There is no answer to stop")
    tell(runtime, chat.id)


def feed_back(session: Session, caller: Caller, message_id: int, **verdict: Any) -> LLMOutput:
    """Say what an answer is worth: the verdict is its output's. Raises as `feedback.give`."""
    get_message(session, caller, message_id, need=GrantRole.CAN_EDIT)
    output = shown_message(session, message_id).output
    if output is None:
        raise Conflict("There is no answer to judge")
    # The chat has let them in, whoever began the job.
    return feedback.give(session, replace(caller, role=Role.ADMIN), output.id, **verdict)


def take(
    runtime: Runtime,
    caller: Caller,
    job: NewJob,
    begin: Callable[[Session], Begun],
    looked: Looked = NOTHING,
) -> Taken:
    """Commit a turn and wake its job; `begin` opens it in the transaction, `looked` is what it may
    rest on.
    """
    taking = _Taking(begin, caller, looked)
    try:
        accepted = accept(runtime, caller, [job], choose=taking.choose, refer=taking.refer)
    except SaidBefore as before:
        return replay(runtime, before.question)
    assert taking.begun is not None  # noqa: S101 - accepting has asked for it
    begun = taking.begun
    if accepted and begun.question.seq == 1:
        ask_for_title(runtime, caller, begun.chat.id, begun.question.content or "")
    tell(runtime, begun.chat.id)
    return Taken(
        chat_id=begun.chat.id,
        message_ids=(begun.question.id, begun.answer.id),
        job=accepted[0] if accepted else None,
        limit=taking.limit,
    )


def replay(runtime: Runtime, question: ChatMessage) -> Taken:
    """The turn a message began, once more."""
    with runtime.database.read() as session:
        answers = select(ChatMessage.id).where(ChatMessage.reply_to_id == question.id)
        ids = (question.id, *session.scalars(answers))
    return Taken(chat_id=question.chat_id, message_ids=ids, new=False)


def tell(runtime: Runtime, chat_id: int) -> None:
    """Let whoever watches a chat look at it again."""
    runtime.events.tell(news_of(chat_id), "changed", {})


def news_of(chat_id: int) -> str:
    """The name under which news of a chat travel, beside those of jobs."""
    return f"chat-{chat_id}"


def check_content(settings: Settings, content: str, *, pointer: str) -> None:
    """Raises InvalidParameter for a message that is blank, too long, or cannot be stored."""
    check_text(content, pointer=pointer)
    most = settings.chat_max_content
    if not content.strip():
        raise InvalidParameter("A message needs a text", pointer=pointer)
    if len(content) > most:
        raise InvalidParameter(
            f"A message may have {most:,} characters; this one has {len(content):,}",
            pointer=pointer,
        )


def turn_job(
    settings: Settings, caller: Caller, kind: str, model: str | None, request: Request
) -> NewJob:
    """The job of a turn, still without its conversation. No transaction may be open."""
    model = model or settings.chat_model
    if not model:
        raise MissingParameter("model")
    route = find_route(settings, model)
    return NewJob(
        template_name=f"chat/{kind}",
        model_name=model,
        max_tries=settings.max_tries,
        max_age_seconds=settings.chat_turn_timeout_seconds,
        user_id=caller.user_id,
        format=Format.MARKDOWN,
        bucket=route.bucket,
        queue=Queue.HIGH,
        traceparent=request.traceparent,
        warnings=[route.warning] if route.warning else None,
    )


def add_turn(session: Session, caller: Caller, chat: Chat, request: Request) -> Begun:
    """The two messages of a turn, at the end of a chat that is held."""
    settle(chat, request)
    question = ChatMessage(
        chat_id=chat.id,
        seq=chat.next_seq,
        role="user",
        content=request.content,
        page=request.page,
        attachments=None if request.attachments is None else list(request.attachments),
        author_id=caller.user_id,
        client_message_id=request.client_message_id,
    )
    session.add(question)
    session.flush()
    answer = ChatMessage(
        chat_id=chat.id, seq=chat.next_seq + 1, role="assistant", reply_to_id=question.id
    )
    session.add(answer)
    chat.next_seq += 2
    session.flush()
    return Begun(chat, question, answer)


def settle(chat: Chat, request: Request) -> None:
    """What a chat remembers of a request."""
    meta = dict(chat.meta or {})
    if request.context:
        meta["context"] = {**meta.get("context", {}), **request.context}
    if request.read_only is not None:
        meta["read_only"] = request.read_only
    chat.meta = meta
    chat.last_page = request.page or chat.last_page


def give_up(session: Session, which: ColumnElement[bool]) -> int:
    """Ask no more for answers whose turn has not come; how many those were."""
    waiting = update(ChatMessage).where(which, ChatMessage.waiting.is_not(None))
    gone = waiting.values(waiting=None, failure_category=GIVEN_UP).returning(ChatMessage.id)
    return len(session.execute(gone).all())


def active_turn(session: Session, chat_id: int) -> LLMOutput | None:
    """The job that is writing in a chat now. Certain only while the chat is held."""
    return session.scalar(
        select(LLMOutput)
        .join(ChatMessage, ChatMessage.output_id == LLMOutput.id)
        .where(ChatMessage.chat_id == chat_id, LLMOutput.status.in_(ACTIVE))
        .options(defer(LLMOutput.script))
        .limit(1)
    )


def refuse_second(session: Session, chat_id: int) -> None:
    """Raises TurnInProgress for a held chat in which somebody is answered, or waits to be."""
    if active_turn(session, chat_id) is not None or _waiting(session, chat_id):
        raise TurnInProgress("Wait for the answer, or stop it")


# Inside


def _said(
    session: Session, runtime: Runtime, caller: Caller, chat_id: int, request: Request
) -> Begun:
    chat = held_chat(session, caller, chat_id, need=GrantRole.CAN_EDIT)
    if request.client_message_id is not None:
        known = select(ChatMessage).where(
            ChatMessage.chat_id == chat.id,
            ChatMessage.client_message_id == request.client_message_id,
        )
        if (question := session.scalar(known)) is not None:
            raise SaidBefore(question)
    waits = request.queue and request.message_id is None and _has_to_wait(session, chat.id)
    if not waits:
        refuse_second(session, chat.id)
    if request.message_id is not None:
        _take_back(session, chat, request.message_id)
    if chat.title == NEW_CHAT and chat.next_seq == 1:
        chat.title = title_of(request.content, longest=runtime.settings.chat_title_max)
    begun = add_turn(session, caller, chat, request)
    if waits:
        begun.answer.waiting = {"model": request.model, "traceparent": request.traceparent}
    return begun


def _again(session: Session, caller: Caller, chat_id: int, message_id: int) -> Begun:
    chat = held_chat(session, caller, chat_id, need=GrantRole.CAN_EDIT)
    _, answer = get_message(session, caller, message_id, need=GrantRole.CAN_EDIT)
    session.refresh(answer)
    shown = shown_message(session, message_id)
    if shown.active:
        raise TurnInProgress("The answer is still being written")
    if shown.status not in ("error", "cancelled") or answer.reply_to_id is None:
        raise Conflict("Only an answer that failed or was stopped is tried again")
    refuse_second(session, chat.id)
    return Begun(chat, session.get_one(ChatMessage, answer.reply_to_id), answer, shown.output)


def _has_to_wait(session: Session, chat_id: int) -> bool:
    """Whether turns are before a new one. Raises TurnInProgress when too many wait already."""
    waiting = _waiting(session, chat_id)
    if waiting >= MOST_WAITING:
        raise TurnInProgress(f"{waiting} messages wait for their turn already")
    return waiting > 0 or active_turn(session, chat_id) is not None


def _waiting(session: Session, chat_id: int) -> int:
    query = select(func.count()).where(
        ChatMessage.chat_id == chat_id, ChatMessage.waiting.is_not(None)
    )
    return session.scalars(query).one()


def _take_back(session: Session, chat: Chat, message_id: int) -> None:
    """The message and all after it are gone."""
    message = session.get(ChatMessage, message_id)
    if message is None or message.chat_id != chat.id or message.deleted_at is not None:
        raise InvalidParameter("No message of this chat has that number", pointer="/message_id")
    session.execute(
        update(ChatMessage)
        .where(
            ChatMessage.chat_id == chat.id,
            ChatMessage.seq >= message.seq,
            ChatMessage.deleted_at.is_(None),
        )
        .values(deleted_at=now())
    )


def _with_conversation(
    session: Session, caller: Caller, begun: Begun, job: NewJob, reference: str
) -> NewJob:
    messages = conversation(session, caller, begun.chat, begun.question, reference=reference)
    derived: dict[str, Any] = {}
    if (parent := begun.parent) is not None:
        root_id = parent.root_id or parent.id
        derived = {"parent_id": parent.id, "root_id": root_id, "derivation": Derivation.RE_RUN}
    return replace(job, script=chat_script(messages), **derived)


def _allowance(session: Session, caller: Caller) -> dict[str, Any]:
    user = session.get_one(User, caller.user_id)
    return {
        "token_allowance": user.token_allowance,
        "tokens_used": user.tokens_used,
        "tokens_left": user.tokens_left,
    }


def _model(meta: Mapping[str, Any], request: Request) -> str | None:
    return request.model or meta.get("model")
