"""The generated reference pages: they are what the code says now, and they leave nothing out."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from app.settings import CLIENT_NAMES, load_settings
from docs.generate import ROOT, pages
from docs.writers.command_line import commands
from docs.writers.errors import ROW_CODES


@pytest.fixture(scope="module")
def written() -> dict[Path, str]:
    return pages()


@pytest.mark.parametrize(
    "name",
    ["settings.md", "errors.md", "command-line.md", "http-api.md", "log-events.md", "words.md"],
)
def test_a_committed_page_is_what_the_code_says(name: str, written: dict[Path, str]) -> None:
    path = Path("docs/reference") / name
    assert (ROOT / path).read_text(encoding="utf-8") == written[path], "run: make docs"


def test_every_command_and_option_says_what_it_is_for() -> None:
    silent = [
        f"{path} {parameter.name}"
        for path, command in commands()
        for parameter in command.params
        if isinstance(parameter, click.Option) and not parameter.help
    ]
    assert silent == []
    assert [path for path, command in commands() if not command.help] == []


def test_codes_of_rows_that_are_no_class_are_those_the_lifecycle_writes() -> None:
    source = "".join(path.read_text() for path in (ROOT / "app/lifecycle").glob("*.py"))
    assert [code for code in ROW_CODES if f'"{code}"' not in source] == []


def test_what_clients_read_is_no_unknown_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CLIENT_NAMES:
        monkeypatch.setenv(name, "anything")
    load_settings()
