"""`client.documents`: texts that answers in chats rest on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from llm_jobs.transport import Transport

_DOCUMENTS = "/api/v1/documents"

Facts = Mapping[str, Any]
"""A document, or a found piece of one, as the API shows it."""


class Documents:
    """One's own documents and shared ones."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def keep(self, key: str, title: str, text: str, **more: Any) -> Facts:
        """Keep a document; under the same `source` and `key` it replaces the one before. `more` are
        the other fields of `POST /api/v1/documents`, such as `source`, `url` and `resource`.
        """
        sent = {"key": key, "title": title, "text": text, **more}
        body = {name: value for name, value in sent.items() if value is not None}
        return self._send("POST", _DOCUMENTS, json=body)

    def search(self, question: str, *, limit: int | None = None, **filters: Any) -> Sequence[Facts]:
        """The best pieces, best first; `filters` are `source` and `resource`."""
        query = {"q": question, "limit": limit, **filters}
        path = f"{_DOCUMENTS}/search"
        found: Sequence[Facts] = self._send("GET", path, query=query)["data"]
        return found

    def list(self, *, limit: int = 100, **filters: Any) -> Iterator[Facts]:
        """All of them, newest first; asks for the next page when it is needed."""
        return self._transport.pages(_DOCUMENTS, limit=limit, filters=filters)

    def get(self, document_id: int) -> Facts:
        """A document with its text."""
        return self._send("GET", f"{_DOCUMENTS}/{document_id}")

    def remove(self, document_id: int) -> None:
        """Remove a document."""
        self._send("DELETE", f"{_DOCUMENTS}/{document_id}", repeats=False)

    def _send(
        self, method: str, path: str, *, query: Mapping[str, Any] | None = None, **how: Any
    ) -> Facts:
        if query is not None:
            how["query"] = {name: value for name, value in query.items() if value is not None}
        body: Facts = self._transport.send(method, path, **how)[0]
        return body
