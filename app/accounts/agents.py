"""Agents: named defaults (system prompt, model, format, options) that a job may inherit."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.accounts.caller import Caller
from app.errors import (
    Forbidden,
    InvalidParameter,
    MissingParameter,
    NotFound,
    UnknownParameter,
)
from app.lookup import row_by_id
from app.paging import DEFAULT_LIMIT, Page, newest_first
from app.text import deep_clean
from models import Agent, Format, User
from models.types import now

_CHANGEABLE = ("name", "system", "model", "format", "options")


def create_agent(
    session: Session,
    caller: Caller,
    *,
    name: str,
    system: str | None = None,
    model: str | None = None,
    format: str | None = None,
    options: dict[str, Any] | None = None,
    user_id: int | None = None,
) -> Agent:
    """Add an agent of the caller's (administrators: of `user_id`).

    Raises InvalidParameter or MissingParameter, Forbidden for another's, NotFound for an unknown
    user.
    """
    values = {"name": name, "system": system, "model": model, "format": format, "options": options}
    agent = Agent(user_id=_owner(session, caller, user_id))
    for attribute, value in values.items():
        setattr(agent, attribute, _checked(attribute, value))
    session.add(agent)
    session.flush()
    session.refresh(agent)
    return agent


def get_agent(session: Session, caller: Caller, agent_id: int) -> Agent:
    """One agent: one's own, or any for administrators. Raises NotFound otherwise."""
    agent = row_by_id(session, Agent, agent_id)
    if agent is None or not caller.sees(agent.user_id):
        raise NotFound(f"Unknown agent: {agent_id}")
    return agent


def list_agents(
    session: Session,
    caller: Caller,
    *,
    all_users: bool = False,
    limit: int = DEFAULT_LIMIT,
    after: str | None = None,
) -> Page[Agent]:
    """The caller's agents, newest first; with `all_users` everybody's (administrators)."""
    query = select(Agent)
    if not all_users:
        query = query.where(Agent.user_id == caller.user_id)
    elif not caller.is_admin:
        raise Forbidden("Only an administrator may see other users' agents")
    return newest_first(session, query, Agent.id, limit=limit, after=after)


def update_agent(session: Session, caller: Caller, agent_id: int, **changes: Any) -> Agent:
    """Change what is named; raises the version. Jobs accepted before keep what they inherited.

    Raises NotFound for a stranger's, InvalidParameter, UnknownParameter.
    """
    agent = get_agent(session, caller, agent_id)
    session.refresh(agent, with_for_update=True)
    checked = {attribute: _changed(attribute, value) for attribute, value in changes.items()}
    for attribute, value in checked.items():
        setattr(agent, attribute, value)
    agent.version += 1
    agent.updated_at = now()
    session.flush()
    session.refresh(agent)
    return agent


def _owner(session: Session, caller: Caller, user_id: int | None) -> int:
    owner = caller.user_id if user_id is None else user_id
    if owner is None:
        raise MissingParameter("user_id")
    if owner != caller.user_id:
        if not caller.is_admin:
            raise Forbidden("Only an administrator may act for another user")
        if row_by_id(session, User, owner) is None:
            raise NotFound(f"Unknown user: {owner}")
    return owner


def _changed(attribute: str, value: Any) -> Any:
    if attribute not in _CHANGEABLE:
        raise UnknownParameter(attribute)
    return _checked(attribute, value)


def _checked(attribute: str, value: Any) -> Any:
    """The value as it is stored; blank means not set."""
    if attribute == "options":
        if value is not None and not isinstance(value, dict):
            raise InvalidParameter("Options must be an object", pointer="/options")
        return deep_clean(value)
    if value is not None and not isinstance(value, str):
        raise InvalidParameter(f"Invalid {attribute}. Must be a text", pointer=f"/{attribute}")
    text = deep_clean(value or "").strip() or None
    if attribute == "name" and text is None:
        raise MissingParameter("name")
    if attribute == "format" and text is not None and text not in set(Format):
        raise InvalidParameter(
            f"Invalid format. Must be one of: {', '.join(Format)}", pointer="/format"
        )
    if attribute in ("name", "model") and text is not None and len(text) > 255:
        raise InvalidParameter(
            f"Invalid {attribute}. Must be at most 255 characters", pointer=f"/{attribute}"
        )
    return text
