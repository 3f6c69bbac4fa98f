"""Documents: keeping them, and finding the pieces of them that a question needs.

    library.py    keeping, listing and removing documents, and who may
    chunks.py     cutting a text into pieces along its headings
    words.py      what texts and questions are looked up by, the same on both databases
    searching.py  finding chunks; the texts of a resource
    meaning.py    finding chunks by what they mean, where a plugin can tell
    finding.py    finding in every way there is, by every question there is
    reference.py  found chunks as a model reads them: as data, clearly marked

One's own documents and shared ones are found, nobody else's, also not by administrators: what a
search finds goes into prompts. Nothing here knows HTTP, chats or a provider.
"""

from app.retrieval.finding import find
from app.retrieval.library import (
    Kept,
    NewDocument,
    get_document,
    keep,
    list_documents,
    remove,
)
from app.retrieval.meaning import Embedder, embed_chunks, vectors_of
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
    "Embedder",
    "Found",
    "Kept",
    "NewDocument",
    "as_reference",
    "embed_chunks",
    "find",
    "get_document",
    "keep",
    "list_documents",
    "may_find",
    "merged",
    "remove",
    "resource_docs",
    "resource_tags",
    "search",
    "vectors_of",
]
