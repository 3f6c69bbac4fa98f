"""Writes the reference of the HTTP API from the list of endpoints: `python -m api.reference`.

What it says is read where it is applied: `api.openapi`, the schemas, and the tree of errors.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from api import openapi
from api.app import endpoints
from api.body import BULK, MAX_DEPTH, MAX_KEYS, MAX_TEXT_BYTES, MAX_UPLOAD_BYTES, ORDINARY
from api.errors import PROBLEM
from api.routing import Endpoint
from api.schemas.common import LARGEST_ID
from app.errors import LLMJobsError, RequestError, Unavailable

PATH = "docs/reference/http-api.md"

_INTRODUCTION = f"""# HTTP API

<!-- Written by `python -m api.reference`: change the code, not this page. -->

The same as OpenAPI 3.1: `/openapi.json`; as a page to try: `/docs`.

**Key.** Every operation but health checks needs `Authorization: Bearer <API key>`. A key without
named scopes may do all that its user may; otherwise the scope named with the operation is needed.
What belongs to somebody else is answered like what does not exist: 404.

**Bodies** are JSON objects (`application/json`), at most {ORDINARY.max_bytes:,} bytes
({BULK.max_bytes:,} for bulk), {MAX_DEPTH} levels deep, with {MAX_KEYS:,} keys in all (in bulk:
each job) and texts of {MAX_TEXT_BYTES:,} bytes. With files, {MAX_UPLOAD_BYTES:,} bytes, of which
all but the files' contents keep to the first limit. Unknown fields, wrong types, duplicate keys,
`NaN`, NUL and lone surrogates are refused; the refusal names the place.

**Refusals** are `{PROBLEM}` (RFC 9457): `type`, `title`, `status`, `detail`, `instance`,
`request_id`, `code`, and `errors` with the JSON pointer of each culprit; `error` is the same as one
flat sentence. A client that speaks JSON:API finds its own form in `errors`.

**Rates.** Each key has its rate (`LLM_JOBS_RATE_LIMIT`); `RateLimit`, `RateLimit-Policy` and
`X-RateLimit-*` say what is left. Over it: 429 with `Retry-After`.

**Lists** take `limit` (at most 100) and `after`; `next` of the answer, also in `Link: rel=next`, is
the `after` of the next page.

**Every answer** carries `X-Request-Id`, the request's own if it had one.
"""


def markdown() -> str:
    """The whole page."""
    listed = endpoints()
    document = openapi.document(listed)
    parts = [_INTRODUCTION]
    for tag, described in openapi.TAGS.items():
        parts.append(f"## {tag.capitalize()}\n\n{described}\n")
        parts += [_operation(e, document) for e in listed if e.tag == tag]
    parts.append("## Schemas\n")
    parts += [_schema(name, document) for name in _shown_schemas(document)]
    parts.append("## Error codes\n\n" + _table(["code", "status", "title"], _error_codes()))
    return "\n".join(parts)


def _operation(endpoint: Endpoint, document: Mapping[str, Any]) -> str:
    path = openapi.path_of(endpoint)
    operation = document["paths"][path][endpoint.method.lower()]
    parts = [f"### `{endpoint.method} {path}`", f"{endpoint.summary}."]
    if endpoint.description:
        parts.append(endpoint.description)
    parts.append(f"Access: {_access(endpoint)}. Operation: `{endpoint.name}`.")
    if rows := [_parameter(p, document) for p in operation.get("parameters", ())]:
        parts.append(_table(["parameter", "in", "type", "meaning"], rows))
    if endpoint.body is not None:
        schema = document["components"]["schemas"][endpoint.body.__name__]
        parts.append(_table(["field", "type", "meaning"], _fields(schema, document)))
        parts.append(_example(endpoint, operation))
    parts.append(_table(["status", "body", "meaning"], _statuses(operation, document)))
    return "\n\n".join(parts) + "\n"


def _access(endpoint: Endpoint) -> str:
    if endpoint.access.public:
        return "public"
    if endpoint.access.administrator:
        return "administrators"
    return f"scope `{endpoint.access.scope}`" if endpoint.access.scope else "any key"


def _parameter(parameter: Mapping[str, Any], document: Mapping[str, Any]) -> list[str]:
    kind = _type(parameter["schema"], document)
    return [f"`{parameter['name']}`", parameter["in"], kind, parameter.get("description", "")]


def _fields(schema: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[list[str]]:
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        needed = " (required)" if name in required else ""
        yield [f"`{name}`{needed}", _type(field, document), field.get("description", "")]


def _type(schema: Mapping[str, Any], document: Mapping[str, Any]) -> str:
    """A schema in a few words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        found = document["components"]["schemas"][name]
        return _type(found, document) if "enum" in found else name
    if "enum" in schema:
        return ", ".join(f"`{word}`" for word in schema["enum"])
    if "anyOf" in schema:
        some = [_type(s, document) for s in schema["anyOf"] if s.get("type") != "null"]
        return " or ".join(dict.fromkeys(some))
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}), document)}"
    bounds = [
        f"{words} {schema[name]:,}"
        for name, words in _BOUNDS.items()
        if name in schema and schema[name] < LARGEST_ID // 2
    ]
    kind = f"{schema.get('type', 'anything')}"
    kind += f" ({schema['format']})" if "format" in schema else ""
    return " ".join([kind, *bounds])


_BOUNDS = {"minimum": "from", "maximum": "to", "maxLength": "of at most", "exclusiveMinimum": ">"}


def _example(endpoint: Endpoint, operation: Mapping[str, Any]) -> str:
    content = operation["requestBody"]["content"]["application/json"]
    shown = content.get("example") or next(iter(content["examples"].values()))["value"]
    return f"```json\n{json.dumps(shown, indent=2, ensure_ascii=False)}\n```"


def _statuses(operation: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[list[str]]:
    for status, response in operation["responses"].items():
        told = response if "$ref" not in response else document["components"]["responses"][status]
        yield [status, _content(told), told["description"]]


def _content(response: Mapping[str, Any]) -> str:
    """What a response's body is, by name."""
    names = [
        c["schema"].get("$ref", "").rpartition("/")[2] for c in response.get("content", {}).values()
    ]
    return " or ".join(f"[{name}](#{name.lower()})" for name in names if name)


def _schema(name: str, document: Mapping[str, Any]) -> str:
    schema = document["components"]["schemas"][name]
    described = schema.get("description", "")
    rows = _fields({**schema, "required": ()}, document)  # an answer's fields are all there
    return f"### {name}\n\n{described}\n\n" + _table(["field", "type", "meaning"], rows)


def _shown_schemas(document: Mapping[str, Any]) -> list[str]:
    """Every schema with fields that is not a request's body: those stand with their operation."""
    asked = {e.body.__name__ for e in endpoints() if e.body is not None}
    found = document["components"]["schemas"].items()
    return [name for name, schema in found if "properties" in schema and name not in asked]


def _error_codes() -> list[list[str]]:
    """What a client can be answered with, from the tree in `app.errors`."""
    found: dict[str, type[LLMJobsError]] = {}
    waiting: list[type[LLMJobsError]] = [RequestError, Unavailable]
    while waiting:
        error = waiting.pop(0)
        found.setdefault(error.code, error)
        waiting += error.__subclasses__()
    ordered = sorted(found.values(), key=lambda error: (error.status, error.code))
    return [[f"`{error.code}`", str(error.status), error.title] for error in ordered]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]] | Iterator[list[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for row in rows:
        cells = (cell.replace("|", "\\|").replace("\n", " ").strip() for cell in row)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(markdown(), end="")  # noqa: T201 - this is what the command is for
