"""jsonschema with its open ends closed: for `schemas`, and imported only when a schema is used.

Standard jsonschema fetches unknown references, runs patterns on Python's `re` (one `(a+)+$` stops a
worker), compares list items in quadratic time, and follows references that double the work at each
level. Here references stay local, patterns run on RE2, uniqueness is linear, and the CPU time of
one validation is limited. Formats (`"format": "email"`) are annotations, as the standard says.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, lru_cache
from typing import Any

import re2  # type: ignore[import-untyped]
from jsonschema import Draft7Validator, Draft202012Validator, SchemaError, ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT7, DRAFT202012

CPU_SECONDS = 2.0
TRIAL_CPU_SECONDS = 0.2
MAX_PATTERN_LENGTH = 500
MAX_SEARCHED_LENGTH = 100_000
DEFAULT_DRAFT = "https://json-schema.org/draft/2020-12/schema"

_SMALLEST_VALUES: tuple[Any, ...] = (None, {}, [], "", 0)
_PATTERN_MEMORY_BYTES = 512 * 1024
_JS_UNICODE_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|.)", re.DOTALL)

Keyword = Callable[[Any, Any, Any, Any], Iterator[ValidationError] | None]


class TooCostly(Exception):
    """A validation was stopped; says at which limit."""


_cpu_deadline: ContextVar[float] = ContextVar("cpu_deadline")


@contextmanager
def limited_cpu(seconds: float) -> Iterator[None]:
    """Validations within raise TooCostly when they have used this much of the thread's CPU."""
    token = _cpu_deadline.set(time.thread_time() + seconds)
    try:
        yield
    finally:
        _cpu_deadline.reset(token)


def compile_schema(schema: Mapping[str, Any], *, draft: object) -> Validator:
    """A validator of a schema without `$schema` and `$id`; use it within `limited_cpu`.

    Raises ValueError with a sentence that has the schema as its subject.
    """
    dialect = _dialects().get(str(draft).removesuffix("#"))
    if dialect is None:
        raise ValueError(f"has $schema {str(draft)[:100]!r}; use one of {', '.join(_dialects())}")
    validator_class, specification = dialect
    try:
        validator_class.check_schema(schema, format_checker=None)
    except SchemaError as error:
        raise ValueError(f"is not a valid JSON Schema: {error.message[:200]}") from None
    _check_references(schema, specification)
    validator: Validator = validator_class(schema, registry=Registry())
    _try(validator)
    return validator


@lru_cache(maxsize=512)
def regex(pattern: str) -> Any:
    """The pattern compiled by RE2. Raises ValueError naming what RE2 does not take."""
    if len(pattern) > MAX_PATTERN_LENGTH:
        raise ValueError(
            f"pattern has {len(pattern)} characters; at most {MAX_PATTERN_LENGTH} are allowed"
        )
    options = re2.Options()
    options.log_errors = False  # it would print the pattern on standard error
    options.max_mem = _PATTERN_MEMORY_BYTES
    try:
        return re2.compile(_JS_UNICODE_ESCAPE.sub(_code_point, pattern), options)
    except (re2.error, UnicodeEncodeError) as error:
        reason = error.args[0] if isinstance(error, re2.error) else error
        text = reason.decode() if isinstance(reason, bytes) else str(reason)
        raise ValueError(f"pattern {pattern[:80]!r} cannot be used (RE2 syntax): {text}") from None


def _code_point(match: re.Match[str]) -> str:
    return f"\\x{{{match[1]}}}" if match[1] else match[0]


def _check_references(schema: Mapping[str, Any], specification: Any) -> None:
    resolver = Registry().with_resource("", specification.create_resource(schema)).resolver()
    for reference in set(_references(schema)):
        try:
            target = resolver.lookup(reference).contents
        except Unresolvable:
            raise ValueError(f"has a $ref {reference[:100]!r} that leads nowhere") from None
        if not isinstance(target, (dict, bool)):
            raise ValueError(f"has a $ref {reference[:100]!r} that does not lead to a schema")


