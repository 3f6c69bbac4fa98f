"""The list of pages: one entry says where a page is, who may see it and what shows it.

From the same entry come the Flask rule and the checks before it (sign-in, role, CSRF). A page has
no access rule until it names one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

from flask import Response

View = TypeVar("View", bound=Callable[..., Response])


class Audience(Enum):
    """Who may see a page."""

    ANYBODY = "anybody"
    SIGNED_IN = "signed in"
    ADMINISTRATORS = "administrators"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page, fragment or form target. `name` is what `url_for` calls it; `most_bytes` is how
    large a form may be that brings files.
    """

    method: str
    path: str
    name: str
    audience: Audience
    view: Callable[..., Response]
    most_bytes: int | None = None


class Pages:
    """Pages of one room, in the order they are written."""

    def __init__(self) -> None:
        self._pages: list[Page] = []

    def __iter__(self) -> Iterator[Page]:
        return iter(self._pages)

    def get(self, path: str, audience: Audience = Audience.SIGNED_IN) -> Callable[[View], View]:
        """Register the decorated view; it gets a `Visit` and the path's arguments."""
        return self._page("GET", path, audience)

    def post(
        self,
        path: str,
        audience: Audience = Audience.SIGNED_IN,
        *,
        most_bytes: int | None = None,
    ) -> Callable[[View], View]:
        """Register the target of a form. Its CSRF token was checked before the view is called.

        A form that brings files may have `most_bytes`; others have what any body may.
        """
        return self._page("POST", path, audience, most_bytes=most_bytes)

    def _page(
        self, method: str, path: str, audience: Audience, *, most_bytes: int | None = None
    ) -> Callable[[View], View]:
        def register(view: View) -> View:
            self._pages.append(
                Page(
                    method=method,
                    path=path,
                    name=f"page_{view.__name__}",
                    audience=audience,
                    view=view,
                    most_bytes=most_bytes,
                )
            )
            return view

        return register
