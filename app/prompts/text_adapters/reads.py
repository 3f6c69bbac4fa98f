"""What a parsed text will read, and how much of it one text may name."""

from __future__ import annotations

from dataclasses import dataclass, field

from app.prompts.text_adapters.scope import file_pattern

MOST_PATTERNS = 50
MOST_LOCALES = 8


@dataclass(slots=True)
class Reads:
    """What the tags of a text read, each name once and in order, gathered while it is parsed.

    `of_child`: the tags read now stand within a for-each-child, so their items are not the work
    item's.
    """

    variables: dict[str, None] = field(default_factory=dict)
    items: dict[str, str] = field(default_factory=dict)
    properties: dict[str, None] = field(default_factory=dict)
    user_items: dict[str, str] = field(default_factory=dict)
    file_patterns: dict[str, None] = field(default_factory=dict)
    locales: dict[str, None] = field(default_factory=dict)
    of_child: bool = False

    def item(self, name: str) -> None:
        if name and not self.of_child:
            self.items.setdefault(name.lower(), name)

    def user_item(self, name: str) -> None:
        self.item(name)
        if name:
            self.user_items.setdefault(name.lower(), name)

    def file_pattern(self, pattern: str) -> None:
        file_pattern(pattern)
        self.file_patterns[pattern] = None
        if len(self.file_patterns) > MOST_PATTERNS:
            raise ValueError(f"a text may hold at most {MOST_PATTERNS} different file patterns")

    def locale(self, word: str) -> None:
        self.locales[word] = None
        if len(self.locales) > MOST_LOCALES:
            raise ValueError(f"a text may hold at most {MOST_LOCALES} different locales")
