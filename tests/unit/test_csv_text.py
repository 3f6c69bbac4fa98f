"""CSV for spreadsheets: what comes back is what went in, and no cell is a formula."""

from __future__ import annotations

import csv
import io
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.csv_text import cell, line


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        " =1",
        "\u00a0@A1",
        "＝1+1",
        "＠SUM(A1)",
    ],
)
def test_what_a_spreadsheet_would_run_begins_with_an_apostrophe(text: str) -> None:
    assert cell(text) == f"'{text}"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, ""),
        (-3, -3),
        (True, "true"),
        (Decimal("-0.00420"), "-0.0042"),
        (0.5, "0.5"),
        ({"a": "ü"}, '{"a": "ü"}'),
    ],
)
def test_values_are_written_plainly(value: Any, written: Any) -> None:
    assert cell(value) == written


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), min_size=2))
def test_a_line_reads_back(texts: list[str]) -> None:
    (back,) = csv.reader(io.StringIO(line(texts), newline=""))
    assert back == [str(cell(text)) for text in texts]
