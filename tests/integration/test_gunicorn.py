"""`api/gunicorn.py`: how the web server listens, logs, limits and ends."""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.dev.ports import LOOPBACK, free_port, is_free
from tests.support.processes import RunningProcess, children_of, is_alive, run_process
from tests.support.waiting import eventually

_APP = """
import threading

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [threading.current_thread().name.encode()]
"""


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def server(tmp_path: Path, port: int) -> Iterator[RunningProcess]:
    """The server with a small application in the place of ours, and no home directory."""
    (tmp_path / "small.py").write_text(_APP)
    command = [sys.executable, "-m", "gunicorn", "--config", "python:api.gunicorn", "small:app"]
    env = {"PORT": str(port), "HOME": "/nonexistent"}
    with run_process(command, env=env, cwd=tmp_path, ready="Booting worker") as running:
        eventually(lambda: not is_free(port), message=lambda: running.output)
        yield running


def _status(port: int, path: str, **headers: str) -> int:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=10)
    try:
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


def test_it_listens_where_the_settings_say_with_threads(server: RunningProcess, port: int) -> None:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=10)
    connection.request("GET", "/")
    assert b"ThreadPoolExecutor" in connection.getresponse().read()
    connection.close()


def test_its_own_lines_are_structured_and_it_logs_no_request(
    server: RunningProcess, port: int
) -> None:
    assert _status(port, "/a-request") == 200
    server.popen.terminate()
    assert server.wait() == 0
    lines = [json.loads(line) for line in server.output.splitlines()]
    assert any("Listening at" in line["message"] for line in lines)
    assert all(line["level"] == "info" for line in lines)
    assert "a-request" not in server.output


def test_a_request_line_and_headers_have_limits(server: RunningProcess, port: int) -> None:
    assert _status(port, "/?q=" + "x" * 7000) == 200
    assert _status(port, "/?q=" + "x" * 9000) >= 400
    assert _status(port, "/", **{"X-Long": "x" * 9000}) >= 400


def test_a_killed_master_takes_its_workers_along(server: RunningProcess, port: int) -> None:
    eventually(lambda: children_of(server.pid))
    workers = children_of(server.pid)
    server.popen.kill()
    server.wait()
    eventually(lambda: not any(map(is_alive, workers)) and is_free(port))
