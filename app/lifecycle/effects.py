"""What verbs write, in groups of columns that belong together. Not here: who may (`guards.py`)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, literal

from models import LLMOutput
from models.base import table_of
from models.types import now, now_plus

_T = table_of(LLMOutput)

PERMANENT_FAILURE = "Job failed permanently: "


def next_fence() -> dict[str, Any]:
    """A new attempt begins: results of the earlier ones are refused from now on."""
    return {"fence": _T.c.fence + 1}


def leased(seconds: Any) -> dict[str, Any]:
    """The holder may keep the row for so long without a sign of life."""
    return {"lease_expires_at": now_plus(seconds)}


def let_go() -> dict[str, Any]:
    """Nobody holds the row."""
    return {"lease_expires_at": None, "worker": None}


def to_be_sent() -> dict[str, Any]:
    """The next tick sends a message, once the row is due."""
    return {"woken_at": None}


def one_try_used() -> dict[str, Any]:
    """One of the tries people see is gone."""
    return {"tries": _T.c.tries + 1}


def one_loss_more() -> dict[str, Any]:
    """One more worker has died holding the row."""
    return {"losses": _T.c.losses + 1}


def over() -> dict[str, Any]:
    """The row has ended."""
    return {"finished_at": now()}


def touched() -> dict[str, Any]:
    """When people see that something changed."""
    return {"updated_at": now()}


def failure(code: Any, message: ColumnElement[str]) -> dict[str, Any]:
    """Why there is no answer, also as the seed's sentence in its place."""
    return {
        "error_code": code,
        "error_message": message,
        "raw_response": literal(PERMANENT_FAILURE) + message,
    }
