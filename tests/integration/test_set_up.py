"""`scripts/set-up` on machines that lack something, with stand-ins for the machine's commands."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_PYTHON = """#!/bin/sh
echo "python3 $*" >>"$CALLS"
case "$*" in
  --version) echo "Python 3.11.2" ;;
  *sys.exit*) exit 0 ;;
  *sys.version_info*) echo 3.11 ;;
  *"import ensurepip"*) exit "$NO_ENSUREPIP" ;;
  "-m pip --version") exit "$NO_PIP" ;;
  "-m venv"*) mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
esac
"""
_ID = '#!/bin/sh\necho "$USER_ID"\n'
_APT = '#!/bin/sh\necho "apt-get $*" >>"$CALLS"\n'


class Machine:
    """A checkout and a PATH of stand-ins that write down how they were called."""

    def __init__(self, place: Path) -> None:
        self.checkout, self.commands = place / "checkout", place / "bin"
        self._calls = place / "calls"
        (self.checkout / "scripts").mkdir(parents=True)
        self.commands.mkdir()
        for name in ("pyproject.toml", "constraints.txt", "scripts/set-up"):
            shutil.copy(_ROOT / name, self.checkout / name)
        for name, text in {"python3": _PYTHON, "id": _ID, "apt-get": _APT}.items():
            (self.commands / name).write_text(text)
            (self.commands / name).chmod(0o755)
        for name in ("sh", "cat", "cut", "cksum", "dirname", "mkdir", "cp"):
            (self.commands / name).symlink_to(str(shutil.which(name)))

    def set_up(self, what: str, *, lacks: str = "", user_id: int = 0) -> tuple[int, str, list[str]]:
        """Run it; its status, what it said, and the commands it called."""
        self._calls.write_text("")
        environment = {
            "PATH": str(self.commands),
            "CALLS": str(self._calls),
            "NO_ENSUREPIP": str(int("ensurepip" in lacks)),
            "NO_PIP": str(int(" pip" in f" {lacks}")),
            "USER_ID": str(user_id),
        }
        command = [str(self.commands / "sh"), str(self.checkout / "scripts" / "set-up"), what]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        return done.returncode, done.stderr, self._calls.read_text().splitlines()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_second_time_nothing_is_done(machine: Machine) -> None:
    assert machine.set_up("run")[0] == 0
    assert machine.set_up("run") == (0, "", [])


def test_what_tests_need_serves_running_but_not_the_reverse(machine: Machine) -> None:
    machine.set_up("run")
    _, _, calls = machine.set_up("dev")
    assert any("-e .[dev]" in call for call in calls)
    (machine.checkout / ".venv" / ".set-up-run").unlink()
    assert machine.set_up("run")[2] == []


def test_a_changed_list_of_packages_is_installed(machine: Machine) -> None:
    machine.set_up("run")
    with (machine.checkout / "constraints.txt").open("a") as pins:
        pins.write("more==1\n")
    _, _, calls = machine.set_up("run")
    assert any("install" in call for call in calls)
    assert not any("venv" in call for call in calls)


def test_a_copied_environment_is_made_anew(machine: Machine) -> None:
    machine.set_up("run")
    machine.checkout = machine.checkout.rename(machine.checkout.with_name("elsewhere"))
    assert "python3 -m venv --clear .venv" in machine.set_up("run")[2]


def test_without_ensurepip_debians_pip_is_used(machine: Machine) -> None:
    status, _, calls = machine.set_up("run", lacks="ensurepip")
    assert status == 0
    assert "python3 -m venv --clear --without-pip .venv" in calls
    assert not any(call.startswith("apt-get") for call in calls)


def test_without_either_root_installs_debians_package(machine: Machine) -> None:
    _, _, calls = machine.set_up("run", lacks="ensurepip pip")
    assert "apt-get -qq install -y python3.11-venv" in calls


def test_without_either_another_user_is_told_the_command(machine: Machine) -> None:
    status, said, calls = machine.set_up("run", lacks="ensurepip pip", user_id=1000)
    assert status == 1
    assert "sudo apt-get install python3-venv" in said
    assert not any(call.startswith("apt-get") for call in calls)


def test_without_python_it_says_what_to_install(machine: Machine) -> None:
    (machine.commands / "python3").unlink()
    status, said, _ = machine.set_up("run")
    assert status == 1
    assert said.endswith("apt-get install python3\n")


def test_every_pin_is_a_version_and_no_registry_is_named() -> None:
    lines = (_ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert pins
    assert all(line.count("==") == 1 and "/" not in line for line in pins)
    assert not any("://" in line for line in lines)


def test_make_lists_its_commands() -> None:
    shown = subprocess.run(
        ["make"], cwd=_ROOT, capture_output=True, text=True, check=True, env={**os.environ}
    ).stdout
    for command in ("help", "run", "test", "check", "bench", "docs", "clean"):
        assert f"\n  {command} " in shown
