"""Lines of CSV files that people open in a spreadsheet: nothing in them is taken for a formula.

Source: OWASP, CSV Injection. RFC 4180 for quoting and line ends.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

BYTE_ORDER_MARK = "\ufeff"
"""Without it spreadsheets read UTF-8 as something older."""

_FORMULA = tuple("=+-@\uff1d\uff0b\uff0d\uff20")
"""The latter four are the same at full width: some spreadsheets read them so."""

_BLANK = ("\t", "\r", "\n")


def line(values: Sequence[Any]) -> str:
    """One line with its end (CRLF), quoted where it must be."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow([cell(value) for value in values])
    return text.getvalue()


def cell(value: Any) -> str | int:
    """A value as a cell: a text that a spreadsheet would take for a formula begins with an
    apostrophe; numbers do not, and None is empty.
    """
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float):
        return repr(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    runs = text.startswith(_BLANK) or text.lstrip().startswith(_FORMULA)
    return f"'{text}" if runs else text
