"""What a fetcher returned, as JSON: plain, storable, of bounded size, and nobody else's object."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from app.errors import ContextUnavailable
from app.text import deep_clean

MAX_VALUE_CHARACTERS = 1024 * 1024


def json_value(value: Any) -> Any:
    """A copy of `value` made of JSON's own types; dates and the like become text.

    Raises ContextUnavailable when that is not possible or longer than `MAX_VALUE_CHARACTERS`.
    """
    try:
        text = json.dumps(value, default=_plain, allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ContextUnavailable(f"its value cannot be written as JSON: {error}") from None
    if len(text) > MAX_VALUE_CHARACTERS:
        raise ContextUnavailable(f"its value is longer than {MAX_VALUE_CHARACTERS:,} characters")
    return deep_clean(json.loads(text))


def _plain(value: Any) -> Any:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, (Decimal, UUID)):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    raise TypeError(f"{type(value).__name__} is not plain data")
