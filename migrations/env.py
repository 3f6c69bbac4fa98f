"""Runs migrations on the connection that `app.migrate` hands over."""

from __future__ import annotations

from typing import Any

from alembic import context
from sqlalchemy import Connection
from sqlalchemy.types import TypeDecorator

from models import Base


def render_item(kind: str, item: Any, autogen_context: Any) -> Any:
    """Write our own column types by name, so that a script says what the model says."""
    if kind == "type" and isinstance(item, TypeDecorator):
        autogen_context.imports.add("from models import types")
        return f"types.{type(item).__name__}()"
    return False


connection: Connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    render_as_batch=connection.dialect.name == "sqlite",
    compare_type=True,
    render_item=render_item,
)
with context.begin_transaction():
    context.run_migrations()
