"""A JSON value as a tree a page can fold: bounded in depth, breadth and length. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

DEEPEST = 16
MOST_NODES = 2_000
LONGEST_TEXT = 5_000


@dataclass(frozen=True, slots=True)
class Node:
    """One place: its `name` (a key, an index, or empty at the top), the kind of its value, and the
    value as `text`, or for an object or list how large it is and its `children`."""

    name: str
    kind: str
    text: str
    children: tuple[Node, ...] = ()


@dataclass(slots=True)
class _Left:
    """How many nodes may still be made."""

    nodes: int = field(default=MOST_NODES)


def tree(value: Any) -> Node:
    """The value's tree; what is left out is said where it would stand."""
    return _node("", value, 0, _Left())


def _node(name: str, value: Any, depth: int, left: _Left) -> Node:
    left.nodes -= 1
    if isinstance(value, dict):
        entries = [(str(key), item) for key, item in value.items()]
        return _branch(name, "object", _counted(len(entries), "key"), entries, depth, left)
    if isinstance(value, list):
        entries = [(str(index), item) for index, item in enumerate(value)]
        return _branch(name, "list", _counted(len(entries), "item"), entries, depth, left)
    return Node(name, _kind(value), _text(value))


def _branch(
    name: str, kind: str, size: str, entries: list[tuple[str, Any]], depth: int, left: _Left
) -> Node:
    if depth >= DEEPEST:
        return Node(name, "more", f"{size}, nested too deep to show here")
    children: list[Node] = []
    for number, (key, item) in enumerate(entries):
        if left.nodes <= 0:
            children.append(Node("", "more", f"{len(entries) - number} more, not shown here"))
            break
        children.append(_node(key, item, depth + 1, left))
    return Node(name, kind, size, tuple(children))


def _kind(value: Any) -> str:
    if isinstance(value, str):
        return "text"
    return "word" if value is None or isinstance(value, bool) else "number"


def _text(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}… ({len(text):,} long)"


def _counted(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"
