"""The library of prompts: definitions stored by name, in versions, under labels; shared or private.

    finding.py    names and references: which prompt, which of its versions, who may see and change
    storing.py    new versions and drafts, publishing, sharing, archiving
    labels.py     names for versions (`production`), moved and rolled back
    reading.py    lists, and how a prompt is told
    history.py    what differs between two versions, and what uses a prompt

A prompt belongs to its author, and is private unless it is shared; a stranger's private one does
not exist (404). A published version never changes, and numbers only rise. What a definition means
is `app.prompts.definition`'s business, how it is written `app.prompts.documents`'.
"""

from app.prompts.library.checking import templates
from app.prompts.library.finding import Found, Resolved, find, get, may_change, resolve
from app.prompts.library.history import Diff, Use, diff, used_by
from app.prompts.library.labels import RolledBack, remove_label, roll_back, set_label
from app.prompts.library.reading import (
    describe,
    describe_label,
    describe_many,
    describe_versions,
    list_prompts,
    list_versions,
)
from app.prompts.library.storing import (
    Stored,
    archive,
    discard_draft,
    publish,
    replace,
    share,
    store,
)

__all__ = [
    "Diff",
    "Found",
    "Resolved",
    "RolledBack",
    "Stored",
    "Use",
    "archive",
    "describe",
    "describe_label",
    "describe_many",
    "describe_versions",
    "diff",
    "discard_draft",
    "find",
    "get",
    "list_prompts",
    "list_versions",
    "may_change",
    "publish",
    "remove_label",
    "replace",
    "resolve",
    "roll_back",
    "set_label",
    "share",
    "store",
    "templates",
    "used_by",
]
