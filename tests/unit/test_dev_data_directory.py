"""The data directory: one user at a time, secrets for their owner only."""

from __future__ import annotations

import os
import stat
import sys
import textwrap
from pathlib import Path

import pytest

from app.dev.data_directory import locked_data_directory
from app.errors import ConfigurationError
from tests.support.processes import run_process


def test_it_is_made_for_its_owner_only(tmp_path: Path) -> None:
    with locked_data_directory(tmp_path / "a" / "var") as data:
        assert stat.S_IMODE(data.path.stat().st_mode) == 0o700
        assert data.database_url == f"sqlite:///{tmp_path}/a/var/llm_jobs.db"


def test_a_second_one_is_refused_and_told_by_whom(tmp_path: Path) -> None:
    with (
        locked_data_directory(tmp_path),
        pytest.raises(ConfigurationError, match=rf"process {os.getpid()}\) is using .*--data-dir"),
        locked_data_directory(tmp_path),
    ):
        pass


def test_the_lock_is_free_again_afterwards(tmp_path: Path) -> None:
    for _ in range(2):
        with locked_data_directory(tmp_path):
            pass


def test_a_killed_owner_leaves_no_lock(tmp_path: Path) -> None:
    script = f"""
        import time
        from pathlib import Path
        from app.dev.data_directory import locked_data_directory
        with locked_data_directory(Path({str(tmp_path)!r})):
            print("locked", flush=True)
            time.sleep(60)
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    with run_process(command, ready="locked") as owner:
        with pytest.raises(ConfigurationError), locked_data_directory(tmp_path):
            pass
        owner.popen.kill()
        owner.wait()
        with locked_data_directory(tmp_path):
            pass


def test_a_secret_is_kept_private_and_random(tmp_path: Path) -> None:
    with locked_data_directory(tmp_path / "one") as one, locked_data_directory(tmp_path) as other:
        file = one.secret_file("secret_key")
        first = file.read_text()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert len(first.strip()) >= 43
        assert one.secret_file("secret_key").read_text() == first
        assert other.secret_file("secret_key").read_text() != first


def test_an_empty_secret_is_made_anew(tmp_path: Path) -> None:
    with locked_data_directory(tmp_path) as data:
        (tmp_path / "secret_key").write_text("\n")
        assert data.secret_file("secret_key").read_text().strip()


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(ConfigurationError, match=r"/file/var cannot be used: Not a directory"),
        locked_data_directory(tmp_path / "file" / "var"),
    ):
        pass
