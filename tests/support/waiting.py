"""Waiting for something to become true, with a deadline, instead of sleeping and hoping."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_INTERVAL_SECONDS = 0.02


def eventually(predicate: Callable[[], T], *, timeout: float = 10, message: object = "") -> T:
    """Ask until the answer is true, and return it.

    Raises AssertionError after `timeout` seconds; `message`, or what it returns when it is
    callable, says what was seen instead.
    """
    deadline = time.monotonic() + timeout
    while True:
        answer = predicate()
        if answer:
            return answer
        if time.monotonic() >= deadline:
            seen = message() if callable(message) else message
            raise AssertionError(f"not true within {timeout:g} s: {seen or predicate}")
        time.sleep(_INTERVAL_SECONDS)
