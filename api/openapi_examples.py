"""An example for any schema: its own where it has one, else the plainest value that fits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_BY_TYPE: Mapping[str, Any] = {
    "string": "text",
    "integer": 1,
    "number": 1.0,
    "boolean": True,
    "object": {},
    "null": None,
}
_BY_FORMAT = {
    "date-time": "2030-01-15T10:35:00Z",
    "date": "2030-01-15",
    "uuid": "0d9f6a52-7c1e-4d2b-9a57-3f6f0c2f1b11",
}


def example_of(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Any:
    """A value that `schema` accepts. `schemas` are those a `$ref` can name."""
    if "$ref" in schema and "properties" not in schema:
        return example_of(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    if schema.get("examples"):
        return schema["examples"][0]
    for given in ("const", "default"):
        if schema.get(given) is not None:
            return schema[given]
    if schema.get("enum"):
        return schema["enum"][0]
    if "anyOf" in schema and "type" not in schema:
        return example_of(schema["anyOf"][0], schemas)
    return _by_type(schema, schemas)


def _by_type(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Any:
    kind = schema.get("type", "object")
    if kind == "object":
        parts = schema.get("properties", {})
        return {name: example_of(part, schemas) for name, part in parts.items()}
    if kind == "array":
        return [example_of(schema.get("items", {}), schemas)]
    return _BY_FORMAT.get(schema.get("format", ""), _BY_TYPE[kind])
