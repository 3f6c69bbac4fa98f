"""Who is calling and what they may do: users, API keys, agents.

    caller.py   `Caller`: a person or service as the rest of the house sees it
    keys.py     API keys: making, checking, listing, revoking
    users.py    users, by administrators
    passwords.py, sessions.py   signing in to the pages
    passes.py   for a few minutes into one chat, for a page in somebody's frame
    agents.py   named defaults for jobs, by their owners

Nothing here knows HTTP or what a job is.
"""

from app.accounts.agents import create_agent, get_agent, list_agents, update_agent
from app.accounts.caller import OPERATOR, Caller, caller_of
from app.accounts.keys import (
    NewKey,
    authenticate,
    create_key,
    get_key,
    issue_key,
    list_keys,
    note_use,
    revoke_key,
    same_key_again,
)
from app.accounts.passes import Pass, issue_pass, read_pass
from app.accounts.passwords import change_password, generate_password, set_password
from app.accounts.sessions import (
    SignedIn,
    SignIn,
    note_seen,
    sign_in,
    sign_out,
    signed_in,
)
from app.accounts.users import (
    create_user,
    display_names,
    find_user,
    get_user,
    hold_user,
    list_users,
    update_user,
)

__all__ = [
    "OPERATOR",
    "Caller",
    "NewKey",
    "Pass",
    "SignIn",
    "SignedIn",
    "authenticate",
    "caller_of",
    "change_password",
    "create_agent",
    "create_key",
    "create_user",
    "display_names",
    "find_user",
    "generate_password",
    "get_agent",
    "get_key",
    "get_user",
    "hold_user",
    "issue_key",
    "issue_pass",
    "list_agents",
    "list_keys",
    "list_users",
    "note_seen",
    "note_use",
    "read_pass",
    "revoke_key",
    "same_key_again",
    "set_password",
    "sign_in",
    "sign_out",
    "signed_in",
    "update_agent",
    "update_user",
]
