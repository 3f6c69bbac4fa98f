"""What the documents of whoever asks hold for a turn: looked for before its transaction, which is
short, and kept with the answer.

Always the same for the same words and documents, and cheap, so it is done anew in every turn. It
never fails a turn: without the documents an answer may be worse, but it is an answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import delete, exists, select, text
from sqlalchemy.orm import Session

from app import retrieval
from app.accounts import Caller
from app.retrieval import Found
from app.runtime import Runtime
from models import Chat, ChatMessage, ChatRetrieval

log = structlog.get_logger(__name__)

SHORT = 80
"""Characters of a message that may only mean something after the one before: `And in French?`"""

SEARCH_SECONDS = 2.0
"""For each question, on PostgreSQL: somebody waits for the answer, and it can do without."""

_LONGEST_LINE = 500
_ERROR = re.compile(r"(?im)^.*\berror\b.*$")
_FAILED = "The documents could not be searched; this was answered without them."


@dataclass(frozen=True, slots=True)
class Looked:
    """What was looked for and found; without `queries` nothing was."""

    queries: tuple[str, ...] = ()
    found: tuple[Found, ...] = ()
    warning: str | None = None

    @property
    def reference(self) -> str:
        """What the model is told of it."""
        return retrieval.as_reference(self.found)


NOTHING = Looked()


def look_up(
    runtime: Runtime,
    caller: Caller,
    content: str,
    *,
    page: Mapping[str, Any] | None,
    context: Mapping[str, Any] | None,
    chat: Chat | None = None,
    before_seq: int | None = None,
) -> Looked:
    """The passages for a message: of a `chat` that is there already, the one at `before_seq` (None:
    one that is not there yet). No transaction may be open; nothing is raised.
    """
    settings = runtime.settings
    if not settings.chat_documents:
        return NOTHING
    context = {**((chat.meta.get("context") or {}) if chat else {}), **(context or {})}
    queries: tuple[str, ...] = (content,)
    try:
        with _reading(runtime) as session:
            if not session.scalar(select(exists().where(retrieval.may_find(caller)))):
                return NOTHING
            before = _message_before(session, chat, before_seq) if len(content) <= SHORT else ""
            queries = _queries(content, before, page, context)[: settings.docs_max_queries]
        vectors = retrieval.vectors_of(settings, queries)
        with _reading(runtime) as session:
            found = retrieval.find(
                session,
                caller,
                queries,
                embedder=settings.embedder,
                vectors=vectors,
                resource=_resource(page, context),
                limit=settings.docs_top_k,
            )
    except Exception as error:
        log.warning("documents not searched", error=type(error).__name__)
        return Looked(queries, warning=_FAILED)
    return Looked(queries, tuple(found))


def look_up_again(runtime: Runtime, caller: Caller, chat: Chat, question: ChatMessage) -> Looked:
    """The passages for a message that is there already."""
    return look_up(
        runtime,
        caller,
        question.content or "",
        page=question.page,
        context=None,
        chat=chat,
        before_seq=question.seq,
    )


def docs_of(runtime: Runtime, caller: Caller, resource: str) -> str:
    """The whole documents about a resource (an adaptor), up to LLM_JOBS_RESOURCE_DOCS_MAX; blank
    when there are none, and when they cannot be read. No transaction may be open.
    """
    longest = runtime.settings.resource_docs_max
    try:
        with _reading(runtime) as session:
            return retrieval.resource_docs(session, caller, resource, longest=longest)
    except Exception as error:
        log.warning("documents not searched", error=type(error).__name__)
        return ""


def keep_with(session: Session, answer: ChatMessage, looked: Looked) -> None:
    """Write down what an answer rests on, in place of what it rested on when asked for before."""
    session.execute(delete(ChatRetrieval).where(ChatRetrieval.message_id == answer.id))
    if looked.queries:
        session.add(
            ChatRetrieval(
                message_id=answer.id,
                queries=list(looked.queries),
                found=[_source(one) for one in looked.found],
                warning=looked.warning,
            )
        )


@contextmanager
def _reading(runtime: Runtime) -> Iterator[Session]:
    """A session in which no question takes longer than `SEARCH_SECONDS`, on PostgreSQL."""
    with runtime.database.read() as session:
        if runtime.database.dialect == "postgresql":
            limit_ms = int(SEARCH_SECONDS * 1000)
            session.execute(text(f"SET LOCAL statement_timeout = {limit_ms}"))
        yield session


def _source(found: Found) -> dict[str, Any]:
    names = ("document_id", "chunk_id", "title", "url", "section", "score")
    return {name: getattr(found, name) for name in names}


def _message_before(session: Session, chat: Chat | None, before_seq: int | None) -> str:
    if chat is None:
        return ""
    said = select(ChatMessage.content).where(
        ChatMessage.chat_id == chat.id,
        ChatMessage.role == "user",
        ChatMessage.deleted_at.is_(None),
    )
    if before_seq is not None:
        said = said.where(ChatMessage.seq < before_seq)
    return session.scalar(said.order_by(ChatMessage.seq.desc()).limit(1)) or ""


def _queries(
    content: str, before: str, page: Mapping[str, Any] | None, context: Mapping[str, Any]
) -> tuple[str, ...]:
    """The message, the one before a short one, the last error of the log, the name of the page."""
    errors = _ERROR.findall(context.get("log") or "")
    last_error = errors[-1].strip()[:_LONGEST_LINE] if errors else ""
    wanted = (content, before, last_error, (page or {}).get("name") or "")
    return tuple(dict.fromkeys(query for query in wanted if query.strip()))


def _resource(page: Mapping[str, Any] | None, context: Mapping[str, Any]) -> str | None:
    page = page or {}
    return page.get("adaptor") or page.get("resource") or context.get("adaptor")
