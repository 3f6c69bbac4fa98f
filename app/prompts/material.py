"""What the placeholders of a prompt read from: variables, a work item, files, properties, names.

Plain values, gathered before anything is rendered; rendering itself asks nobody. `Work` bounds what
all texts of one job may cost together: a page of placeholders over one file is hours otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.errors import InvalidParameter, Unprocessable

MAX_STEPS = 250_000
MAX_CHARACTERS = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class FileText:
    """A file of a job as a prompt may read it: its name, and the text that was found in it."""

    name: str
    text: str


class WorkItem:
    """The items of a business object: name → values. Names are told apart without case.

    One value is a list of one; an item without values is an item that is not there.
    """

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[str, Any] | None = None) -> None:
        self._items: dict[str, tuple[str, list[Any]]] = {}
        for name, value in (items or {}).items():
            self._items[name.lower()] = (name, value if isinstance(value, list) else [value])

    def values(self, name: str) -> list[Any]:
        """The values of an item, of any kind JSON knows; none for an unknown item."""
        return [value for value in self._items.get(name.lower(), ("", []))[1] if value is not None]

    def first(self, name: str) -> Any:
        """The first value, or None."""
        return next(iter(self.values(name)), None)

    def with_items(self, items: Mapping[str, Any]) -> WorkItem:
        """A copy in which these items replace those of the same name."""
        made = WorkItem()
        made._items = {**self._items, **WorkItem(items)._items}
        return made

    def as_json(self) -> dict[str, list[Any]]:
        """Every item under the name it was given by, as a list of values."""
        return dict(self._items.values())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WorkItem) and self._items == other._items

    __hash__ = None  # type: ignore[assignment]


def read_work_item(value: Any) -> WorkItem:
    """The work item a request carries. Raises InvalidParameter when it is none."""
    if value is None:
        return WorkItem()
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise InvalidParameter(
            "Invalid workitem. Must be an object of items: name and value, or a list of values",
            pointer="/workitem",
        )
    if any(not name.strip() for name in value):
        raise InvalidParameter("Invalid workitem. An item has no name", pointer="/workitem")
    return WorkItem(value)


class Work:
    """What is left to be done for the texts that are rendered with it, and what is known already.

    `compacted` remembers file texts without blank lines: making one of a large file takes a while.
    """

    __slots__ = ("_characters", "_steps", "compacted")

    def __init__(self) -> None:
        self._steps = self._characters = 0
        self.compacted: dict[str, str] = {}

    def step(self, weight: int = 1) -> None:
        """Count one place filled or one value read; what takes as long as several counts as those.

        Raises Unprocessable when it is too much.
        """
        self._steps += weight
        if self._steps > MAX_STEPS:  # places that stay empty never reach the cap of the text
            raise Unprocessable(
                f"Rendering takes more than {MAX_STEPS:,} steps: use fewer tags or values within"
                " for-each",
                pointer="/messages",
            )

    def write(self, characters: int) -> None:
        """Count what was written. Raises Unprocessable when it is too much."""
        self._characters += characters
        if self._characters > MAX_CHARACTERS:
            raise Unprocessable(
                f"All messages together are longer than {MAX_CHARACTERS:,} characters: use shorter"
                " values or fewer placeholders",
                pointer="/messages",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """Everything a prompt may read.

    `context` holds the values of `{{variables}}`, `properties` the configuration values
    `<propertyvalue>` may show (by name), `names` the display name of each user id known here. What
    is rendered with the same `work` shares its bounds.
    """

    context: Mapping[str, Any] = field(default_factory=dict)
    workitem: WorkItem = field(default_factory=WorkItem)
    files: Sequence[FileText] = ()
    properties: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    work: Work = field(default_factory=Work, compare=False)
