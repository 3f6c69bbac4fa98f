"""The shared fixtures keep their own promises; every other test stands on them."""

from __future__ import annotations

import signal
import sys
import textwrap
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import inspect

from app.db import make_engine
from app.migrate import current, head
from tests.support.postgres_server import PostgresServer
from tests.support.processes import is_alive, run_process
from tests.support.requirements import missing
from tests.support.waiting import eventually

_TALKATIVE = [sys.executable, "-u", "-c", "print('ready'); import time; time.sleep(60)"]


def test_a_database_has_the_current_schema(database_url: str) -> None:
    engine = make_engine(database_url)
    try:
        assert current(engine) == head()
        assert inspect(engine).has_table("llm_outputs")
    finally:
        engine.dispose()


def test_an_empty_database_has_no_table(empty_database_url: str) -> None:
    engine = make_engine(empty_database_url)
    try:
        assert inspect(engine).get_table_names() == []
    finally:
        engine.dispose()


def test_a_postgres_database_is_gone_after_its_test(postgres_server: PostgresServer) -> None:
    with postgres_server.database() as name, psycopg.connect(postgres_server.url(name)):
        pass  # dropped although somebody may still be connected
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(postgres_server.url(name))


def test_a_missing_program_fails_in_ci_and_skips_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="install it with: apt-get install x"):
        missing("X", install="apt-get install x")
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match="install it with: apt-get install x"):
        missing("X", install="apt-get install x")


def test_eventually_returns_the_answer_or_says_what_it_saw() -> None:
    answers = iter(["", "", "here"])
    assert eventually(lambda: next(answers)) == "here"
    with pytest.raises(AssertionError, match="saw 3"):
        eventually(lambda: False, timeout=0.05, message=lambda: "saw 3")


def test_a_process_is_ended_with_everything_it_started(tmp_path: Path) -> None:
    child = "import time; print('child up', flush=True); time.sleep(60)"
    script = f"""
        import os, signal, subprocess, sys, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen([sys.executable, "-c", {child!r}])
        print(child.pid, flush=True)
        time.sleep(60)
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    with run_process(command, ready="child up", grace=0.1) as process:
        pid = int(process.wait_for(r"^(\d+)$|\n(\d+)\n|(\d+)\n")[0])
    assert process.popen.returncode == -signal.SIGKILL
    eventually(lambda: not is_alive(pid), message=f"process {pid} is alive")


def test_a_killed_test_run_leaves_no_process_behind() -> None:
    script = f"""
        from tests.support.processes import is_alive, run_process
        with run_process({_TALKATIVE!r}, ready="ready") as process:
            print("started", process.pid, flush=True)
            process.wait(timeout=60)
    """
    with run_process([sys.executable, "-c", textwrap.dedent(script)], ready="started") as run:
        pid = int(run.wait_for(r"started (\d+)")[1])
        run.popen.kill()
        run.wait()
        eventually(lambda: not is_alive(pid), message=f"process {pid} is alive")


def test_a_process_that_ends_early_fails_with_what_it_said() -> None:
    command = [sys.executable, "-c", "raise SystemExit('no such luck')"]
    with (
        pytest.raises(AssertionError, match="no such luck"),
        run_process(command, ready="never"),
    ):
        pass
