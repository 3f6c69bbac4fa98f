"""A cursor is opaque, and anything that is not one is refused."""

from __future__ import annotations

from base64 import urlsafe_b64encode

import pytest

from app.errors import InvalidParameter
from app.paging import Page, cursor, every_row, read_cursor


@pytest.mark.parametrize("row_id", [1, 42, 2**63 - 1])
def test_a_cursor_names_its_row(row_id: int) -> None:
    assert read_cursor(cursor(row_id)) == row_id
    assert str(row_id) not in cursor(row_id)


def _encoded(text: str) -> str:
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "12",
        "after:12",
        "ÿ",
        "\udcff",
        "a" * 10_000,
        cursor(5) + "=",
        cursor(5) + "A",
        cursor(5)[:-1],
        _encoded("after:0"),
        _encoded("after:-1"),
        _encoded("after:05"),
        _encoded("after:٣"),
        _encoded(f"after:{2**63}"),
        _encoded("before:5"),
        _encoded("after:5 "),
    ],
)
def test_a_cursor_that_is_none_of_ours_is_refused(text: str) -> None:
    with pytest.raises(InvalidParameter, match="Invalid cursor"):
        read_cursor(text)


def test_every_row_is_asked_for_page_by_page_until_there_is_no_next() -> None:
    pages = {None: Page([3, 2], "a"), "a": Page([1], "b"), "b": Page([], None)}
    assert list(every_row(pages.__getitem__)) == [3, 2, 1]
