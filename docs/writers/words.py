"""The reference of stored words: which there are is read off the code, what they mean is here."""

from __future__ import annotations

from enum import Enum

from models import Derivation, Feedback, Format, Kind, Outcome, Queue, Role, Scope, Status

_INTRODUCTION = """# Words

{written}

The words that rows, attempts, users and keys carry, in the HTTP API as in the database.
"""

_WORDS: dict[str, tuple[type[Enum], dict[str, str]]] = {
    "`status` of a job": (
        Status,
        {
            "pending": "accepted, not running: due, scheduled, or waiting for a retry",
            "processing": "a worker holds it and renews its lease",
            "completed": "ended with an answer",
            "failed": "ended without one; `error_code` says why",
            "cancelled": "ended because somebody asked for it; what had arrived is kept",
        },
    ),
    "`queue`": (
        Queue,
        {
            "high": "served before all others",
            "default": "unless a job says otherwise",
            "low": "served when nothing else is due, and after ageing",
        },
    ),
    "`format`": (
        Format,
        {
            "text": "the answer, stripped",
            "json": "read as one JSON value, repaired once if need be",
            "markdown": "kept, and rendered to sanitised HTML",
            "html": "kept, and sanitised for display",
        },
    ),
    "`feedback`": (
        Feedback,
        {"none": "stored as 0", "thumbs_up": "stored as 1", "thumbs_down": "stored as 2"},
    ),
    "`derivation` of a job that has a parent": (
        Derivation,
        {
            "re_run": "the same again",
            "regenerate": "again, with another context, model, template or options",
        },
    ),
    "`kind` of an attempt": (
        Kind,
        {
            "answer": "the call that asks the job's prompt",
            "step": "the next step of a prompt definition; earlier ones are not asked again",
            "repair": "sends back broken JSON, once, to be mended",
            "enlarge": "asks again, once, with a larger token limit after an answer that was cut",
            "ask_again": "asks again, once, after an answer the result event cannot read",
            "retrieve": "kept for chats that look something up; not made yet",
            "route": "kept for prompts that choose among others; not made yet",
        },
    ),
    "`outcome` of an attempt": (
        Outcome,
        {
            "running": "the call is under way",
            "completed": "its answer is the job's",
            "continued": "another call of the same claim followed: a repair, a larger limit",
            "retried": "it failed, one try was used, and the job waits for the next",
            "failed": "it failed, and so did the job",
            "rate_limited": "the provider said to slow down; no try was used",
            "released": "the worker was stopping and had not called yet; no try was used",
            "cancelled": "the call was closed because the job was cancelled",
            "lost": "its worker died; the call may have been made and billed",
            "discarded": "its answer came after the row had moved on; its usage still counts",
        },
    ),
    "`role` of a user": (
        Role,
        {
            "member": "sees and acts on own jobs",
            "admin": "also manages users, keys, prices and queues, and sees everybody's jobs",
        },
    ),
    "`scopes` of a key (a key without any may do all that its user may)": (
        Scope,
        {
            "jobs:read": "read jobs and outputs, follow and explain them",
            "jobs:write": "submit, cancel, advance, run again, erase; agents",
            "feedback:write": "give a verdict",
            "templates:admin": "store, publish, label, share and archive prompts",
            "chat:read": "reads chats, assets and documents",
            "chat:write": "talks in chats; makes, changes and removes chats, assets and documents",
            "ops:read": "read queues, pauses and workers",
            "keys:admin": "make and revoke keys",
        },
    ),
}


def page(written: str) -> str:
    """docs/reference/words.md. Raises SystemExit when a word is not explained or does not exist."""
    parts = [_INTRODUCTION.format(written=written)]
    for title, (words, meanings) in _WORDS.items():
        known = [str(getattr(word, "word", word.value)) for word in words]
        if known != list(meanings):
            raise SystemExit(f"docs/writers/words.py: {words.__name__} has the words {known}")
        rows = [f"| `{word}` | {meaning} |" for word, meaning in meanings.items()]
        parts.append(f"## {title}\n\n| word | meaning |\n| --- | --- |\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)
