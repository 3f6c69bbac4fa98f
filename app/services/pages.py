"""Where somebody is in their application: said in words before a message, and read back.

The rules are seed 001's: navigation is told by type, name or adaptor that differ from the last
page, which `meta.last_page` names, or the last message of a user that has a prefix.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from app.chats.pages import with_page

Page = dict[str, str]
_NAMES = ("type", "name", "adaptor")
_FROM_CONTEXT = ("page", "page_name", "current_page")


def add_page_prefix(content: str, page: Mapping[str, Any] | None) -> str:
    """`[pg:type/name/adaptor] content`; without a page unchanged."""
    return with_page(content, page)


def has_navigated(current: Mapping[str, Any] | None, last: Mapping[str, Any] | None) -> bool:
    """Whether two pages differ in type, name or adaptor. Without a last page: no."""
    if not last or not current:
        return False
    return any((current.get(name) or "") != (last.get(name) or "") for name in _NAMES)


def page_of(context: Mapping[str, Any], *, type: str) -> Page | None:
    """The page a request names: `context.page`, `page_name` or `current_page`, a name or an object;
    with the adaptor that its context has. None where it names none.
    """
    found = next((context[name] for name in _FROM_CONTEXT if context.get(name)), None)
    if isinstance(found, Mapping):
        page = {name: str(found[name]) for name in _NAMES if found.get(name)}
        page.setdefault("type", type)
    elif isinstance(found, str) and found.strip():
        page = {"type": type, "name": found.strip()}
    else:
        return None
    adaptor = context.get("adaptor")
    if "adaptor" not in page and isinstance(adaptor, str) and (short := short_adaptor(adaptor)):
        page["adaptor"] = short
    return page


@dataclass(frozen=True, slots=True)
class At:
    """A place that a path names: a workflow, and maybe one of its steps."""

    workflow: str
    step: str | None = None

    def page(self, adaptor: str | None = None) -> Page:
        """As the page of a message."""
        if self.step is None:
            return {"type": "workflow", "name": self.workflow}
        short = short_adaptor(adaptor or "")
        page = {"type": "job_code", "name": self.step}
        return page | ({"adaptor": short} if short else {})


def page_at(path: Any) -> At | None:
    """The place of `workflows/<workflow>[/<step>|/settings]`; None for anything else."""
    if not isinstance(path, str):
        return None
    kind, _, rest = path.strip("/").partition("/")
    workflow, _, step = rest.partition("/")
    if kind != "workflows" or not workflow.strip():
        return None
    return At(unquote(workflow), unquote(step) if step and step != "settings" else None)


def short_adaptor(adaptor: str) -> str:
    """`@openfn/language-fhir@5.0.0` → `fhir@5.0.0`; "" for one without a version."""
    name, at, version = adaptor.strip().rpartition("@")
    if not (name and at and version):
        return ""
    return f"{name.rpartition('/')[2].removeprefix('language-')}@{version}"


def last_page(meta: Mapping[str, Any], history: Sequence[Mapping[str, Any]]) -> Page | None:
    """Where the conversation was before: `meta.last_page`, else the newest prefix in it."""
    told = meta.get("last_page")
    if isinstance(told, Mapping):
        return {name: str(told[name]) for name in _NAMES if told.get(name)} or None
    for entry in reversed(history):
        if entry.get("role") == "user" and (page := _read(str(entry.get("content") or ""))):
            return page
    return None


def _read(content: str) -> Page | None:
    """The page in a message's prefix. A `]` in a name that somebody else wrote does not end it."""
    if not content.startswith("[pg:"):
        return None
    end = content.find("] ")
    if end < 0:
        return None
    parts = content[4:end].replace("%5B", "[").replace("%5D", "]").split("/", 2)
    return {name: part for name, part in zip(_NAMES, parts, strict=False) if part} or None
