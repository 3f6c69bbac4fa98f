"""What a request may hold, and the four checks that come before all others."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from app.errors import InvalidParameter, RequestError
from app.jobs.limits import MAX_DEPTH, MAX_ITEMS, MAX_KEYS, MAX_STRING_BYTES, check_value
from app.jobs.request import check_essentials


def nested(levels: int) -> Any:
    value: Any = "core"
    for _ in range(levels):
        value = {"inner": value}
    return value


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        1.5,
        -(10**300),
        "ü" * (MAX_STRING_BYTES // 2),
        nested(MAX_DEPTH),
        {str(n): n for n in range(MAX_KEYS)},
        [[]] * MAX_ITEMS,
        {"a": [1, {"b": (2, 3)}]},
    ],
)
def test_json_within_the_limits_passes(value: Any) -> None:
    check_value(value)


@pytest.mark.parametrize(
    ("value", "problem", "pointer"),
    [
        (nested(MAX_DEPTH + 1), "deeper than 32", "/x" + "/inner" * MAX_DEPTH),
        (nested(100_000), "deeper than 32", "/x" + "/inner" * MAX_DEPTH),
        ({str(n): n for n in range(MAX_KEYS + 1)}, "1,000 keys", "/x"),
        ([{"a": 1}] * (MAX_KEYS + 1), "1,000 keys", "/x"),
        ([0] * (MAX_ITEMS + 1), "10,000 items", "/x"),
        ([[0] * 9_999] * 12, "100,000 values", "/x"),
        ({"a": "ü" * MAX_STRING_BYTES}, "256 kB", "/x/a"),
        ({"a": ["ok", "a\x00b"]}, "U+0000", "/x/a/1"),
        ({"a": "\udc80"}, "U+DC80", "/x/a"),
        ({"k\ud800": 1}, "U+D800", "/x"),
        ({"a": float("nan")}, "no JSON number", "/x/a"),
        ([float("inf")], "no JSON number", "/x/0"),
        ({"a": 10**400}, "300 digits", "/x/a"),
        ({1: "a"}, "no text", "/x"),
        ({"a": datetime.now(UTC)}, "datetime", "/x/a"),
        ({"a": Decimal(1)}, "Decimal", "/x/a"),
        ({"a": b"bytes"}, "bytes", "/x/a"),
        ({"a": {1, 2}}, "set", "/x/a"),
    ],
)
def test_what_is_beyond_a_limit_or_not_json_is_refused_where_it_stands(
    value: Any, problem: str, pointer: str
) -> None:
    with pytest.raises(InvalidParameter, match="Invalid value at") as refusal:
        check_value(value, pointer="/x")
    assert problem in refusal.value.message
    assert refusal.value.pointer == pointer


GOOD = {"template": "Hi {{a}}", "model": "gpt-4"}


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({}, "Missing required parameter: template"),
        ({"template": None, "model": None}, "Missing required parameter: template"),
        ({"template": " \n", "format": "xml"}, "Missing required parameter: template"),
        ({"messages": [], "model": "m"}, "Missing required parameter: template"),
        ({"template": "x", "format": None}, "Missing required parameter: model"),
        ({"template": "x", "model": ""}, "Missing required parameter: model"),
        ({**GOOD, "format": None}, "Invalid format. Must be one of: text, json, markdown, html"),
        (
            {**GOOD, "format": "xml", "context": 5},
            "Invalid format. Must be one of: text, json, markdown, html",
        ),
        (
            {**GOOD, "format": ["json"]},
            "Invalid format. Must be one of: text, json, markdown, html",
        ),
        ({**GOOD, "context": None}, "Context must be a hash/object"),
        ({**GOOD, "context": "a"}, "Context must be a hash/object"),
        ({**GOOD, "context": [["a", 1]]}, "Context must be a hash/object"),
    ],
)
def test_the_first_four_checks_in_the_seeds_order_and_words(
    fields: dict[str, Any], error: str
) -> None:
    with pytest.raises(RequestError) as refusal:
        check_essentials(fields)
    assert refusal.value.message == error
    assert refusal.value.status == 400


@pytest.mark.parametrize(
    "fields",
    [
        GOOD,
        {**GOOD, "format": "html", "context": {}},
        {"template": "x", "agent_id": 3},
        {"messages": [{"role": "user", "content": "x"}], "model": "m"},
    ],
)
def test_what_has_all_four_passes(fields: dict[str, Any]) -> None:
    check_essentials(fields)
