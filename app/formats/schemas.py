"""JSON Schemas from callers: refused at submit when they cannot work, applied within bounds after.

A schema is somebody else's program and the answer somebody else's data, so no reference leaves the
schema (nothing is ever fetched) and what would make checking expensive is refused here or bounded
in `validation`. Drafts 2020-12 and 7. Not here: passing a schema to a provider; that is the
adapter's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from app.errors import InvalidParameter

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

MAX_SCHEMA_BYTES = 64 * 1024
MAX_SCHEMA_DEPTH = 32
MAX_SCHEMA_OBJECTS = 2_000

_REMEMBERED = 128
_SHOWN_MISMATCHES = 5
_SHOWN_LENGTH = 240
_SHOWN_START = 60
_NOT_SUPPORTED = {
    "unevaluatedProperties": "use additionalProperties",
    "unevaluatedItems": "use items",
    "$dynamicRef": "use $ref",
    "$recursiveRef": "use $ref",
}


def check_schema(schema: Any, *, name: str = "response_schema") -> None:
    """Refuse a schema that no answer could be checked against. `name` is the parameter it came in.

    Raises InvalidParameter: not an object, too large, too deep, of another draft, not valid, with a
    `$ref` that leaves it, leads nowhere or goes round in circles, with a regular expression RE2
    does not take (look-around, back references), or with one of the few keywords not supported.
    """
    try:
        if not isinstance(schema, Mapping):
            raise ValueError(f"must be a JSON Schema object, not {type(schema).__name__}")
        _validator(_canonical(schema))
    except ValueError as problem:
        raise InvalidParameter(f"{name}: {problem}", pointer=f"/{name}") from None


def mismatch(value: Any, schema: Mapping[str, Any]) -> str | None:
    """A sentence saying where `value` does not match a checked schema; None when it does."""
    from app.formats import validation

    try:
        validator = _validator(_canonical(schema))
        with validation.limited_cpu(validation.CPU_SECONDS):
            errors = list(islice(validator.iter_errors(value), _SHOWN_MISMATCHES))
    except validation.TooCostly as problem:
        return f"The answer could not be checked against the response schema: {problem}"
    except (
        Exception
    ) as error:  # it failed only when applied: whoever wrote the schema must read why
        return f"The response schema cannot be applied: {_short(str(error))}"
    if not errors:
        return None
    sentences = (f"{_place(error.absolute_path)}: {_short(error.message)}" for error in errors)
    return f"The answer does not match the response schema: {'; '.join(dict.fromkeys(sentences))}"


def _canonical(schema: Mapping[str, Any]) -> str:
    """The schema as one text: what the compiled one is remembered by."""
    try:
        text = json.dumps(schema, ensure_ascii=False, allow_nan=False, sort_keys=True)
        size = len(text.encode())
    except (TypeError, UnicodeEncodeError, RecursionError, ValueError) as error:
        raise ValueError(f"cannot be written as JSON: {error}") from None
    if size > MAX_SCHEMA_BYTES:
        raise ValueError(f"has {size:,} bytes; at most {MAX_SCHEMA_BYTES:,} are allowed")
    return text


@lru_cache(maxsize=_REMEMBERED)
def _validator(canonical: str) -> Validator:
    """The compiled schema. Raises ValueError with a sentence that has the schema as its subject."""
    from app.formats import validation

    schema = json.loads(canonical)
    _check_size(schema)
    draft = schema.pop("$schema", validation.DEFAULT_DRAFT)
    schema.pop("$id", None)  # every reference is local, so the name is of no use
    for keyword, value in _keywords(schema):
        _check_keyword(keyword, value)
    return validation.compile_schema(schema, draft=draft)


def _check_size(schema: Any) -> None:
    level = [schema]
    objects = 0
    for _ in range(MAX_SCHEMA_DEPTH):
        objects += sum(isinstance(item, dict) for item in level)
        level = [inner for item in level for inner in _inside(item)]
        if objects > MAX_SCHEMA_OBJECTS:
            raise ValueError(f"has more than {MAX_SCHEMA_OBJECTS:,} objects")
        if not level:
            return
    raise ValueError(f"has more than {MAX_SCHEMA_DEPTH} levels")


def _keywords(schema: Any) -> Iterator[tuple[str, Any]]:
    """Every key of every object within; some are names of properties and not keywords."""
    if isinstance(schema, dict):
        yield from schema.items()
    for inner in _inside(schema):
        yield from _keywords(inner)


def _inside(item: Any) -> list[Any]:
    if isinstance(item, dict):
        return list(item.values())
    return item if isinstance(item, list) else []


def _check_keyword(keyword: str, value: Any) -> None:
    from app.formats.validation import regex

    if keyword in _NOT_SUPPORTED:
        raise ValueError(f"{keyword} is not supported; {_NOT_SUPPORTED[keyword]}")
    if keyword in ("$schema", "$id") and isinstance(value, str):
        raise ValueError(f"{keyword} is allowed at the top only")
    if keyword in ("required", "type") and isinstance(value, list):
        _check_names(keyword, value)
    if keyword in ("dependentRequired", "dependencies") and isinstance(value, dict):
        for names in value.values():
            _check_names(keyword, names if isinstance(names, list) else [])
    if keyword == "$ref" and isinstance(value, str) and not value.startswith("#"):
        raise ValueError(f"$ref {_short(value)!r} leaves the schema; write '#/$defs/…'")
    if keyword == "pattern" and isinstance(value, str):
        regex(value)
    if keyword == "patternProperties" and isinstance(value, dict):
        for pattern in value:
            regex(pattern)


def _check_names(keyword: str, names: list[Any]) -> None:
    """The standard's own check compares mixed lists in quadratic time, so this comes before it."""
    if not all(isinstance(name, str) for name in names):
        raise ValueError(f"{keyword} must be a list of strings")


def _place(path: Sequence[str | int]) -> str:
    """Where in the answer, as a JSON Pointer."""
    steps = (str(step).replace("~", "~0").replace("/", "~1") for step in path)
    return "at " + "".join(f"/{step}" for step in steps) if path else "at the top"


def _short(text: str) -> str:
    """Both ends of a long sentence: jsonschema begins with the value and ends with the reason."""
    if len(text) <= _SHOWN_LENGTH:
        return text
    return f"{text[:_SHOWN_START]} … {text[_SHOWN_START - _SHOWN_LENGTH :]}"
