"""The private Redis of `llm-jobs dev`, on the real server program."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError
from redis.retry import Retry

import app.dev.redis as embedded
from app.dev.ports import LOOPBACK, free_port, is_free
from app.dev.redis import EmbeddedRedis, find_redis_server
from app.errors import ConfigurationError
from tests.support.processes import RunningProcess
from tests.support.redis_server import running_redis


def test_it_stores_and_forgets(redis_url: str) -> None:
    with Redis.from_url(redis_url) as client:
        client.set("a", "1")
        assert client.get("a") == b"1"
        assert client.config_get("save", "appendonly") == {"save": "", "appendonly": "no"}


def test_without_its_password_it_refuses(redis_server: EmbeddedRedis) -> None:
    with (
        Redis(host=LOOPBACK, port=redis_server.port, retry=Retry(NoBackoff(), 0)) as client,
        pytest.raises(AuthenticationError),
    ):
        client.ping()


def test_it_listens_on_loopback_only(redis_server: EmbeddedRedis) -> None:
    with Redis.from_url(redis_server.url) as client:
        assert client.config_get("bind") == {"bind": LOOPBACK}


def test_its_password_is_in_no_command_line_and_no_repr(tmp_path: Path) -> None:
    with running_redis(tmp_path) as (server, process):
        assert server.password not in Path(f"/proc/{process.pid}/cmdline").read_text()
        assert server.password not in repr(server)


def test_it_leaves_nothing_on_disk(tmp_path: Path) -> None:
    with running_redis(tmp_path) as (server, process):
        with Redis.from_url(server.url) as client:
            client.set("a", "1")
        process.popen.terminate()
        assert process.wait() == 0
    assert list(tmp_path.iterdir()) == []


def test_another_server_on_its_port_is_not_taken_for_it(redis_server: EmbeddedRedis) -> None:
    stranger = EmbeddedRedis(program=redis_server.program, port=redis_server.port)
    assert redis_server.answers()
    assert not stranger.answers()
    assert not EmbeddedRedis(program=redis_server.program, port=free_port()).answers()


def test_it_starts_again_on_the_same_port(tmp_path: Path) -> None:
    with running_redis(tmp_path) as (first, process):
        _kill(process)
        with running_redis(tmp_path, port=first.port) as (second, _):
            assert second.port == first.port
    assert is_free(first.port)


def _kill(process: RunningProcess) -> None:
    process.popen.kill()
    process.wait()


def test_a_program_on_the_path_is_preferred(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = _without_path(monkeypatch)
    for name in ("valkey-server", "redis-server"):
        program = tmp_path / name
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        assert find_redis_server() == program != wheel


def _without_path(monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", "")
    return find_redis_server()


def test_the_wheel_brings_a_program_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    program = _without_path(monkeypatch)
    assert os.access(program, os.X_OK)
    assert stat.S_ISREG(program.stat().st_mode)
    shown = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    assert "v=" in shown.stdout


def test_without_any_program_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(embedded, "_WHEEL", "no-such-distribution")
    with pytest.raises(ConfigurationError, match=r"REDIS_URL.*apt-get install redis-server"):
        find_redis_server()
