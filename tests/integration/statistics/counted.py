"""The statistics counted once more, the plain way: every row read, and summed in Python.

Both sides are a mapping from a row's key to its sums that are not 0, so that they compare whole.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Table, select

from app import statistics
from models import Attempt, LLMOutput, call_statistics, job_statistics
from models.base import table_of
from models.statistics import (
    ALL_TIME,
    BOUNDS,
    CALL_KEY,
    CALL_SUMS,
    EVERYBODY,
    JOB_KEY,
    JOB_SUMS,
    NOBODY,
)
from tests.integration.lifecycle.world import World
from tests.support.waiting import eventually

Sums = dict[str, Any]
Counted = dict[tuple[Any, ...], Sums]

_T, _A = table_of(LLMOutput), table_of(Attempt)
_USAGE = ("input_tokens", "output_tokens", "cached_tokens", "cost")


def fold_all(world: World, **how: Any) -> int:
    """Fold until nothing is left; how many rounds it took."""
    rounds = 1
    while world.do(statistics.fold, **how).behind:
        rounds += 1
    return rounds


def settle(world: World) -> None:
    """Fold until there is no news. (What happened in this millisecond is for the next round.)"""

    def is_settled() -> bool:
        fold_all(world)
        return not world.do(statistics.is_there_news)

    eventually(is_settled)


def assert_all_counted(world: World) -> None:
    """Fold the rest, and fail unless the statistics say what the rows say."""
    settle(world)
    jobs, calls = plainly(world)
    wrong = differences(stored(world, job_statistics, JOB_KEY, JOB_SUMS), close(jobs))
    wrong += differences(stored(world, call_statistics, CALL_KEY, CALL_SUMS), close(calls))
    assert not wrong, "\n".join(wrong)


def differences(found: Counted, expected: Counted) -> list[str]:
    """Each row that is not as expected."""
    return [
        f"{key}: {found.get(key)} is not {expected.get(key)}"
        for key in found.keys() | expected.keys()
        if found.get(key) != expected.get(key)
    ]


def stored(world: World, table: Table, key: tuple[str, ...], sums: tuple[str, ...]) -> Counted:
    """What a table of statistics holds."""
    with world.database.read() as session:
        rows = session.execute(select(table)).mappings().all()
    found: Counted = {}
    for row in rows:
        held = found.setdefault(tuple(_known(name, row) for name in key), {})
        for name in sums:
            if row[name]:
                held[name] = held.get(name, 0) + row[name]
    return found


def _known(name: str, row: Any) -> Any:
    """Whose call was lost is known only if it was heard of before it was counted."""
    return "" if name == "provider" and row["outcome"] == "lost" else row[name]


def plainly(world: World) -> tuple[Counted, Counted]:
    """What the tables of statistics should hold: (jobs, calls)."""
    jobs: Counted = defaultdict(dict)
    calls: Counted = defaultdict(dict)
    with world.database.read() as session:
        rows = {row.id: row for row in session.execute(select(_T))}
        attempts = list(session.execute(select(_A)))
    for row in rows.values():
        _count_job(jobs, row)
    for attempt in attempts:
        _count_call(jobs, calls, rows[attempt.output_id], attempt)
    return dict(jobs), dict(calls)


def close(counted: Counted) -> Counted:
    """The same, with seconds that compare as nearly equal."""
    return {
        key: {n: pytest.approx(v, abs=0.05) if isinstance(v, float) else v for n, v in sums.items()}
        for key, sums in counted.items()
    }


def _count_job(jobs: Counted, row: Any) -> None:
    _to_jobs(jobs, row, row.created_at, "accepted", "", {"jobs": 1})
    if row.finished_at is None:
        return
    lasted = (row.finished_at - row.created_at).total_seconds()
    sums = {"jobs": 1, "tries": row.tries, f"tries_{min(row.tries, 7)}": 1}
    sums |= _histogram("duration", "duration_seconds", lasted)
    if row.started_at is not None:
        waited = (row.started_at - row.created_at).total_seconds()
        sums |= {"waits": 1} | _histogram("wait", "wait_seconds", waited)
    _to_jobs(jobs, row, row.finished_at, row.status, row.error_code or "", sums)


def _count_call(jobs: Counted, calls: Counted, row: Any, call: Any) -> None:
    if call.finished_at is None:
        return
    usage = {name: getattr(call, name) or 0 for name in _USAGE}
    sums: Sums = {"calls": 1}
    if call.reported_at is None:
        sums |= usage
        if call.duration_seconds is not None:
            sums |= {"timed": 1} | _histogram("seconds", "seconds", call.duration_seconds)
        if call.first_token_seconds is not None:
            first = _histogram("first_token", "first_token_seconds", call.first_token_seconds)
            sums |= {"first_tokens": 1} | first
    _to_calls(calls, row, call, call.finished_at, sums)
    if call.reported_at is not None:
        _to_calls(calls, row, call, call.reported_at, usage)
    _to_jobs(jobs, row, call.reported_at or call.finished_at, "called", "", usage)
    if call.reported_at is not None:
        _to_jobs(jobs, row, call.finished_at, "called", "", {})


def _histogram(measure: str, sum_name: str, seconds: float) -> Sums:
    number = next((n for n, bound in enumerate(BOUNDS) if seconds <= bound), len(BOUNDS))
    return {sum_name: seconds, f"{measure}_bucket_{number}": 1}


def _to_jobs(jobs: Counted, row: Any, at: datetime, happened: str, code: str, sums: Sums) -> None:
    prompt = row.prompt_name or ""
    if prompt and row.prompt_version is not None:
        prompt = f"{prompt}@{row.prompt_version}"
    user, hour = row.user_id or NOBODY, _hour(at)
    for whose, when, which in (
        (user, hour, prompt),
        (EVERYBODY, hour, prompt),
        (EVERYBODY, ALL_TIME, ""),
    ):
        key = (whose, when, happened, row.queue, row.model_name, row.format, which, code)
        _gain(jobs, key, sums)


def _to_calls(calls: Counted, row: Any, call: Any, at: datetime, sums: Sums) -> None:
    for hour in (_hour(at), ALL_TIME):
        provider = "" if call.outcome == "lost" else call.provider or ""
        code = call.error_code or ""
        key = (hour, provider, row.model_name, call.kind, call.outcome, code)
        _gain(calls, key, sums)


def _gain(counted: Counted, key: tuple[Any, ...], sums: Sums) -> None:
    held = counted[key]
    for name, value in sums.items():
        if value:
            held[name] = held.get(name, Decimal(0) if name == "cost" else 0) + value


def _hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)
