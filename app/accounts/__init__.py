"""Who is calling and what they may do: users, API keys, agents.

    caller.py   `Caller`: a person or service as the rest of the house sees it
    keys.py     API keys: making, checking, listing, revoking
    users.py    users, by administrators
    agents.py   named defaults for jobs, by their owners

Nothing here knows HTTP or what a job is.
"""

from app.accounts.agents import create_agent, get_agent, list_agents, update_agent
from app.accounts.caller import OPERATOR, Caller, caller_of
from app.accounts.keys import (
    NewKey,
    authenticate,
    create_key,
    issue_key,
    list_keys,
    note_use,
    revoke_key,
)
from app.accounts.users import create_user, find_user, get_user, list_users, update_user

__all__ = [
    "OPERATOR",
    "Caller",
    "NewKey",
    "authenticate",
    "caller_of",
    "create_agent",
    "create_key",
    "create_user",
    "find_user",
    "get_agent",
    "get_user",
    "issue_key",
    "list_agents",
    "list_keys",
    "list_users",
    "note_use",
    "revoke_key",
    "update_agent",
    "update_user",
]
