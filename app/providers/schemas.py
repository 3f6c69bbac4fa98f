"""Which form a JSON Schema takes on its way to a model. Pure; answers are validated elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_NESTED_IN_DICTS = ("properties", "$defs", "definitions")
_NESTED_IN_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")


def is_object(schema: Mapping[str, Any]) -> bool:
    """Whether answers are JSON objects: vendors' own structured output takes no other root."""
    return schema.get("type") == "object"


def is_strict(schema: Any) -> bool:
    """Whether OpenAI takes the schema in strict mode: closed objects with every property required.

    Source: OpenAI, "Structured model outputs", supported schemas.
    """
    if not isinstance(schema, Mapping):
        return False
    if "properties" in schema or schema.get("type") == "object":
        properties = schema.get("properties", {})
        if schema.get("additionalProperties") is not False:
            return False
        if set(schema.get("required", ())) != set(properties):
            return False
    nested = [inner for key in _NESTED_IN_DICTS for inner in schema.get(key, {}).values()]
    nested += [inner for key in _NESTED_IN_LISTS for inner in schema.get(key, ())]
    nested += [schema["items"]] if "items" in schema else []
    return all(is_strict(inner) for inner in nested)


def instruction(schema: Mapping[str, Any]) -> str:
    """What to tell a model whose vendor cannot hold it to the schema."""
    return (
        "Answer with JSON only, without a code fence, valid against this JSON Schema:\n"
        + json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
    )
