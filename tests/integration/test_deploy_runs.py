"""What of `deploy/` can run without an engine: the image's entry point, and KEDA's question."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest
import yaml

from app.dev.ports import LOOPBACK, free_port
from models import ControlKind
from tests.support.processes import RunningProcess, run_process

DEPLOY = Path(__file__).parents[2] / "deploy"


@pytest.fixture
def image(tmp_path: Path) -> dict[str, str]:
    """The environment a container would have, as far as it matters here."""
    shutil.copy(DEPLOY / "entrypoint.sh", tmp_path / "entrypoint.sh")
    path = f"{tmp_path}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {"PATH": path, "PYTHONPATH": str(DEPLOY.parent)}


def _finished(command: list[str], env: dict[str, str], cwd: Path) -> RunningProcess:
    with run_process(["entrypoint.sh", *command], env=env, cwd=cwd) as process:
        process.wait(timeout=60)
        return process


def test_the_entry_point_migrates(
    image: dict[str, str], tmp_path: Path, empty_sqlite_url: str
) -> None:
    done = _finished(["release"], image | {"DATABASE_URL": empty_sqlite_url}, tmp_path)
    assert done.popen.returncode == 0, done.output
    assert "database at revision" in done.output


def test_the_entry_point_serves_and_hears_signals(
    image: dict[str, str], tmp_path: Path, sqlite_url: str, redis_url: str
) -> None:
    port = free_port()
    env = image | {"DATABASE_URL": sqlite_url, "REDIS_URL": redis_url, "PORT": str(port)}

    def up() -> bool:
        try:
            return httpx2.get(f"http://{LOOPBACK}:{port}/healthz", timeout=1).status_code == 200
        except httpx2.HTTPError:
            return False

    with run_process(["entrypoint.sh", "web"], env=env, cwd=tmp_path, ready=up) as web:
        web.signal(signal.SIGTERM)
        assert web.wait() == 0, web.output


def test_the_entry_point_runs_any_other_command_as_it_is(
    image: dict[str, str], tmp_path: Path
) -> None:
    done = _finished(["sh", "-c", 'echo "$0 and $1"; exit 7', "one", "two words"], image, tmp_path)
    assert (done.popen.returncode, done.output) == (7, "one and two words\n")


# --- the question KEDA asks -------------------------------------------------------------------

_ROWS = """
INSERT INTO llm_outputs (job_id, template_name, model_name, format, strict, bucket, status, queue,
    run_at, deadline, woken_at, fence, tries, max_tries, losses, feedback, created_at, updated_at,
    lease_expires_at, finished_at)
SELECT gen_random_uuid(), 't', %(model)s, 'text', false, %(bucket)s, %(status)s, %(queue)s,
    now() + %(due)s * interval '1 second', now() + interval '1 day',
    CASE WHEN %(sent)s THEN now() END, 0, 0, 6, 0, 0, now(), now(),
    CASE WHEN %(status)s = 'processing' THEN now() + interval '1 minute' END,
    CASE WHEN %(status)s IN ('completed', 'failed', 'cancelled') THEN now() END
FROM generate_series(1, %(number)s)
"""


@pytest.fixture
def rows(postgres_url: str) -> Iterator[psycopg.Connection]:
    """A connection to an empty database of ours."""
    with psycopg.connect(
        postgres_url, autocommit=True, cursor_factory=psycopg.ClientCursor
    ) as connection:
        yield connection


def _add(rows: psycopg.Connection, number: int, **facts: Any) -> None:
    common = {
        "model": "m",
        "bucket": "b",
        "status": "pending",
        "queue": "default",
        "due": -1,
        "sent": False,
    }
    rows.execute(_ROWS, {**common, **facts, "number": number})


def _question() -> str:
    path = DEPLOY / "kubernetes/components/keda/scaled-object.yaml"
    scaled, _ = yaml.safe_load_all(path.read_text(encoding="utf-8"))
    (trigger,) = scaled["spec"]["triggers"]
    return str(trigger["metadata"]["query"])


def _answer(rows: psycopg.Connection) -> int:
    found = rows.execute(_question().encode()).fetchone()
    assert found
    return int(found[0])


def test_it_counts_what_is_due_and_what_runs_and_nothing_else(rows: psycopg.Connection) -> None:
    assert _answer(rows) == 0
    _add(rows, 7)
    _add(rows, 3, sent=True)
    _add(rows, 2, status="processing")
    assert _answer(rows) == 12
    _add(rows, 20, due=3600)
    for status in ("completed", "failed", "cancelled"):
        _add(rows, 10, status=status)
    assert _answer(rows) == 12


@pytest.mark.parametrize("kind", [str(kind) for kind in ControlKind])
def test_it_asks_for_no_worker_that_would_wait_for_a_pause(
    rows: psycopg.Connection, kind: str
) -> None:
    _add(rows, 5, **{kind: "low"})
    _add(rows, 1)
    pause = (
        b"INSERT INTO queue_controls (kind, name, paused_until, reason, created_at)"
        b" VALUES (%s, 'low', NULL, '', now())"
    )
    rows.execute(pause, [kind])
    assert _answer(rows) == 1
    rows.execute(b"UPDATE queue_controls SET paused_until = now() - interval '1 second'")
    assert _answer(rows) == 6


@pytest.mark.parametrize("analyzed", [True, False])
def test_it_finds_them_by_index_among_many(rows: psycopg.Connection, analyzed: bool) -> None:
    _add(rows, 20_000, status="completed")
    _add(rows, 300)
    _add(rows, 100, sent=True)
    _add(rows, 100, status="processing")
    if analyzed:
        rows.execute(b"VACUUM ANALYZE llm_outputs")
    plan = "\n".join(line for (line,) in rows.execute(f"EXPLAIN {_question()}".encode()))
    assert "Seq Scan on llm_outputs" not in plan, plan
    used = re.findall(r"(?:using|Index Scan on) (ix_llm_outputs_\w+)", plan)
    assert set(used) <= {f"ix_llm_outputs_{name}" for name in _OF_FEW}, "not of all rows"
    assert len(used) == 3, plan


_OF_FEW = ("unsent", "sent", "deadline", "leases")
