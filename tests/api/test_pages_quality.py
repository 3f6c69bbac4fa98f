"""The Quality page's addresses without a browser: what is wrong with them is said."""

from __future__ import annotations

import pytest

from tests.api.house import House
from tests.api.visiting import signed_in


@pytest.mark.parametrize(
    "query",
    [
        "range=2d",
        "by=colour",
        "queue=urgent",
        "range=%00",
        "by=" + "x" * 5000,
        "user=nobody@example.org",
        "user=%ed%a0%80",
    ],
)
@pytest.mark.parametrize("path", ["/analytics", "/analytics/compare", "/analytics/points.csv"])
def test_an_address_that_cannot_be_is_refused(shared: House, path: str, query: str) -> None:
    answer = signed_in(shared, shared.ada).get(f"{path}?{query}")
    assert answer.status_code == 400
    assert "<h1>" in answer.text


@pytest.mark.parametrize(
    "query",
    [
        "",
        "range=365d",
        "by=user",
        "model=%00",
        "model=" + "x" * 5000,
        "prompt=nothing",
        "queue=low",
    ],
)
def test_an_address_without_rows_shows_none(shared: House, query: str) -> None:
    for person in (shared.ada, shared.charlie):
        answer = signed_in(shared, person).get(f"/analytics?{query}")
        assert answer.status_code in (200, 400), answer.text
        assert shared.alice.name not in answer.text


def test_there_are_two_files_and_no_others(shared: House) -> None:
    visitor = signed_in(shared, shared.alice)
    assert visitor.get("/analytics/points.csv").content_type == "text/csv; charset=utf-8"
    assert visitor.get("/analytics/groups.csv").status_code == 200
    assert visitor.get("/analytics/users.csv").status_code == 404
