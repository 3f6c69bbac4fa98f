"""Users, by administrators; and who one is oneself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from api.auth import ADMINISTRATOR, ANY_KEY
from api.replies import Reply, page_reply
from api.routing import Answer, Call, Routes
from api.schemas.accounts import ErasureShown, Me, UserBody, UserChange, UserList, UserShown
from api.schemas.common import Empty, PageQuery
from api.v1.keys import shown_key
from app import accounts
from app.retention import erase_person
from models import ApiKey, Scope, User

routes = Routes("/api/v1", tag="accounts")


@routes.get(
    "/me",
    access=ANY_KEY,
    answers={200: Answer(description="User, key, scopes and what is left.", model=Me)},
)
def get_me(call: Call[Empty, Empty]) -> Reply:
    """Show who the key belongs to and what it may do."""
    with call.runtime.database.read() as session:
        user = session.get_one(User, call.caller.user_id)
        key = session.get_one(ApiKey, call.caller.key_id)
        scopes = [scope.value for scope in Scope if call.caller.may(scope)]
        return Reply(body={"user": shown_user(user), "key": shown_key(key), "scopes": scopes})


@routes.get(
    "/users",
    access=ADMINISTRATOR,
    query=PageQuery,
    answers={200: Answer(description="A page of users.", model=UserList)},
)
def list_users(call: Call[Empty, PageQuery]) -> Reply:
    """List users, newest first."""
    with call.runtime.database.read() as session:
        page = accounts.list_users(
            session, call.caller, limit=call.query.limit, after=call.query.after
        )
        return page_reply(page, _shown)


@routes.post(
    "/users",
    access=ADMINISTRATOR,
    body=UserBody,
    answers={201: Answer(description="The user was added.", model=UserShown)},
    errors={409: "The address is taken."},
)
def create_user(call: Call[UserBody, Empty]) -> Reply:
    """Add a user."""
    with call.runtime.database.write() as session:
        user = accounts.create_user(session, **call.body.model_dump(), by=call.caller)
        return Reply(body=shown_user(user), status=201)


@routes.patch(
    "/users/<row:user_id>",
    access=ADMINISTRATOR,
    body=UserChange,
    answers={200: Answer(description="The user as it is now.", model=UserShown)},
    errors={409: "Nobody would be left to administrate."},
)
def update_user(call: Call[UserChange, Empty], user_id: int) -> Reply:
    """Change a user: name, role, plan, allowance, or whether it is active."""
    changes = call.body.model_dump(exclude_unset=True)
    with call.runtime.database.write() as session:
        user = accounts.update_user(session, call.caller, user_id, **changes)
        return Reply(body=shown_user(user))


@routes.post(
    "/users/<row:user_id>/erase",
    access=ADMINISTRATOR,
    answers={200: Answer(description="What was erased, and what still runs.", model=ErasureShown)},
    errors={409: "Nobody would be left to administrate."},
)
def erase_user(call: Call[Empty, Empty], user_id: int) -> Reply:
    """Erase a person for good: texts of jobs, chats, private prompts, sign-ins, keys, and the name.

    Jobs that wait are cancelled. While some are `running` they are asked to stop: ask again then.
    What was spent stays counted, and so does the row, under a name that says nothing.
    """
    return Reply(body=asdict(erase_person(call.runtime, call.caller, user_id)))


def shown_user(user: User) -> dict[str, Any]:
    """A user as clients see it."""
    return {name: getattr(user, name) for name in UserShown.model_fields}


def _shown(users: Sequence[User]) -> list[dict[str, Any]]:
    return [shown_user(user) for user in users]
