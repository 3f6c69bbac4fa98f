"""A list of rows as one SQL parameter, to join against: how one statement moves many rows.

`recordset("postgresql", id=BigId, delay=Float)` is a FROM clause with columns `id` and `delay` over
the JSON array bound to `:rows` (made by `payload`). The statement's text does not depend on the
number of rows, so it is compiled once. JSON columns travel as JSON text: wrap them in
`models.types.json_value` where they are stored.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Text,
    any_,
    bindparam,
    cast,
    column,
    func,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql.selectable import FromClause
from sqlalchemy.types import TypeEngine

from models.types import nano_dollars, sqlite_text

Columns = Mapping[str, Any]
"""Column name → its SQLAlchemy type."""


def recordset(dialect: str, columns: Columns, *, name: str = "v") -> FromClause:
    """A FROM clause over the bound parameter `rows`, with the named and typed columns."""
    rows = bindparam("rows", type_=Text)
    if dialect == "postgresql":
        typed = [column(key, _instance(kind)) for key, kind in columns.items()]
        values = func.jsonb_to_recordset(cast(rows, JSONB))
        return values.table_valued(*typed, name=name).render_derived(name=name, with_types=True)
    each = func.json_each(rows).table_valued("value", name="each_row")
    return select(
        *(
            func.json_extract(each.c.value, f"$.{key}", type_=_instance(kind)).label(key)
            for key, kind in columns.items()
        )
    ).subquery(name)


def payload(dialect: str, rows: Iterable[Mapping[str, Any]]) -> str:
    """The value of `:rows`: times, money and JSON texts in the form the dialect reads."""

    def plain(value: Any) -> Any:
        if isinstance(value, datetime):
            return sqlite_text(value) if dialect == "sqlite" else value.astimezone(UTC).isoformat()
        if isinstance(value, Decimal):
            return nano_dollars(value)
        raise TypeError(f"{type(value).__name__} cannot be a column of a batch")

    return json.dumps(list(rows), default=plain, ensure_ascii=False, allow_nan=False)


def named_by(dialect: str, column: ColumnElement[int]) -> ColumnElement[bool]:
    """The rows a batch names, by the bound parameter `ids` on PostgreSQL.

    Its planner takes a function's rows for a hundred, and may read a whole table to join them.
    """
    if dialect == "postgresql":
        return column == any_(bindparam("ids", type_=ARRAY(BigInteger)))
    return true()


def arguments(
    dialect: str, rows: Iterable[Mapping[str, Any]], *, key: str = "id"
) -> dict[str, Any]:
    """The parameters of a statement with `recordset` and `named_by`; `key` holds each row's id."""
    listed = list(rows)
    ids = {"ids": [row[key] for row in listed]} if dialect == "postgresql" else {}
    return {"rows": payload(dialect, listed), **ids}


def json_text(value: Any) -> str | None:
    """A JSON column's value for a batch; None stays SQL NULL."""
    return None if value is None else json.dumps(value, ensure_ascii=False, allow_nan=False)


def _instance(kind: type[TypeEngine[Any]] | TypeEngine[Any]) -> TypeEngine[Any]:
    return kind() if isinstance(kind, type) else kind
