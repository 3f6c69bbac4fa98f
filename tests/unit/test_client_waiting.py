"""How `Job.wait` asks: patiently where the platform holds the answer, and never in a rush."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from llm_jobs import handles
from llm_jobs.handles import Job


class _Busy:
    """A platform whose places for waiting are all taken: it answers at once."""

    def __init__(self, answers: list[str]) -> None:
        self._answers = answers

    def row(self, **_asked: Any) -> Mapping[str, Any]:
        return {"status": self._answers.pop(0), "id": 1, "job_id": "j"}


def test_a_platform_that_does_not_hold_the_answer_is_not_asked_in_a_rush(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slept: list[float] = []
    monkeypatch.setattr("llm_jobs.handles.time.sleep", slept.append)
    platform: Any = _Busy(["pending", "processing", "completed"])
    assert Job(output_id=1, job_id="j", backend=platform).wait(60).status == "completed"
    assert slept == pytest.approx([handles.PAUSE_SECONDS] * 2, abs=0.1)
