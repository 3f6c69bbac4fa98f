"""A reader who follows a page: saves its files, runs its blocks in one shell, looks at the output.

The shell's variables live from block to block, as they would in a terminal. What a reader has to
put in by hand (the address, the key) is put in here.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from tests.docs.page import ROOT, Block, check_output
from tests.support.processes import RunningProcess, run_process
from tests.support.waiting import eventually

ADDRESS = "http://127.0.0.1:8000"
FLOWER = "http://127.0.0.1:5555/flower"
KEYS = ("YOUR_KEY", "YOUR_TOKEN")

_SHELL = """set -euo pipefail
[ ! -f .state ] || . ./.state
set -a
{block}
export -p >.state
"""
_SERVER = """[ ! -f .state ] || . ./.state
exec {block}
"""
_LONGEST_SECONDS = 90


class Reader:
    """One reader with a directory of his own, until `close`.

    `typed` is what he puts in place of what a page shows, `given` variables he has set already.
    """

    def __init__(
        self, directory: Path, *, typed: Mapping[str, str], given: Mapping[str, str]
    ) -> None:
        self.directory = directory
        (directory / "examples").symlink_to(ROOT / "examples")
        self.servers: list[RunningProcess] = []
        self._stack = ExitStack()
        self._typed = dict(typed)
        self._environment = {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "HOME": str(directory),
            "LANG": "C.UTF-8",
            **given,
        }
        self.printed = ""

    def follow(self, block: Block) -> None:
        """Do what the block's mark says. Raises AssertionError when it does not work as shown."""
        if block.mark == "file":
            self._save(block.rest, block.text)
        elif block.mark == "run":
            self._run(block)
        elif block.mark == "start":
            command = ["bash", "-c", _SERVER.format(block=self._with_own_values(block.text))]
            server = run_process(command, cwd=self.directory, env=self._environment, grace=20)
            self.servers.append(self._stack.enter_context(server))
        elif block.mark == "wait":
            command = self._with_own_values(block.text)
            eventually(lambda: self._shell(command).returncode == 0, timeout=30)
        elif block.mark == "output":
            check_output(block, self.printed)

    def close(self) -> None:
        """End what was started, the last first."""
        self._stack.close()

    def _save(self, name: str, text: str) -> None:
        file = self.directory / name
        assert file.resolve().is_relative_to(self.directory.resolve()), name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(self._with_own_values(text), encoding="utf-8")

    def _run(self, block: Block) -> None:
        text = self._with_own_values(block.text)
        if block.language == "python":
            self._save(".block.py", text)
            text = "python .block.py"
        done = self._shell(text)
        self.printed = done.stdout
        assert done.returncode == block.status, (
            f"line {block.line} ended with {done.returncode}, not {block.status}:\n{done.stdout}"
            + "\n".join(server.output[-3000:] for server in self.servers)
        )

    def _shell(self, text: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", _SHELL.format(block=text)],
            cwd=self.directory,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_LONGEST_SECONDS,
        )

    def _with_own_values(self, text: str) -> str:
        for shown, own in self._typed.items():
            text = text.replace(shown, own)
        return text