def _try(validator: Validator) -> None:
    """Apply it to the smallest values: a circle of references shows itself now, not after a call
    that has been paid for.
    """
    try:
        with limited_cpu(TRIAL_CPU_SECONDS):
            for smallest in _SMALLEST_VALUES:
                validator.is_valid(smallest)
    except RecursionError:
        raise ValueError("has a $ref that leads back to itself") from None
    except TooCostly:
        raise ValueError("takes too long to apply: its references multiply") from None


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        node = list(node.values())
    if isinstance(node, list):
        for inner in node:
            yield from _references(inner)


@cache
def _dialects() -> dict[str, tuple[Any, Any]]:
    """`$schema` without a trailing # → validator class and specification."""
    return {
        DEFAULT_DRAFT: (_bounded(Draft202012Validator), DRAFT202012),
        "http://json-schema.org/draft-07/schema": (_bounded(Draft7Validator), DRAFT7),
    }


def _bounded(standard: Any) -> Any:
    keywords = {**standard.VALIDATORS, **_OWN_KEYWORDS}
    metered = {name: _metered(keyword) for name, keyword in keywords.items()}
    return extend(standard, metered)  # type: ignore[no-untyped-call]


def _metered(keyword: Keyword) -> Keyword:
    """Every step of a validation passes here, however its references are entangled."""

    def check(validator: Any, value: Any, instance: Any, schema: Any) -> Any:
        _stay_within_limits()
        return keyword(validator, value, instance, schema)

    return check


def _stay_within_limits() -> None:
    if time.thread_time() > _cpu_deadline.get():
        raise TooCostly("it took too much CPU time")


def _found(pattern: str, text: str) -> bool:
    """Whether the pattern occurs in the text. Even RE2 takes some microseconds a character."""
    _stay_within_limits()
    if len(text) > MAX_SEARCHED_LENGTH:
        raise TooCostly(f"a pattern is searched in at most {MAX_SEARCHED_LENGTH:,} characters")
    return bool(regex(pattern).search(text))


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not _found(pattern, instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _pattern_properties(
    validator: Any, patterns: Mapping[str, Any], instance: Any, schema: Any
) -> Iterator[ValidationError]:
    if not isinstance(instance, dict):
        return
    for pattern, subschema in patterns.items():
        for name in [name for name in instance if _found(pattern, name)]:
            yield from validator.descend(instance[name], subschema, path=name, schema_path=pattern)


def _additional_properties(
    validator: Any, allowed: Any, instance: Any, schema: Any
) -> Iterator[ValidationError]:
    if not isinstance(instance, dict) or allowed is True:
        return
    named, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    others = [n for n in instance if n not in named and not any(_found(p, n) for p in patterns)]
    if isinstance(allowed, dict):
        for name in others:
            yield from validator.descend(instance[name], allowed, path=name)
    elif others:
        listed = ", ".join(map(repr, others[:5]))
        yield ValidationError(f"Additional properties are not allowed ({listed})")


def _unique_items(
    validator: Any, wanted: Any, instance: Any, schema: Any
) -> Iterator[ValidationError]:
    if wanted and isinstance(instance, list) and len(set(map(_frozen, instance))) < len(instance):
        yield ValidationError(f"{instance!r} has non-unique elements")


def _frozen(value: Any) -> Any:
    """A hashable stand-in, equal where JSON Schema says equal: 1 to 1.0, but not to true."""
    if isinstance(value, dict):
        return frozenset((name, _frozen(inner)) for name, inner in value.items())
    if isinstance(value, list):
        return tuple(map(_frozen, value))
    return (bool, value) if isinstance(value, bool) else value


_OWN_KEYWORDS: dict[str, Keyword] = {
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional_properties,
    "uniqueItems": _unique_items,
}
