"""The Procfile: one list of processes for everybody."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from app.dev.procfile import parse_procfile, shipped_procfile
from app.errors import ConfigurationError
from tests.docs.page import blocks

_ROOT = Path(__file__).parents[2]


def test_it_lists_the_processes_of_the_design() -> None:
    assert list(shipped_procfile()) == ["web", "worker", "flower", "release"]


def test_the_one_in_the_root_is_the_one_in_the_package() -> None:
    assert parse_procfile((_ROOT / "Procfile").read_text()) == shipped_procfile()
    assert (_ROOT / "Procfile").resolve().parent == _ROOT / "app" / "dev"


def test_comments_and_blank_lines_are_skipped() -> None:
    assert parse_procfile("# all of it\n\nweb: serve --fast\n  b-2:  x: y \n") == {
        "web": "serve --fast",
        "b-2": "x: y",
    }


@pytest.mark.parametrize("line", ["web", "web:", "we b: serve", ": serve", "web: a\nweb: b"])
def test_any_other_line_is_refused_by_its_number(line: str) -> None:
    with pytest.raises(ConfigurationError, match=f"line {line.count(chr(10)) + 1} "):
        parse_procfile(line)


def test_the_worker_takes_every_queue_and_sends_events() -> None:
    words = shlex.split(shipped_procfile()["worker"])
    assert words[words.index("-Q") + 1] == "high,default,low"
    assert words[words.index("-P") + 1] == "custom"
    assert "-E" in words


def test_flower_is_private_and_cannot_change_anything() -> None:
    line = shipped_procfile()["flower"]
    assert '--address="${FLOWER_ADDRESS:-127.0.0.1}"' in line
    assert "--read_only=True" in line
    assert "--persistent=True" in line
    assert "--state_save_interval=30000" in line


def test_the_page_on_flower_shows_the_line_that_starts_it() -> None:
    shown = [b.text for b in blocks(Path("docs/how-to/use-flower.md")) if "celery" in b.text]
    assert [" ".join(text.replace("\\\n", " ").split()) for text in shown] == [
        shipped_procfile()["flower"]
    ]


def _import_flower(directory: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    show = "import os, workers.flower; print(os.environ['FLOWER_BASIC_AUTH'])"
    return subprocess.run(
        [sys.executable, "-c", show],
        env={"PYTHONPATH": str(_ROOT), **environment},
        cwd=directory,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("password", ["", "word", "user:", ":word", "user:pass,word"])
def test_flower_does_not_start_without_a_password(tmp_path: Path, password: str) -> None:
    refused = _import_flower(tmp_path, FLOWER_BASIC_AUTH=password)
    assert refused.returncode != 0
    assert "FLOWER_BASIC_AUTH: set it to user:password" in refused.stderr


def test_flowers_password_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("user:S3:CRET,two:words\n")
    found = _import_flower(tmp_path, FLOWER_BASIC_AUTH_FILE=str(tmp_path / "secret"))
    assert (found.stdout, found.stderr) == ("user:S3:CRET,two:words\n", "")


def test_flowers_password_is_in_no_command_line() -> None:
    environment = {"PATH": os.environ["PATH"], "FLOWER_BASIC_AUTH": "user:S3CRET"}
    line = shipped_procfile()["flower"].replace("celery", "echo celery")
    started = subprocess.run(["sh", "-c", line], env=environment, capture_output=True, text=True)
    assert "flower --address=127.0.0.1 --port=5555" in started.stdout
    assert "S3CRET" not in started.stdout
