"""`llm-jobs dev` from start to stop, with stand-ins for web, worker, Flower and simulator."""

from __future__ import annotations

import os
import re
import signal
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.support.processes import RunningProcess, children_of, is_alive, run_process
from tests.support.waiting import eventually

_READY = "Ctrl-C stops everything"


def _dev(
    directory: Path, *broken: str, ready: str | None = _READY
) -> AbstractContextManager[RunningProcess]:
    command = [sys.executable, "-m", "tests.support.dev_stand_ins", str(directory), *broken]
    return run_process(command, ready=ready)


def _lines_of(output: str, text: str) -> list[str]:
    return [line.split()[0] for line in output.splitlines() if line.endswith(f"| {text}")]


def test_a_newcomer_sees_the_output_the_addresses_and_a_ready_curl(tmp_path: Path) -> None:
    with _dev(tmp_path) as dev:
        shown = dev.output
    assert "The first job, 7e57, is completed. Its output:\n\n    Hello!\n" in shown
    assert re.search(r"Web +http://127\.0\.0\.1:\d+\n", shown)
    assert re.search(r"API docs +http://127\.0\.0\.1:\d+/docs\n", shown)
    assert re.search(r"Flower +http://\S+/flower  \(user admin, password pass:word\)\n", shown)
    assert "-H 'Authorization: Bearer ljk_key'" in shown
    assert "\x1b" not in shown


def test_the_database_is_migrated_before_a_server_starts(tmp_path: Path) -> None:
    with _dev(tmp_path) as dev:
        names = [line.split()[0] for line in dev.output.splitlines() if " | " in line]
    assert names.index("release") < min(map(names.index, ("simulator", "flower", "worker", "web")))


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_everything_in_order(tmp_path: Path, sign: signal.Signals) -> None:
    with _dev(tmp_path) as dev:
        children = children_of(dev.pid)
        assert len(children) == 5
        dev.signal(sign)
        assert dev.wait() == 0
    assert _lines_of(dev.output, "stopping") == ["web", "worker", "flower", "simulator", "redis"]
    assert dev.output.endswith("Stopped.\n")
    assert not [pid for pid in children if is_alive(pid)]


def test_a_signal_while_starting_stops_too(tmp_path: Path) -> None:
    with _dev(tmp_path, ready=r"release +\| migrated") as dev:
        dev.signal(signal.SIGTERM)
        assert dev.wait() == 0
    assert "Stopped." in dev.output


def test_signals_that_come_together_are_one_wish(tmp_path: Path) -> None:
    with _dev(tmp_path) as dev:
        dev.signal(signal.SIGTERM)
        dev.signal(signal.SIGINT)
        assert dev.wait() == 0
    assert _lines_of(dev.output, "stopping") == ["web", "worker", "flower", "simulator", "redis"]


def test_a_second_wish_ends_what_does_not_stop(tmp_path: Path) -> None:
    with _dev(tmp_path, "stop") as dev:
        dev.signal(signal.SIGINT)
        dev.wait_for(r"web +\| stopping")
        dev.signal(signal.SIGINT)
        assert dev.wait() == 0
    assert dev.output.endswith("Stopped.\n")


def test_killed_it_leaves_no_process(tmp_path: Path) -> None:
    with _dev(tmp_path) as dev:
        children = children_of(dev.pid)
        dev.signal(signal.SIGKILL)
        dev.wait()
        eventually(
            lambda: not [pid for pid in children if is_alive(pid)], message="children are alive"
        )


def test_a_killed_server_comes_back(tmp_path: Path) -> None:
    with _dev(tmp_path) as dev:
        before = set(children_of(dev.pid))
        victim = next(pid for pid in before if "Server" in _command(pid))
        os.kill(victim, signal.SIGKILL)
        dev.wait_for(r"web +\| was ended by SIGKILL; starting again in 0.5 s")
        eventually(lambda: dev.output.count("web       | up") == 2, message=lambda: dev.output)
        after = set(children_of(dev.pid))
    assert victim not in after
    assert before - {victim} < after


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ("release", "release ended with status 1"),
        ("web", "web ended with status 1"),
        ("job", "the first job is failed: None"),
    ],
)
def test_a_start_that_fails_says_why_and_stops_everything(
    tmp_path: Path, broken: str, reason: str
) -> None:
    with _dev(tmp_path, broken, ready=None) as dev:
        assert dev.wait() == 1
    assert dev.output.endswith(f"the start failed: {reason}\n")
    assert "redis     | stopping" in dev.output


def _command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
