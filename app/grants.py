"""Who was let into a thing that is somebody's, a chat or a stored asset, and what they may do.

Its creator keeps all rights; administrators may do what an owner may, as everywhere in the house.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, delete, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.accounts import Caller
from app.errors import Conflict, Forbidden, InvalidParameter, NotFound
from app.lookup import row_by_id
from models import AssetGrant, Chat, ChatGrant, GrantRole, StoredAsset, User

_ORDER = list(GrantRole)

Thing = Chat | StoredAsset
Grant = ChatGrant | AssetGrant


def granted(caller: Caller, grants: type[Grant]) -> Select[int]:
    """The ids of the things the caller was let into."""
    return select(_key(grants)).where(grants.user_id == caller.user_id)


def role_in(session: Session, caller: Caller, thing: Thing) -> GrantRole | None:
    """What the caller is in a thing; None for strangers."""
    if caller.sees(thing.user_id) or caller.user_id is None:
        return role_with(None, caller, thing)
    return role_with(_of(session, thing, caller.user_id), caller, thing)


def role_with(found: Grant | None, caller: Caller, thing: Thing) -> GrantRole | None:
    """The same of somebody whose grant, if there is one, was found already."""
    if caller.sees(thing.user_id):
        return GrantRole.OWNER
    return GrantRole(found.role) if found is not None else None


def reaches(role: GrantRole | None, need: GrantRole) -> bool:
    """Whether somebody with that role may do what needs the other."""
    return role is not None and _ORDER.index(role) >= _ORDER.index(need)


def require(role: GrantRole | None, need: GrantRole, what: str) -> None:
    """Raises Forbidden for somebody who may not do so much with `what`, such as "chat"."""
    if not reaches(role, need):
        raise Forbidden(f"This needs {need} of the {what}; you have {role}", role=str(role))


def give(session: Session, thing: Thing, *, user_id: int, role: str) -> dict[str, Any]:
    """Let somebody in, or change what they may. Raises NotFound, Conflict, InvalidParameter."""
    _refuse_creator(thing, user_id)
    user = row_by_id(session, User, user_id)
    if user is None or not user.active:
        raise NotFound(f"Unknown user: {user_id}", pointer="/user_id")
    if role not in list(GrantRole):
        raise InvalidParameter(f"Invalid role. Must be one of: {', '.join(GrantRole)}")
    grants = _grants(thing)
    facts = {_key(grants).key: thing.id, "user_id": user_id, "role": role}
    if (found := _of(session, thing, user_id)) is None:
        session.add(grants(**facts))
    else:
        found.role = role
    session.flush()
    return facts


def listed(session: Session, thing: Thing) -> list[dict[str, Any]]:
    """Who may what with it, its creator first."""
    grants = _grants(thing)
    key = _key(grants)
    query = (
        select(grants.user_id, User.name, grants.role)
        .join(User, User.id == grants.user_id)
        .where(key == thing.id, grants.user_id != thing.user_id)
        .order_by(grants.created_at, grants.user_id)
    )
    creator = session.get_one(User, thing.user_id)
    people = [(creator.id, creator.name, GrantRole.OWNER), *session.execute(query).all()]
    return [
        {key.key: thing.id, "user_id": user_id, "name": name, "role": role}
        for user_id, name, role in people
    ]


def take_back(session: Session, thing: Thing, *, user_id: int) -> None:
    """Take somebody's grant back. Raises NotFound; Conflict for the creator's."""
    grants = _grants(thing)
    _refuse_creator(thing, user_id)
    gone = session.execute(
        delete(grants)
        .where(_key(grants) == thing.id, grants.user_id == user_id)
        .returning(grants.user_id)
    )
    if gone.first() is None:
        raise NotFound("Nobody of that number was let in")


def _of(session: Session, thing: Thing, user_id: int) -> Grant | None:
    if isinstance(thing, Chat):
        return session.get(ChatGrant, (thing.id, user_id))
    return session.get(AssetGrant, (thing.id, user_id))


def _refuse_creator(thing: Thing, user_id: int) -> None:
    if user_id == thing.user_id:
        raise Conflict("Its creator keeps all rights")


def _grants(thing: Thing) -> type[Grant]:
    return ChatGrant if isinstance(thing, Chat) else AssetGrant


def _key(grants: type[Grant]) -> InstrumentedAttribute[int]:
    return ChatGrant.chat_id if grants is ChatGrant else AssetGrant.asset_id
