"""API keys: one's own, or for administrators anybody's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from api.auth import scope
from api.replies import Reply, page_reply
from api.routing import Answer, Call, Routes
from api.schemas.accounts import AllUsersQuery, KeyBody, KeyList, KeyShown, NewKeyShown
from api.schemas.common import Empty
from app import accounts
from models import ApiKey, Scope

routes = Routes("/api/v1", tag="accounts")


@routes.get(
    "/keys",
    access=scope(Scope.KEYS_ADMIN),
    query=AllUsersQuery,
    answers={200: Answer(description="A page of keys, revoked ones included.", model=KeyList)},
)
def list_keys(call: Call[Empty, AllUsersQuery]) -> Reply:
    """List API keys, newest first."""
    with call.runtime.database.read() as session:
        page = accounts.list_keys(session, call.caller, **call.query.model_dump())
        return page_reply(page, _shown)


@routes.post(
    "/keys",
    access=scope(Scope.KEYS_ADMIN),
    body=KeyBody,
    answers={201: Answer(description="The key; it is shown this once.", model=NewKeyShown)},
    errors={404: "There is no such user."},
)
def create_key(call: Call[KeyBody, Empty]) -> Reply:
    """Make an API key.

    A key that is limited to scopes can only make keys with some of them.
    """
    with call.runtime.database.write() as session:
        made = accounts.issue_key(session, call.caller, **call.body.model_dump())
        return Reply(body={**shown_key(made.key), "key": made.text}, status=201)


@routes.delete(
    "/keys/<row:key_id>",
    access=scope(Scope.KEYS_ADMIN),
    answers={200: Answer(description="The key; it is refused from now on.", model=KeyShown)},
)
def revoke_key(call: Call[Empty, Empty], key_id: int) -> Reply:
    """Revoke an API key for good."""
    with call.runtime.database.write() as session:
        key = accounts.revoke_key(session, call.caller, key_id)
        return Reply(body=shown_key(key))


def shown_key(key: ApiKey) -> dict[str, Any]:
    """A key as clients see it: never its secret."""
    return {name: getattr(key, name) for name in KeyShown.model_fields}


def _shown(keys: Sequence[ApiKey]) -> list[dict[str, Any]]:
    return [shown_key(key) for key in keys]
