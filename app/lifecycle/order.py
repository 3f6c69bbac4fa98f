"""Who waits for whom: rows are locked from the lowest id up, and users last of all.

Two transactions that each hold a row the other wants would wait until PostgreSQL ends one of them,
a second later. SQLite has one writer at a time, so there nothing is locked.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Select, Table, any_, bindparam, select
from sqlalchemy.orm import Session

from models import LLMOutput
from models.base import table_of

MOST_ID = 2**63 - 1

_T = table_of(LLMOutput)


def lock(session: Session, output_ids: Collection[int]) -> None:
    """Lock these rows for writing, in the one order everybody keeps.

    Each verb does it for its own rows; whoever calls several verbs in one transaction locks all
    their rows first. One row alone is locked by the statement that writes it. New rows may refer to
    a locked one. Ids that cannot be are passed over: a message may name anything.
    """
    if len(output_ids) > 1:
        lock_rows(session, _T, output_ids)


def lock_rows(session: Session, table: Table, ids: Collection[int]) -> None:
    """Lock rows of a table with an `id`, in the order of their ids, be it one row."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(_in_order(table), {"ids": [i for i in ids if 0 < i <= MOST_ID]})


def _in_order(table: Table) -> Select[Any]:
    wanted = any_(bindparam("ids", type_=ARRAY(BigInteger)))
    return (
        select(table.c.id)
        .where(table.c.id == wanted)
        .order_by(table.c.id)
        .with_for_update(key_share=True)
    )
