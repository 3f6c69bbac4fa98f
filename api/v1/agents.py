"""Agents: named defaults that a job with `agent_id` inherits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from api.auth import scope
from api.replies import Reply, page_reply
from api.routing import Answer, Call, Routes
from api.schemas.accounts import AgentBody, AgentChange, AgentList, AgentShown, AllUsersQuery
from api.schemas.common import Empty
from app import accounts
from models import Agent, Scope

routes = Routes("/api/v1", tag="agents")


@routes.get(
    "/agents",
    access=scope(Scope.JOBS_READ),
    query=AllUsersQuery,
    answers={200: Answer(description="A page of agents.", model=AgentList)},
)
def list_agents(call: Call[Empty, AllUsersQuery]) -> Reply:
    """List agents, newest first."""
    with call.runtime.database.read() as session:
        page = accounts.list_agents(session, call.caller, **call.query.model_dump())
        return page_reply(page, _all_shown)


@routes.post(
    "/agents",
    access=scope(Scope.JOBS_WRITE),
    body=AgentBody,
    answers={201: Answer(description="The agent was added.", model=AgentShown)},
    errors={404: "There is no such user."},
)
def create_agent(call: Call[AgentBody, Empty]) -> Reply:
    """Add an agent."""
    with call.runtime.database.write() as session:
        agent = accounts.create_agent(session, call.caller, **call.body.model_dump())
        return Reply(body=_shown(agent), status=201)


@routes.get(
    "/agents/<row:agent_id>",
    access=scope(Scope.JOBS_READ),
    answers={200: Answer(description="The agent.", model=AgentShown)},
)
def get_agent(call: Call[Empty, Empty], agent_id: int) -> Reply:
    """Show an agent."""
    with call.runtime.database.read() as session:
        return Reply(body=_shown(accounts.get_agent(session, call.caller, agent_id)))


@routes.patch(
    "/agents/<row:agent_id>",
    access=scope(Scope.JOBS_WRITE),
    body=AgentChange,
    answers={200: Answer(description="The agent as it is now.", model=AgentShown)},
)
def update_agent(call: Call[AgentChange, Empty], agent_id: int) -> Reply:
    """Change an agent; jobs accepted before keep what they inherited."""
    changes = call.body.model_dump(exclude_unset=True)
    with call.runtime.database.write() as session:
        return Reply(body=_shown(accounts.update_agent(session, call.caller, agent_id, **changes)))


def _shown(agent: Agent) -> dict[str, Any]:
    return {name: getattr(agent, name) for name in AgentShown.model_fields}


def _all_shown(agents: Sequence[Agent]) -> list[dict[str, Any]]:
    return [_shown(agent) for agent in agents]
