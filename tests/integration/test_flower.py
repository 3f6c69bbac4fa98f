"""The Procfile's Flower: private, unable to change anything, and with a memory."""

from __future__ import annotations

import base64
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.dev.ports import LOOPBACK, free_port
from app.dev.procfile import shipped_procfile
from tests.support.processes import RunningProcess, run_process
from tests.support.waiting import eventually


@dataclass(frozen=True)
class Flower:
    process: RunningProcess
    port: int

    def status(self, path: str, *, auth: str = "", data: bytes | None = None) -> int:
        """The status of the answer; 0 when nobody answers."""
        url = f"http://{LOOPBACK}:{self.port}/flower{path}"
        basic = base64.b64encode(auth.encode()).decode()
        headers = {"Authorization": f"Basic {basic}"} if auth else {}
        try:
            with urllib.request.urlopen(urllib.request.Request(url, data, headers)) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code
        except urllib.error.URLError:
            return 0


@pytest.fixture
def flower(tmp_path: Path, redis_url: str) -> Iterator[Flower]:
    """The shipped command."""
    line = shipped_procfile()["flower"]
    port = free_port()
    env = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "REDIS_URL": redis_url,
        "FLOWER_BASIC_AUTH": "user:pass:word",
        "FLOWER_PORT": str(port),
        "FLOWER_DB": str(tmp_path / "memory"),
    }
    with run_process(["sh", "-c", f"exec {line}"], env=env, cwd=tmp_path) as process:
        flower = Flower(process, port)
        eventually(
            lambda: flower.status("/healthcheck") == 200, timeout=30, message=lambda: process.output
        )
        yield flower


def test_it_asks_for_the_password(flower: Flower) -> None:
    assert flower.status("/workers") == 401
    assert flower.status("/workers", auth="user:wrong") == 401
    assert flower.status("/workers", auth="user:pass:word") == 200


def test_it_changes_nothing(flower: Flower) -> None:
    for action in ("worker/shutdown/w", "task/revoke/1", "task/async-apply/run"):
        assert flower.status(f"/api/{action}", auth="user:pass:word", data=b"{}") == 403


def test_it_remembers_across_a_restart(flower: Flower, tmp_path: Path) -> None:
    flower.process.popen.terminate()
    assert flower.process.wait() == 0
    assert list(tmp_path.glob("memory*"))


def test_its_password_is_not_in_its_command_line(flower: Flower) -> None:
    command = Path(f"/proc/{flower.process.pid}/cmdline").read_bytes()
    assert b"flower" in command
    assert b"pass:word" not in command
