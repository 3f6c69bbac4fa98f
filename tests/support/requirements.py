"""What to do when a test needs a program this machine lacks: skip at home, fail in CI."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def missing(what: str, *, install: str) -> NoReturn:
    """Skip the test, naming the command that installs `what`; fail instead when CI=true."""
    reason = f"{what} is missing; install it with: {install}"
    if os.environ.get("CI") == "true":
        pytest.fail(f"{reason} (in CI nothing may be skipped)", pytrace=False)
    pytest.skip(reason)
