"""What a tag may ask while a text is rendered: the items in view, the files, and room for work.

A `Rendering` is one rendering with its memory and its bounds, a `Scope` the work item as one place
of the text sees it. Everything that is asked often is answered once, so that a small text over a
small work item cannot keep a worker busy for hours.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import re2  # type: ignore[import-untyped]

from app.prompts.material import FileText, Material, WorkItem
from app.prompts.templating import spelled_values
from app.text import clean_text

MAX_PATTERN_LENGTH = 200
SHOWN_LENGTH = 80

_MOST_WARNINGS = 20
_PATTERN_MEMORY_BYTES = 512 * 1024
_REMEMBERED_PATTERNS = 64  # so compiled patterns never hold more than 32 MB
_LINE_END = re.compile(r"\r\n?+|\n")


@lru_cache(maxsize=_REMEMBERED_PATTERNS)
def file_pattern(pattern: str) -> Any:
    """The pattern compiled by RE2. Raises ValueError with a sentence about what is wrong."""
    if len(pattern) > MAX_PATTERN_LENGTH:
        raise ValueError(
            f"its pattern has {len(pattern)} characters; at most {MAX_PATTERN_LENGTH} are allowed"
        )
    options = re2.Options()
    options.log_errors = False  # it would print the pattern on standard error
    options.max_mem = _PATTERN_MEMORY_BYTES
    try:
        return re2.compile(pattern, options)
    except (re2.error, UnicodeEncodeError) as error:
        reason = error.args[0] if isinstance(error, re2.error) else error
        text = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise ValueError(
            f"its pattern {pattern[:SHOWN_LENGTH]!r} cannot be used (RE2 syntax): {text}"
        ) from None


class Rendering:
    """One rendering: what it reads from, what was said about it, the work it may still do."""

    def __init__(self, material: Material, variables: Iterable[str]) -> None:
        self.material = material
        self.values = spelled_values(variables, material.context)
        material.work.write(sum(map(len, self.values.values())))
        self._warnings: dict[str, None] = {}
        self._children: dict[int, Scope] = {}
        self._matches: dict[str, tuple[str, ...]] = {}
        self._compact: dict[str, tuple[str, ...]] = {}

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences, each once; the last says so when there were too many."""
        kept = tuple(self._warnings)
        if len(kept) <= _MOST_WARNINGS:
            return kept
        return (*kept[:_MOST_WARNINGS], "There are more warnings than are shown")

    def warn(self, sentence: str) -> None:
        if len(self._warnings) <= _MOST_WARNINGS:
            self._warnings[sentence] = None

    def step(self, weight: int = 1) -> None:
        """Count one place filled or one value read. Raises Unprocessable when it is too much."""
        self.material.work.step(weight)

    def child(self, items: Mapping[str, Any]) -> Scope:
        """The scope in which an embedded object is the work item."""
        known = self._children.get(id(items))
        if known is None:
            known = self._children[id(items)] = Scope(self, WorkItem(items))
        return known

    def file_texts(self, pattern: str) -> tuple[str, ...]:
        """The texts, those that are not empty, of the files whose name the pattern finds."""
        if pattern not in self._matches:
            found = file_pattern(pattern)
            self._matches[pattern] = tuple(
                file.text for file in self.material.files if file.text and self._finds(found, file)
            )
        return self._matches[pattern]

    def _finds(self, pattern: Any, file: FileText) -> bool:
        self.step()
        return pattern.search(clean_text(file.name)) is not None

    def compact_file_texts(self, pattern: str) -> tuple[str, ...]:
        """The same without white space at the end of lines and without blank lines."""
        if pattern not in self._compact:
            texts = (self._compacted(text) for text in self.file_texts(pattern))
            self._compact[pattern] = tuple(text for text in texts if text)
        return self._compact[pattern]

    def _compacted(self, text: str) -> str:
        known = self.material.work.compacted
        if text not in known:
            lines = (line.rstrip() for line in _LINE_END.split(text))
            known[text] = "\n".join(line for line in lines if line)
        return known[text]


@dataclass(frozen=True, slots=True)
class Scope:
    """The items one place sees: a work item's, with some of them narrowed to one value."""

    rendering: Rendering
    workitem: WorkItem
    narrowed: Mapping[str, list[Any]] = field(default_factory=dict)
    _seen: dict[str, list[Any]] = field(default_factory=dict)

    def values(self, item: str) -> list[Any]:
        """The item's values; none for one that is not there. Not to be changed."""
        key = item.lower()
        if key in self.narrowed:
            return self.narrowed[key]
        if key not in self._seen:
            self._seen[key] = self.workitem.values(item)
        return self._seen[key]

    def narrow(self, item: str, value: Any) -> Scope:
        """The same items, but for this one, which has one value here."""
        narrowed = {**self.narrowed, item.lower(): [value]}
        return Scope(self.rendering, self.workitem, narrowed, self._seen)
