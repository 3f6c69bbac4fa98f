"""What was enqueued while a block ran, held against what a test expects; a mismatch is a diff."""

from __future__ import annotations

import difflib
import pprint
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from app.testing.bed import TestBed
from models import LLMOutput

_COLUMNS = {"template": "template_name", "model": "model_name", "metadata": "metadata_"}


@dataclass(slots=True)
class Enqueued:
    """The jobs of the block that were as expected; filled when it ends."""

    rows: list[LLMOutput] = field(default_factory=list)

    @property
    def row(self) -> LLMOutput:
        """The first of them."""
        return self.rows[0]


@contextmanager
def expect_enqueued(
    bed: TestBed, expected: Mapping[str, Any], *, times: int | None = None
) -> Iterator[Enqueued]:
    """Raise AssertionError unless the block enqueues a job with these fields (`times`: so many).

    Fields are those of a job: `template`, `model`, `context`, `format`, `queue`, `user_id`, …
    """
    unknown = [name for name in expected if not hasattr(LLMOutput, _COLUMNS.get(name, name))]
    if unknown:
        raise TypeError(f"a job has no {', '.join(unknown)}")
    before = bed.newest_id()
    enqueued = Enqueued()
    yield enqueued
    made = [(row, _fields(row, expected)) for row in bed.rows_after(before)]
    enqueued.rows = [row for row, fields in made if fields == dict(expected)]
    if not enqueued.rows:
        raise AssertionError(_nothing_like(expected, [fields for _, fields in made]))
    if times is not None and len(enqueued.rows) != times:
        raise AssertionError(f"{len(enqueued.rows)} such jobs were enqueued, not {times}")


def _fields(row: LLMOutput, expected: Mapping[str, Any]) -> dict[str, Any]:
    return {name: getattr(row, _COLUMNS.get(name, name)) for name in expected}


def _nothing_like(expected: Mapping[str, Any], made: Sequence[Mapping[str, Any]]) -> str:
    if not made:
        return f"no job was enqueued; expected:\n{_lines(expected)}"
    nearest = max(made, key=lambda fields: sum(fields[n] == v for n, v in expected.items()))
    diff = difflib.unified_diff(
        _lines(expected).splitlines(),
        _lines(nearest).splitlines(),
        "expected",
        "enqueued",
        lineterm="",
        n=100,
    )
    others = f" ({len(made)} jobs were enqueued; this one comes nearest)" if len(made) > 1 else ""
    return "\n".join([f"no such job was enqueued{others}", *diff])


def _lines(fields: Mapping[str, Any]) -> str:
    return "\n".join(f"{name} = {pprint.pformat(value)}" for name, value in sorted(fields.items()))
