"""The messages of a job as people read them: what was put in for each variable, and what was not.

Pure, from a described row. Values of context fetchers are not kept, so where a job has fetchers the
names they may have filled are neither shown as values nor called missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from app import formats
from app.errors import RequestError
from app.prompts.templating import Tag, Template, parse

LONGEST = 200_000


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a message. `name` is the variable it came from, empty for the template's own
    words; `missing` when nothing was put in."""

    text: str
    name: str = ""
    missing: bool = False


@dataclass(frozen=True, slots=True)
class Said:
    """One message: who speaks, and its parts."""

    role: str
    parts: tuple[Part, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model was, or will be, told."""

    messages: tuple[Said, ...]
    missing: tuple[str, ...]
    unused: tuple[str, ...]
    sent: str | None
    """The text as the row keeps it, where it cannot be made again from template and context."""


def prompt_of(row: Mapping[str, Any]) -> Prompt:
    """The messages of a described row, in the order they are sent."""
    if row["definition"]:
        sent = row["prompt"]  # its placeholders are another language; the definition has a tab
        return Prompt((), (), (), sent[:LONGEST] if sent else None)
    context = row["context"] or {}
    templates = [(m["role"], m["content"]) for m in row["messages"] or []]
    templates = templates or [("user", row["template_name"])]
    parsed = [(role, _parsed(text)) for role, text in templates]
    fetched = bool(row["fetchers"])
    said = [_said(role, template, context, fetched=fetched) for role, template in parsed]
    names = {name for _, template in parsed for name in template.names}
    missing = dict.fromkeys(p.name for message in said for p in message.parts if p.missing)
    return Prompt(
        (*_system(row), *said),
        tuple(missing),
        tuple(key for key in context if not _uses(names, key)),
        _sent_differently(row, said),
    )


def _system(row: Mapping[str, Any]) -> tuple[Said, ...]:
    """The job's own system words, and what the format adds to them."""
    own = (row["system"] or "").strip()
    whole = formats.with_instruction("", row["format"], row["response_schema"]) or ""
    parts = [Said("system", (Part(own[:LONGEST]),))] if own else []
    if whole:
        parts.append(Said("system", (Part(whole),), f"added for the format {row['format']}"))
    return tuple(parts)


def _said(role: str, template: Template, context: Mapping[str, Any], *, fetched: bool) -> Said:
    parts: list[Part] = []
    left = LONGEST
    for piece in template.parts:
        part = _filled(piece, context, fetched=fetched) if isinstance(piece, Tag) else Part(piece)
        parts.append(Part(part.text[:left], part.name, part.missing))
        left -= len(part.text)
        if left <= 0:
            return Said(role, tuple(parts), "cut here; the download has all of it")
    return Said(role, tuple(parts))


def _filled(tag: Tag, context: Mapping[str, Any], *, fetched: bool) -> Part:
    rendered = Template((tag,), (tag.name,)).render(context)
    unknown = fetched and tag.name.partition(".")[0] not in context
    return Part(rendered.text, tag.name, bool(rendered.missing) and not unknown)


def _parsed(text: str) -> Template:
    """A template that was accepted parses; one written by other hands is all words."""
    try:
        return parse(text)
    except RequestError:
        return Template((text,), ())


def _uses(names: Iterable[str], key: str) -> bool:
    return any(name == key or name.startswith(f"{key}.") for name in names)


def _sent_differently(row: Mapping[str, Any], said: list[Said]) -> str | None:
    sent: str | None = row["prompt"]
    texts = [(m.role, "".join(part.text for part in m.parts)) for m in said]
    whole = texts[0][1] if len(texts) == 1 else "\n\n".join(f"{r}: {text}" for r, text in texts)
    if sent is None or sent == whole or len(whole) >= LONGEST:
        return None
    return sent[:LONGEST]
