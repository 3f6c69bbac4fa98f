"""A sheet of sums on its way into the tables of statistics: spread over their rows, and added.

A kind of job goes into three rows: its user's hour, everybody's hour, and, without its prompt,
everybody's all time. A kind of call goes into its hour and into all time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, Table, func, select, true
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.statistics.picture import OTHER
from models.batch import payload, recordset
from models.statistics import (
    ALL_TIME,
    CALL_KEY,
    CALL_SUMS,
    EVERYBODY,
    JOB_KEY,
    JOB_SUMS,
    call_statistics,
    job_statistics,
)
from models.types import Money

MOST_MODELS = 200
MOST_PROMPTS = 500
"""Different names in an hour, and of all time: those that come later are counted as `OTHER`. Models
are named by callers, so nothing else bounds them."""

_J = job_statistics
Row = Mapping[Any, Any]
Sums = dict[str, Any]


@dataclass(slots=True)
class Sheet:
    """Rows as `streams` gives them."""

    jobs: list[Row] = field(default_factory=list)
    calls: list[Row] = field(default_factory=list)

    @property
    def events(self) -> int:
        """How many jobs and calls it counts."""
        return sum(int(r.get("jobs", 0)) for r in self.jobs) + sum(
            int(r.get("calls", 0)) for r in self.calls
        )

    def write(self, session: Session) -> None:
        """Add everything to the tables. Only who holds the marks may."""
        if not self.jobs and not self.calls:
            return
        names = _Names(session, {row["hour"] for row in [*self.jobs, *self.calls]})
        _add(session, _J, JOB_KEY, JOB_SUMS, _spread(self.jobs, names, JOB_KEY, JOB_SUMS, _places))
        calls = _spread(self.calls, names, CALL_KEY, CALL_SUMS, _hours)
        _add(session, call_statistics, CALL_KEY, CALL_SUMS, calls)


class _Names:
    """Which names an hour may still take up: those it has, and new ones up to a limit."""

    def __init__(self, session: Session, hours: set[datetime]) -> None:
        self._models = _known(session, "model", hours | {ALL_TIME})
        self._prompts = _known(session, "prompt", hours)

    def model(self, hour: datetime, name: str) -> str:
        return _admitted(self._models.setdefault(hour, set()), name, MOST_MODELS)

    def prompt(self, hour: datetime, name: str) -> str:
        return _admitted(self._prompts.setdefault(hour, set()), name, MOST_PROMPTS)


def _known(session: Session, column: str, hours: Iterable[datetime]) -> dict[datetime, set[str]]:
    query = (
        select(_J.c.hour, _J.c[column])
        .where(_J.c.user_id == EVERYBODY, _J.c.hour.in_(sorted(hours)))
        .distinct()
    )
    known: dict[datetime, set[str]] = {}
    for hour, name in session.execute(query):
        known.setdefault(hour, set()).add(name)
    return known


def _admitted(known: set[str], name: str, most: int) -> str:
    if not name or name in known:
        return name
    if len(known - {"", OTHER}) >= most:
        return OTHER
    known.add(name)
    return name


def _places(row: Row, names: _Names) -> list[dict[str, Any]]:
    """The keys of the rows that one kind of job is counted in."""
    hour = row["hour"]
    named = {"model": names.model(hour, row["model"]), "prompt": names.prompt(hour, row["prompt"])}
    ever = {"hour": ALL_TIME, "model": names.model(ALL_TIME, row["model"]), "prompt": ""}
    everybody = {"user_id": EVERYBODY}
    return [{**row, **named}, {**row, **named, **everybody}, {**row, **ever, **everybody}]


def _hours(row: Row, names: _Names) -> list[dict[str, Any]]:
    """The same for one kind of call."""
    hours = (row["hour"], ALL_TIME)
    return [{**row, "hour": hour, "model": names.model(hour, row["model"])} for hour in hours]


def _spread(
    rows: Sequence[Row],
    names: _Names,
    key: Sequence[str],
    sums: Sequence[str],
    places: Any,
) -> list[Sums]:
    """What is added to each row of a table: its key and the sums that are not 0."""
    found: dict[tuple[Any, ...], Sums] = {}
    for row in rows:
        gained = [(name, _number(name, row[name])) for name in sums if row.get(name)]
        for place in places(row, names):
            name_of_row = tuple(place[name] for name in key)
            sum_ = found.setdefault(name_of_row, {name: place[name] for name in key})
            for name, value in gained:
                sum_[name] = sum_.get(name, 0) + value
    return [found[name_of_row] for name_of_row in sorted(found)]


def _number(name: str, value: Any) -> int | float | Decimal:
    """PostgreSQL sums whole numbers into decimals."""
    if name == "cost":
        return Decimal(value)
    return value if isinstance(value, float) else int(value)


def _add(
    session: Session, table: Table, key: Sequence[str], sums: Sequence[str], rows: Sequence[Sums]
) -> None:
    if not rows:
        return
    dialect = session.get_bind().dialect.name
    statement = _upsert(dialect, table, tuple(key), tuple(sums))
    session.execute(statement, {"rows": payload(dialect, rows)})


@cache
def _upsert(dialect: str, table: Table, key: tuple[str, ...], sums: tuple[str, ...]) -> Any:
    types = {name: table.c[name].type for name in (*key, *sums)}
    types = {n: BigInteger() if isinstance(t, Money) else t for n, t in types.items()}
    v = recordset(dialect, types)
    values = [v.c[name] for name in key] + [func.coalesce(v.c[name], 0) for name in sums]
    insert = (postgresql.insert if dialect == "postgresql" else sqlite.insert)(table)
    # SQLite reads `ON CONFLICT` after a bare SELECT as a join's condition: hence the WHERE.
    new = insert.from_select([*key, *sums], select(*values).where(true()))
    return new.on_conflict_do_update(
        index_elements=list(key), set_={name: table.c[name] + new.excluded[name] for name in sums}
    )
