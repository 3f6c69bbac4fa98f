"""A value that satisfies a JSON Schema: what a model with structured output would answer.

A small reading of the schema, not a solver: `pattern`, `not`, `if` and contradictions are out of
its reach, and the caller validates again anyway.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

_DEEPEST = 12
"""Below this, optional parts are left out, so that a recursive schema ends."""
_OPTIONAL_DEPTH = 4

_FORMATS = {
    "date-time": "2024-01-15T10:30:00Z",
    "date": "2024-01-15",
    "time": "10:30:00Z",
    "duration": "PT1H",
    "email": "someone@example.com",
    "idn-email": "someone@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "url": "https://example.com/",
    "uri-reference": "/example",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def value_for(schema: Any, text: str = "text") -> Any:
    """A value for this schema, its strings taken from `text`; the same for the same arguments."""
    return _value(schema, _Reading(schema, text), 0)


class _Reading:
    """The document references point into, and the words strings are made of."""

    def __init__(self, root: Any, text: str) -> None:
        self.root = root
        self.text = text

    def resolve(self, reference: str) -> Any:
        found = self.root
        for step in reference.removeprefix("#").strip("/").split("/") if reference != "#" else ():
            key = step.replace("~1", "/").replace("~0", "~")
            if isinstance(found, list):
                found = found[int(key)] if key.isdigit() and int(key) < len(found) else {}
            else:
                found = found.get(key, {}) if isinstance(found, Mapping) else {}
        return found


def _value(schema: Any, reading: _Reading, depth: int) -> Any:
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        return None
    schema = _flattened(schema, reading, depth)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    match _type(schema):
        case "object":
            return _object(schema, reading, depth)
        case "array":
            return _array(schema, reading, depth)
        case "string":
            return _string(schema, reading)
        case "integer":
            return _number(schema, whole=True)
        case "number":
            return _number(schema, whole=False)
        case "boolean":
            return True
    return None


def _flattened(schema: Mapping[str, Any], reading: _Reading, depth: int) -> Mapping[str, Any]:
    """One plain schema: the reference followed, all of `allOf`, the first possible alternative."""
    for _ in range(_DEEPEST):
        merged = {k: v for k, v in schema.items() if k not in ("$ref", "allOf", "anyOf", "oneOf")}
        parts = list(schema.get("allOf") or ())
        if isinstance(schema.get("$ref"), str):
            parts.append(reading.resolve(schema["$ref"]))
        parts += [_alternative(schema[k], depth) for k in ("anyOf", "oneOf") if schema.get(k)]
        if not parts:
            return schema
        for part in parts:
            merged = _merged(merged, part)
        schema = merged
    return schema


def _alternative(alternatives: list[Any], depth: int) -> Any:
    """The first; deep down one that ends, if there is one."""
    if depth >= _OPTIONAL_DEPTH:
        for one in alternatives:
            if isinstance(one, Mapping) and one.get("type") in ("null", "boolean", "string"):
                return one
    return alternatives[0]


def _merged(left: Mapping[str, Any], right: Any) -> dict[str, Any]:
    if not isinstance(right, Mapping):
        return dict(left)
    both = {**right, **left}
    if "properties" in left and "properties" in right:
        both["properties"] = {**right["properties"], **left["properties"]}
    if "required" in left and "required" in right:
        both["required"] = [*left["required"], *right["required"]]
    return both


def _type(schema: Mapping[str, Any]) -> str:
    named = schema.get("type")
    if isinstance(named, list):
        named = next((name for name in named if name != "null"), "null")
    if isinstance(named, str):
        return named
    if "properties" in schema or "required" in schema:
        return "object"
    if "items" in schema or "prefixItems" in schema or "minItems" in schema:
        return "array"
    return "number" if "minimum" in schema or "maximum" in schema else "string"


def _object(schema: Mapping[str, Any], reading: _Reading, depth: int) -> dict[str, Any]:
    required = list(schema.get("required") or ())
    properties = schema.get("properties") or {}
    wanted = required if depth >= _OPTIONAL_DEPTH else [*properties, *required]
    made = {
        name: _value(properties.get(name, {}), reading, depth + 1)
        for name in dict.fromkeys(wanted)
        if name in required or properties.get(name) is not False
    }
    extra = schema.get("additionalProperties")
    for number in range(len(made), int(schema.get("minProperties", 0))):
        made[f"key_{number + 1}"] = _value(extra or {"type": "string"}, reading, depth + 1)
    return made


def _array(schema: Mapping[str, Any], reading: _Reading, depth: int) -> list[Any]:
    first = list(schema.get("prefixItems") or ())
    least = int(schema.get("minItems", 0))
    length = max(least, len(first), 0 if depth >= _OPTIONAL_DEPTH else 1)
    length = min(length, int(schema.get("maxItems", length)))
    items = schema.get("items", {"type": "string"})
    if items is False:
        length = min(length, len(first))
    made = [
        _value(first[i] if i < len(first) else items, reading, depth + 1) for i in range(length)
    ]
    return _told_apart(made, items, reading) if schema.get("uniqueItems") else made


def _told_apart(made: list[Any], items: Any, reading: _Reading) -> list[Any]:
    """Distinct values: the next of an enum, the next number, a numbered text."""
    plain = _flattened(items, reading, 0) if isinstance(items, Mapping) else {}
    choices = plain.get("enum")
    for number, value in enumerate(made):
        if choices and number < len(choices):
            made[number] = choices[number]
        elif isinstance(value, str) and number:
            tail = str(number + 1)
            most = int(plain.get("maxLength", len(value) + len(tail)))
            made[number] = value[: most - len(tail)] + tail
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            made[number] = value + number * plain.get("multipleOf", 1)
    return made


def _string(schema: Mapping[str, Any], reading: _Reading) -> str:
    if schema.get("format") in _FORMATS:
        return _FORMATS[schema["format"]]
    text = reading.text or "text"
    least = int(schema.get("minLength", 0))
    if len(text) < least:
        text = (text + " ") * (least // (len(text) + 1) + 1)
    return text[: int(schema.get("maxLength", max(least, 200)))]


def _number(schema: Mapping[str, Any], *, whole: bool) -> int | float:
    step = schema.get("multipleOf") or (1 if whole else 0)
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    value = _between(low, high, whole=whole, step=step)
    if "exclusiveMinimum" in schema and value <= schema["exclusiveMinimum"]:
        value += step or _half(value, high)
    if "exclusiveMaximum" in schema and value >= schema["exclusiveMaximum"]:
        value -= step or _half(low, value)
    return int(value) if whole else value


def _between(low: float | None, high: float | None, *, whole: bool, step: float) -> float:
    value: float = 1 if whole else 1.0
    if low is not None:
        value = max(value, low)
    if high is not None:
        value = min(value, high)
    if not step:
        return value
    multiple = math.ceil(value / step) * step
    return multiple if high is None or multiple <= high else math.floor(value / step) * step


def _half(low: float | None, high: float | None) -> float:
    """A step that stays inside an open interval."""
    return 0.5 if low is None or high is None else abs(high - low) / 2
