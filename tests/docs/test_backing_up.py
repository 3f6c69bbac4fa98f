"""The commands of the page on backups, on live databases: what was lost comes back."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import func, select, text

from app import lifecycle
from app.db import Database
from app.lifecycle import NewJob
from app.migrate import upgrade
from models import LLMOutput
from tests.docs.page import Block, blocks
from tests.support.postgres_server import PostgresServer
from tests.support.requirements import missing
from tests.support.waiting import eventually

_BLOCKS = blocks(Path("docs/how-to/back-up-and-restore.md"))
DUMP, RESTORE, COPY, PUT_BACK = [b for b in _BLOCKS if b.mark == "not run"]


def _follow(block: Block, directory: Path, env: Mapping[str, str]) -> str:
    command = (
        ["bash", "-euc", block.text] if block.language == "sh" else ["python", "-c", block.text]
    )
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        command,
        cwd=directory,
        env={"PATH": path, "LANG": "C.UTF-8", **env},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def _accept(url: str, number: int) -> None:
    database = Database(url)
    job = {"template_name": "t", "model_name": "m", "max_tries": 6, "max_age_seconds": 600}
    with database.write() as session:
        lifecycle.create(session, [NewJob(**job) for _ in range(number)])
    database.dispose()


def _count(url: str) -> int:
    database = Database(url)
    with database.read() as session:
        found = session.scalar(select(func.count()).select_from(LLMOutput)) or 0
    database.dispose()
    return found


def test_a_dump_of_postgresql_restores_everything_and_numbers_go_on(
    postgres_server: PostgresServer, postgres_url: str, tmp_path: Path
) -> None:
    if not shutil.which("pg_dump"):
        missing("pg_dump", install="apt-get install postgresql-client")
    _accept(postgres_url, 50)
    _follow(DUMP, tmp_path, {"DATABASE_URL": postgres_url})
    _accept(postgres_url, 5)
    with postgres_server.database() as name:
        restored = postgres_server.url(name)
        printed = _follow(RESTORE, tmp_path, {"DATABASE_URL": restored})
        assert "database at revision" in printed
        assert _count(restored) == 50
        _accept(restored, 1)
        assert _count(restored) == 51


def test_sqlite_is_copied_while_jobs_are_accepted_and_put_back(tmp_path: Path) -> None:
    live = f"sqlite:///{tmp_path / 'var/llm_jobs.db'}"
    upgrade(live)
    _accept(live, 10)
    stop = threading.Event()

    def go_on() -> None:
        while not stop.is_set():
            _accept(live, 1)

    writer = threading.Thread(target=go_on)
    writer.start()
    try:
        eventually(lambda: _count(live) > 15)
        assert _follow(COPY, tmp_path, {}) == "ok\n"
        copied = _count(f"sqlite:///{tmp_path / 'llm_jobs.backup.db'}")
        eventually(lambda: _count(live) > copied)
    finally:
        stop.set()
        writer.join()
    assert copied >= 15
    _follow(PUT_BACK, tmp_path, {})
    assert _count(live) == copied
    database = Database(live)
    with database.read() as session:
        assert session.scalar(text("PRAGMA integrity_check")) == "ok"
    database.dispose()
