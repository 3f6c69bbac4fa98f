"""Documents: keeping texts that answers in chats rest on, and searching them."""

from __future__ import annotations

from typing import Any

from api.auth import scope
from api.replies import Reply, page_reply
from api.routing import Answer, Call, Routes
from api.schemas.common import Empty
from api.schemas.documents import (
    DocumentBody,
    DocumentKept,
    DocumentLine,
    DocumentList,
    DocumentSearchQuery,
    DocumentsFound,
    DocumentShown,
    DocumentsQuery,
)
from app import retrieval
from app.retrieval import NewDocument
from models import Document, Scope

routes = Routes("/api/v1", tag="documents")

_READ = scope(Scope.CHAT_READ)
_WRITE = scope(Scope.CHAT_WRITE)


@routes.post(
    "/documents",
    access=_WRITE,
    body=DocumentBody,
    answers={
        201: Answer(description="The document is kept.", model=DocumentKept),
        200: Answer(description="It was there: replaced, or unchanged.", model=DocumentKept),
    },
    errors={403: "The key may not do this, or only an administrator may share it."},
    examples={
        "guide": {
            "source": "handbook",
            "key": "addresses.md",
            "title": "Addresses",
            "text": "# Cleaning\n\nTrim, then compare with the register.",
        }
    },
)
def keep_document(call: Call[DocumentBody, Empty]) -> Reply:
    """Keep a document.

    Sent again under the same `source` and `key` it takes the place of yours before, as a whole; the
    same text again changes nothing.
    """
    with call.runtime.database.write() as session:
        kept = retrieval.keep(session, call.caller, NewDocument(**call.body.model_dump()))
    return Reply(
        body={**_line(kept.document), "outcome": kept.outcome},
        status=201 if kept.outcome == "created" else 200,
        headers={"Location": f"/api/v1/documents/{kept.document.id}"},
    )


@routes.get(
    "/documents",
    access=_READ,
    query=DocumentsQuery,
    answers={200: Answer(description="A page of documents.", model=DocumentList)},
)
def list_documents(call: Call[Empty, DocumentsQuery]) -> Reply:
    """List one's own documents and shared ones, newest first."""
    with call.runtime.database.read() as session:
        page = retrieval.list_documents(session, call.caller, **call.query.model_dump())
        return page_reply(page, lambda rows: [_line(row) for row in rows])


@routes.get(
    "/documents/search",
    access=_READ,
    query=DocumentSearchQuery,
    answers={200: Answer(description="What was found.", model=DocumentsFound)},
)
def search_documents(call: Call[Empty, DocumentSearchQuery]) -> Reply:
    """Search one's own documents and shared ones.

    Any text is a question; a chunk that has any of its words is found, the best first.
    """
    asked, settings = call.query, call.runtime.settings
    vectors = retrieval.vectors_of(settings, [asked.q])
    with call.runtime.database.read() as session:
        found = retrieval.find(
            session,
            call.caller,
            [asked.q],
            embedder=settings.embedder,
            vectors=vectors,
            sources=[asked.source] if asked.source else [],
            resource=asked.resource,
            limit=asked.limit or settings.docs_top_k,
        )
    return Reply(body={"data": [one.to_json() for one in found]})


@routes.get(
    "/documents/<row:document_id>",
    access=_READ,
    answers={200: Answer(description="The document.", model=DocumentShown)},
)
def get_document(call: Call[Empty, Empty], document_id: int) -> Reply:
    """Show a document with its text."""
    with call.runtime.database.read() as session:
        document = retrieval.get_document(session, call.caller, document_id)
        return Reply(body={**_line(document), "text": document.text})


@routes.delete(
    "/documents/<row:document_id>",
    access=_WRITE,
    answers={204: Answer(description="The document is gone.")},
    errors={403: "The key may not do this, or it is shared and another's."},
)
def remove_document(call: Call[Empty, Empty], document_id: int) -> Reply:
    """Remove a document; nothing of it is found any more."""
    with call.runtime.database.write() as session:
        retrieval.remove(session, call.caller, document_id)
    return Reply(status=204)


def _line(document: Document) -> dict[str, Any]:
    return {name: getattr(document, name) for name in DocumentLine.model_fields}
