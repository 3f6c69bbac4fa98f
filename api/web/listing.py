"""The address of the outputs list, read and written: every state of the list is in it.

Filters may stand in the address one by one (`status=failed`), as the filter form and the tabs send
them, or as words of the search box (`q=status:failed words`), or both: a parameter of its own wins.
Whatever way they came, the page shows them in the form and in the box alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from werkzeug.datastructures import MultiDict

from api.web import render
from app.errors import InvalidParameter
from app.jobs import Filters
from app.jobs.search_words import LONGEST, parse, put_together, taken_apart

ALONE = (
    "status",
    "model",
    "template",
    "format",
    "queue",
    "feedback",
    "error",
    "since",
    "before",
    "user",
    "parent",
)
"""Filters that may be parameters of their own; what else the box knows stays in `q`."""

SIZES = (25, 50, 100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What an address asks for. `words` are the search box's, by name; free words under `q`."""

    words: Mapping[str, str] = field(default_factory=dict)
    all_users: bool = False
    size: int = SIZES[0]
    after: str | None = None

    @classmethod
    def of(cls, query: MultiDict[str, str]) -> Listing:
        """What stands in an address. Raises InvalidParameter."""
        words = taken_apart(_short(query.get("q", "")))
        words |= {name: _short(query[name]) for name in ALONE if query.get(name, "").strip()}
        return cls(
            words={name: value for name, value in words.items() if value},
            all_users=query.get("all") == "1",
            size=_size(query.get("size", "")),
            after=query.get("after") or None,
        )

    @property
    def text(self) -> str:
        """All of it as the search box shows it."""
        return put_together(self.words)

    @property
    def status(self) -> str:
        return self.words.get("status", "")

    @property
    def chosen(self) -> int:
        """How many filters there are besides the tab's."""
        return len(self.words.keys() - {"status"})

    def filters(self, clock: datetime | None = None) -> Filters:
        """Its filters. Raises InvalidParameter."""
        found = parse(self.text, clock=clock or datetime.now(UTC))
        return replace(found, all_users=self.all_users and found.user is None)

    def query(self, **changes: Any) -> dict[str, str]:
        """Its parameters, changed; an empty value takes one away, and so begins at the newest."""
        alone = {name: value for name, value in self.words.items() if name in ALONE}
        rest = {name: value for name, value in self.words.items() if name not in ALONE}
        given: dict[str, Any] = {
            **alone,
            "q": put_together(rest),
            "all": "1" if self.all_users else "",
            "size": self.size if self.size != SIZES[0] else "",
            **changes,
        }
        return {name: str(value) for name, value in given.items() if value not in (None, "")}

    def address(self, page: str = "outputs", **changes: Any) -> str:
        """The address of this list (or of another page about the same rows), changed."""
        return render.address(page, **self.query(**changes))


def _short(text: str) -> str:
    if len(text) > LONGEST:
        raise InvalidParameter(
            f"Invalid search. Must be at most {LONGEST} characters", pointer="/q"
        )
    return text.strip()


def _size(text: str) -> int:
    return int(text) if text in {str(size) for size in SIZES} else SIZES[0]
