"""The form the generated pages share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    lines += ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def code_first(told: Mapping[str, str]) -> list[list[str]]:
    return [[f"`{name}`", text] for name, text in told.items()]


def same(known: Iterable[Any], explained: Iterable[Any], what: str) -> None:
    """Stop when something is not explained, or something explained does not exist."""
    known, explained = set(known), set(explained)
    if known != explained:
        raise SystemExit(
            f"{what}: not explained {sorted(known - explained)},"
            f" unknown {sorted(explained - known)}"
        )
