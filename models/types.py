"""Column types and SQL expressions that mean the same on SQLite and PostgreSQL.

Time comes from the database where it decides something, so `now()` and `now_plus(seconds)` are SQL,
not Python. On SQLite a time is text of fixed width in UTC (`2026-01-31 09:05:00.123`), which orders
as it reads; `strftime` is used because `unixepoch('subsec')` is null before SQLite 3.42.

Two clocks on PostgreSQL: `now()` moves while a statement waits for a lock, and therefore cannot be
looked up in an index; `statement_now()` stands still, and can.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import JSON, BigInteger, ColumnElement, DateTime, Float, Integer, String
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine

#: Row ids: 64 bits; SQLite only counts up by itself in a column named INTEGER.
BigId = BigInteger().with_variant(Integer, "sqlite")


class _JsonText(sqlite.JSON):
    """JSON in a TEXT column: one of type JSON would turn the answer `1.0` into the number 1."""


@compiles(_JsonText, "sqlite")
def _json_text_sqlite(_type: _JsonText, _compiler: Any, **_kw: Any) -> str:
    return "TEXT"


#: JSON, kept as it was written: JSONB would reorder keys, so a prompt or a replayed answer would
#: read differently on PostgreSQL, and would spell 1e308 in 309 digits. Python None is SQL NULL.
Json = JSON(none_as_null=True).with_variant(_JsonText(none_as_null=True), "sqlite")


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime in UTC. A naive one is refused: its zone would be a guess."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(String(23))
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"naive datetime {value!r}: give it a zone")
        value = value.astimezone(UTC)
        return sqlite_text(value) if dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if isinstance(value, str):
            return datetime.fromisoformat(value).replace(tzinfo=UTC)
        return value.astimezone(UTC)  # type: ignore[no-any-return]


class Money(TypeDecorator[Decimal]):
    """US dollars, exact to a billionth, stored as a whole number of billionths."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> int | None:
        return None if value is None else nano_dollars(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        return None if value is None else Decimal(value).scaleb(-9)

    def coerce_compared_value(self, op: Any, value: Any) -> Any:
        return self


def nano_dollars(amount: Decimal) -> int:
    """Dollars as a whole number of billionths of a dollar, half to even."""
    return int((amount * 1_000_000_000).to_integral_value())


def sqlite_text(value: datetime) -> str:
    """The text a time is stored as on SQLite: UTC, milliseconds, fixed width."""
    return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.") + f"{value.microsecond // 1000:03d}"


class now(FunctionElement[datetime]):  # noqa: N801 - reads as SQL
    """The database's clock at this moment (not at the start of the transaction)."""

    type = UtcDateTime()
    inherit_cache = True


class now_plus(FunctionElement[datetime]):  # noqa: N801
    """The database's clock plus a number of seconds (an expression or a value)."""

    type = UtcDateTime()
    inherit_cache = True


class statement_now(FunctionElement[datetime]):  # noqa: N801
    """The database's clock when this statement began: an index can be searched by it."""

    type = UtcDateTime()
    inherit_cache = True


class statement_now_plus(FunctionElement[datetime]):  # noqa: N801
    """`statement_now` plus a number of seconds (an expression or a value)."""

    type = UtcDateTime()
    inherit_cache = True


class seconds_until(FunctionElement[float]):  # noqa: N801
    """Seconds from the database's clock to a stored time; negative when it has passed."""

    type = Float()
    inherit_cache = True


class seconds_between(FunctionElement[float]):  # noqa: N801
    """Seconds from a stored time to a later one."""

    type = Float()
    inherit_cache = True


class hour_of(FunctionElement[datetime]):  # noqa: N801
    """The beginning of a stored time's hour, in UTC."""

    type = UtcDateTime()
    inherit_cache = True


class day_of(FunctionElement[datetime]):  # noqa: N801
    """The beginning of a stored time's day, in UTC."""

    type = UtcDateTime()
    inherit_cache = True


class plain(FunctionElement[Any]):  # noqa: N801
    """A text column as a mere value: neither its indexes nor its affinity count.

    Without statistics (SQLite never has any, PostgreSQL not yet of a table that has just grown) a
    statement that names rows by id might otherwise scan all of a status, once per row. And SQLite
    looks up `(a, b) > (x, y)` in an index only where x and y are no columns.
    """

    inherit_cache = True

    def __init__(self, column: ColumnElement[Any]) -> None:
        super().__init__(column)
        self.type = column.type


class json_value(FunctionElement[Any]):  # noqa: N801
    """JSON text as a value of a JSON column."""

    type = Json
    inherit_cache = True


@compiles(now, "sqlite")
def _now_sqlite(_element: now, _compiler: SQLCompiler, **_kw: Any) -> str:
    return "strftime('%Y-%m-%d %H:%M:%f', 'now')"


@compiles(now, "postgresql")
def _now_postgresql(_element: now, _compiler: SQLCompiler, **_kw: Any) -> str:
    return "clock_timestamp()"


@compiles(now_plus, "sqlite")
def _now_plus_sqlite(element: now_plus, compiler: SQLCompiler, **kw: Any) -> str:
    seconds = compiler.process(element.clauses, **kw)
    return f"strftime('%Y-%m-%d %H:%M:%f', 'now', printf('%+.3f seconds', {seconds}))"


@compiles(now_plus, "postgresql")
def _now_plus_postgresql(element: now_plus, compiler: SQLCompiler, **kw: Any) -> str:
    seconds = compiler.process(element.clauses, **kw)
    return f"(clock_timestamp() + make_interval(secs => CAST({seconds} AS DOUBLE PRECISION)))"


@compiles(statement_now, "sqlite")
def _statement_now_sqlite(_element: statement_now, compiler: SQLCompiler, **kw: Any) -> str:
    return compiler.process(now(), **kw)


@compiles(statement_now, "postgresql")
def _statement_now_postgresql(_element: statement_now, _compiler: SQLCompiler, **_kw: Any) -> str:
    return "statement_timestamp()"


@compiles(statement_now_plus, "sqlite")
def _statement_now_plus_sqlite(
    element: statement_now_plus, compiler: SQLCompiler, **kw: Any
) -> str:
    return compiler.process(now_plus(*element.clauses), **kw)


@compiles(statement_now_plus, "postgresql")
def _statement_now_plus_postgresql(
    element: statement_now_plus, compiler: SQLCompiler, **kw: Any
) -> str:
    seconds = compiler.process(element.clauses, **kw)
    return f"(statement_timestamp() + make_interval(secs => CAST({seconds} AS DOUBLE PRECISION)))"


@compiles(plain, "sqlite")
def _plain_sqlite(element: plain, compiler: SQLCompiler, **kw: Any) -> str:
    return f"+{compiler.process(element.clauses, **kw)}"


@compiles(plain, "postgresql")
def _plain_postgresql(element: plain, compiler: SQLCompiler, **kw: Any) -> str:
    return f"({compiler.process(element.clauses, **kw)} || '')"


@compiles(seconds_until, "sqlite")
def _seconds_until_sqlite(element: seconds_until, compiler: SQLCompiler, **kw: Any) -> str:
    moment = compiler.process(element.clauses, **kw)
    return f"((julianday({moment}) - julianday('now')) * 86400.0)"


@compiles(seconds_until, "postgresql")
def _seconds_until_postgresql(element: seconds_until, compiler: SQLCompiler, **kw: Any) -> str:
    moment = compiler.process(element.clauses, **kw)
    return f"CAST(EXTRACT(EPOCH FROM ({moment}) - clock_timestamp()) AS DOUBLE PRECISION)"


@compiles(seconds_between, "sqlite")
def _seconds_between_sqlite(element: seconds_between, compiler: SQLCompiler, **kw: Any) -> str:
    earlier, later = (compiler.process(part, **kw) for part in element.clauses)
    return f"round((julianday({later}) - julianday({earlier})) * 86400.0, 3)"  # as it is stored


@compiles(seconds_between, "postgresql")
def _seconds_between_postgresql(element: seconds_between, compiler: SQLCompiler, **kw: Any) -> str:
    earlier, later = (compiler.process(part, **kw) for part in element.clauses)
    return f"CAST(EXTRACT(EPOCH FROM ({later}) - ({earlier})) AS DOUBLE PRECISION)"


@compiles(hour_of, "sqlite")
def _hour_of_sqlite(element: hour_of, compiler: SQLCompiler, **kw: Any) -> str:
    return f"(substr({compiler.process(element.clauses, **kw)}, 1, 13) || ':00:00.000')"


@compiles(hour_of, "postgresql")
def _hour_of_postgresql(element: hour_of, compiler: SQLCompiler, **kw: Any) -> str:
    return f"date_trunc('hour', {compiler.process(element.clauses, **kw)}, 'UTC')"


@compiles(day_of, "sqlite")
def _day_of_sqlite(element: day_of, compiler: SQLCompiler, **kw: Any) -> str:
    return f"(substr({compiler.process(element.clauses, **kw)}, 1, 10) || ' 00:00:00.000')"


@compiles(day_of, "postgresql")
def _day_of_postgresql(element: day_of, compiler: SQLCompiler, **kw: Any) -> str:
    return f"date_trunc('day', {compiler.process(element.clauses, **kw)}, 'UTC')"


@compiles(json_value, "sqlite")
def _json_value_sqlite(element: json_value, compiler: SQLCompiler, **kw: Any) -> str:
    return compiler.process(element.clauses, **kw)


@compiles(json_value, "postgresql")
def _json_value_postgresql(element: json_value, compiler: SQLCompiler, **kw: Any) -> str:
    return f"CAST({compiler.process(element.clauses, **kw)} AS JSON)"
