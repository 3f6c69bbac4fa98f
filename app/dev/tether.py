"""Ties a child process to its parent: when the parent dies, however it dies, so does the child.

A supervisor killed with -9 cannot stop anyone, so the kernel does it (Linux: PR_SET_PDEATHSIG).
The request must be made inside the child before it becomes the command. `preexec_fn` would do that
between fork and exec, where a process with threads may deadlock; this file is run as a program
instead, asks the kernel, and then becomes the command. It imports next to nothing: about 15 ms.

The signal comes when the *thread* that started the child ends, so start tethered children from
the main thread. The tie is cut by a change of user: a command that drops root must do it itself.
Elsewhere than on Linux the command is simply run.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1


def tethered(command: Sequence[str], *, sign: signal.Signals = signal.SIGKILL) -> list[str]:
    """The command line that runs `command` and gives it `sign` when this process dies."""
    python = [sys.executable, "-I", "-S", os.path.abspath(__file__)]
    return [*python, str(os.getpid()), str(int(sign)), *command]


def die_with_parent(*, parent: int, sign: signal.Signals = signal.SIGKILL) -> None:
    """Ask the kernel to send `sign` to this process when its parent, process `parent`, dies.

    Exits at once if that has already happened.
    """
    if sys.platform.startswith("linux"):
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(sign), 0, 0, 0)
    if os.getppid() != parent:  # it died before we asked
        sys.exit(1)


def main(arguments: Sequence[str]) -> None:
    """Become the command; exits 127 with one line when there is no such command."""
    parent, sign, *command = arguments
    die_with_parent(parent=int(parent), sign=signal.Signals(int(sign)))
    try:
        os.execvp(command[0], command)  # noqa: S606
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        sys.exit(127)


if __name__ == "__main__":
    main(sys.argv[1:])
