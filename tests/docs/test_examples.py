"""The example scripts on real input: Python's own standard library, against a running platform."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.docs.page import ROOT
from tests.docs.platform import Platform

_SCRIPT = ROOT / "examples/summarise_stdlib.py"


def _run(*options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(_SCRIPT), *options],
        env={"PATH": os.environ["PATH"], **variables},
        capture_output=True,
        text=True,
        timeout=100,
    )


def _cells(output: str, name: str) -> list[str]:
    """The row of a printed table that begins with `name`, without it."""
    rows = ([c.strip() for c in line.split("│")[1:-1]] for line in output.splitlines())
    return next(row[1:] for row in rows if row and row[0] == name)


@pytest.mark.timeout(300)
def test_every_format_ends_and_retries_and_repairs_are_shown(platform: Platform) -> None:
    models = "simulator/fail-1,simulator/repairable,gpt-4o-mini"
    done = _run("--url", platform.url, "--key", platform.key, "--limit", "18", "--model", models)
    assert (done.returncode, done.stderr) == (0, "")
    assert _cells(done.stdout, "abc")[:2] == ["text", "2"]
    assert _cells(done.stdout, "jobs") == ["18 completed"]
    assert _cells(done.stdout, "calls") == ["24 answer, 2 repair"]
    assert _cells(done.stdout, "retries") == ["6"]
    assert _cells(done.stdout, "failed calls") == ["6 provider_failed"]
    assert int(_cells(done.stdout, "tokens in")[0].replace(",", "")) > 18 * 10
    assert _cells(done.stdout, "cost") == ["18 jobs without a known price"]
    assert "\x1b" not in done.stdout


@pytest.mark.timeout(300)
def test_a_failed_job_is_shown_and_makes_the_status_1(platform: Platform) -> None:
    done = _run(
        *("--limit", "3", "--model", "simulator/400"),
        LLM_JOBS_URL=platform.url,
        LLM_JOBS_API_KEY=platform.key,
    )
    assert done.returncode == 1
    assert _cells(done.stdout, "abc")[-1] == "failed: provider_rejected"
    assert _cells(done.stdout, "jobs") == ["3 failed"]


@pytest.mark.timeout(300)
def test_a_wrong_key_is_one_line(platform: Platform) -> None:
    done = _run("--url", platform.url, "--key", "ljk_live_wrong", "--limit", "1")
    assert done.returncode == 1
    assert done.stdout.count("\n") == 1
    assert "API key" in done.stdout


def test_without_a_key_it_says_how_to_give_one() -> None:
    done = _run()
    assert done.returncode == 2
    assert "give --key, or set LLM_JOBS_API_KEY" in done.stderr


def test_it_finds_a_few_hundred_modules() -> None:
    script = "import runpy, sys; found = runpy.run_path(sys.argv[1])['documented_modules']()"
    done = subprocess.run(
        [sys.executable, "-c", f"{script}; print(len(list(found)))", str(_SCRIPT)],
        capture_output=True,
        text=True,
    )
    assert int(done.stdout) > 250, done.stderr
