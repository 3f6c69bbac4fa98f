"""`.env.example` says what `app/settings.py` does: every setting, in order, with its default."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic_core import PydanticUndefined

from app.settings import Settings, load_settings

_FILE = Path(__file__).parents[2] / ".env.example"
_SETTING = re.compile(r"# ([A-Z][A-Z_]+)=(.*)")


def _shown() -> list[tuple[str, str]]:
    return [(m[1], m[2]) for line in _lines() if (m := _SETTING.fullmatch(line))]


def _lines() -> list[str]:
    return _FILE.read_text(encoding="utf-8").splitlines()


def _as_written(default: Any) -> str:
    if default is None:
        return ""
    if isinstance(default, bool | dict):
        return json.dumps(default)
    return str(default)


def test_it_shows_every_setting_with_its_default() -> None:
    fields = Settings.model_fields.values()
    assert PydanticUndefined not in [field.default for field in fields]
    assert _shown() == [(str(field.alias), _as_written(field.default)) for field in fields]


def test_each_setting_is_explained_in_one_line() -> None:
    lines = _lines()
    for number, line in enumerate(lines):
        if _SETTING.fullmatch(line):
            assert re.fullmatch(r"# [A-Za-z].{8,}", lines[number - 1]), line
            assert not _SETTING.fullmatch(lines[number - 1])
            assert lines[number - 2] == ""


def test_all_of_it_uncommented_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in _shown():
        monkeypatch.setenv(name, value)
    shown = load_settings().model_dump()
    for name, _ in _shown():
        monkeypatch.delenv(name)
    load_settings.cache_clear()
    assert shown == load_settings().model_dump()
