"""Documents: keeping them, and finding the pieces of them that a question needs.

    library.py    keeping, listing and removing documents, and who may
    chunks.py     cutting a text into pieces along its headings
    words.py      what texts and questions are looked up by, the same on both databases
    searching.py  finding chunks; the texts of a resource
    reference.py  found chunks as a model reads them: as data, clearly marked

One's own documents and shared ones are found, nobody else's, also not by administrators: what a
search finds goes into prompts. Nothing here knows HTTP, chats or a provider.
"""

from app.retrieval.library import (
    Kept,
    NewDocument,
    get_document,
    keep,
    list_documents,
    remove,
)
from app.retrieval.reference import as_reference
from app.retrieval.searching import (
    Found,
    may_find,
    merged,
    resource_docs,
    resource_tags,
    search,
)

__all__ = [
    "Found",
    "Kept",
    "NewDocument",
    "as_reference",
    "get_document",
    "keep",
    "list_documents",
    "may_find",
    "merged",
    "remove",
    "resource_docs",
    "resource_tags",
    "search",
]
