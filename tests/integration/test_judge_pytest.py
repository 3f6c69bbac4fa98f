"""What `make test` makes of failures: those that pass by themselves are named, the others fail."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "judge-pytest"
FAILS_ONCE = """
from pathlib import Path
import pytest

@pytest.mark.parametrize("name", {names})
def test_once(name):
    before = Path(name).exists()
    Path(name).touch()
    assert before

def test_fine():
    pass
"""
FAILS_ALWAYS = "def test_always():\n    assert False\n"


class Project:
    """A folder with tests and an environment like ours."""

    def __init__(self, place: Path) -> None:
        self.place = place
        (place / ".venv/bin").mkdir(parents=True)
        python = place / ".venv/bin/python"
        python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        python.chmod(0o755)
        (place / "pytest.ini").write_text("[pytest]\n")

    def has(self, name: str, text: str) -> None:
        (self.place / name).write_text(text)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pytest", "-q", *arguments]
        first = subprocess.run(command, cwd=self.place, capture_output=True, check=False)
        command = ["sh", str(SCRIPT), str(first.returncode), *arguments]
        return subprocess.run(
            command, cwd=self.place, capture_output=True, text=True, check=False, timeout=60
        )


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_what_fails_beside_others_and_passes_alone_is_named(project: Project) -> None:
    project.has("test_busy.py", FAILS_ONCE.format(names=["a", "b"]))
    judged = project.run()
    assert judged.returncode == 0, judged.stdout
    assert "2 passed" in judged.stdout
    after = judged.stdout.partition("PASSED ALONE, FAILED BESIDE OTHERS")[2]
    assert "test_busy.py::test_once[a]" in after
    assert "test_fine" not in after


def test_what_fails_again_is_a_failure(project: Project) -> None:
    project.has("test_busy.py", FAILS_ONCE.format(names=["a"]))
    project.has("test_wrong.py", FAILS_ALWAYS)
    judged = project.run()
    assert judged.returncode == 1
    assert "PASSED ALONE" not in judged.stdout
    assert "FAILED test_wrong.py::test_always" in judged.stdout


def test_many_failures_are_not_run_again(project: Project) -> None:
    project.has("test_busy.py", FAILS_ONCE.format(names=list("abcdefghi")))
    judged = project.run()
    assert (judged.returncode, judged.stdout.strip()) == (1, "9 tests failed")


def test_no_tests_are_fine_in_a_part_that_has_none(project: Project) -> None:
    project.has("nothing.py", "")
    assert project.run("nothing.py").returncode == 0
    assert project.run().returncode == 5
