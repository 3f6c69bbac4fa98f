"""How the command line shows things: results on standard output, everything else on standard error.

Tables and progress appear on a terminal only; pipes get plain lines or JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from typing import Any, NoReturn

import click


class Exit(IntEnum):
    """What a script may branch on."""

    OK = 0
    JOB_FAILED = 1
    USAGE = 2
    TIMEOUT = 3
    UNREACHABLE = 4


def fail(message: str, status: Exit) -> NoReturn:
    """Say why on standard error and end with this status."""
    click.echo(f"llm-jobs: {message}", err=True)
    sys.exit(status)


def note(message: str) -> None:
    """A remark for people: standard error, so that pipes stay clean."""
    click.echo(message, err=True)


def show_json(value: Any) -> None:
    """One JSON document on standard output."""
    click.echo(json.dumps(value, indent=2 if sys.stdout.isatty() else None, ensure_ascii=False))


def show_table(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Columns by name: a table on a terminal, tab-separated lines with a head elsewhere."""
    cells = [[_cell(row.get(column)) for column in columns] for row in rows]
    if not sys.stdout.isatty():
        for line in [columns, *cells]:
            click.echo("\t".join(line))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for line in cells:
        table.add_row(*line)
    Console().print(table)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    line = " ".join(text.split())
    return line if len(line) <= 60 else line[:59] + "…"
