"""Users: made and changed by administrators, never deleted (their rows stay theirs)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app import audit
from app.accounts.caller import OPERATOR, Caller
from app.audit import Action
from app.errors import Conflict, InvalidParameter, MissingParameter, NotFound, UnknownParameter
from app.lookup import row_by_id
from app.paging import DEFAULT_LIMIT, Page, newest_first
from app.text import clean_text
from models import Role, User
from models.types import now

_EMAIL = re.compile("[^\\s@\x00-\x1f\x7f\ud800-\udfff]+@[^\\s@\x00-\x1f\x7f\ud800-\udfff]+")
_LONGEST_EMAIL = 254
_LARGEST_ALLOWANCE = 2**62
_CHANGEABLE = ("name", "role", "plan", "active", "token_allowance")


def create_user(
    session: Session,
    *,
    email: str,
    name: str = "",
    role: str = Role.MEMBER,
    token_allowance: int | None = None,
    plan: str | None = None,
    by: Caller = OPERATOR,
) -> User:
    """Add a user, asking nobody: who may is the caller's question (`Caller.require_administrator`).

    The address is kept in lower case. `token_allowance` is tokens in all; None is unlimited. `by`
    is who the trail names. Raises InvalidParameter for a value that cannot be, Conflict when the
    address is taken.
    """
    user = User(email=_address(email))
    for attribute, value in (
        ("name", name),
        ("role", role),
        ("token_allowance", token_allowance),
        ("plan", plan),
    ):
        setattr(user, attribute, _checked(attribute, value))
    try:
        with session.begin_nested():
            session.add(user)
    except IntegrityError:
        raise Conflict(f"The address {user.email} is taken", pointer="/email") from None
    session.refresh(user)
    details = {"email": user.email, "role": user.role}
    audit.record(session, by, Action.USER_CREATED, subject=f"user:{user.id}", details=details)
    return user


MOST_NAMES = 200
"""Users whose names one job may show."""


def display_names(session: Session, caller: Caller, ids: Iterable[str]) -> dict[str, str]:
    """The names of users, by the id or the address they are called by: those whose names the caller
    may know, which is everybody's for administrators and one's own for others.

    An unknown one is left out.
    """
    wanted = sorted(set(ids))[:MOST_NAMES]
    numbers = [int(one) for one in wanted if one.isascii() and one.isdigit() and len(one) < 19]
    addresses = [one.lower() for one in wanted if "@" in one]
    if not numbers and not addresses:
        return {}
    query = select(User).where(or_(User.id.in_(numbers), User.email.in_(addresses)))
    found = [user for user in session.scalars(query) if caller.sees(user.id)]
    shown = {str(user.id): user.name or user.email for user in found}
    by_address = {user.email: user.name or user.email for user in found}
    return {
        one: name
        for one in wanted
        if (name := shown.get(one) or by_address.get(one.lower())) is not None
    }


def find_user(session: Session, email: str) -> User | None:
    """The user of an address, asking nobody: for the command line."""
    return session.scalar(select(User).where(User.email == email.strip().lower()))


def get_user(session: Session, caller: Caller, user_id: int) -> User:
    """One user: oneself, or any for administrators. Raises NotFound otherwise."""
    user = row_by_id(session, User, user_id) if caller.sees(user_id) else None
    if user is None:
        raise NotFound(f"Unknown user: {user_id}")
    return user


def hold_user(session: Session, user_id: int) -> None:
    """Let nobody else who holds this user go on until the transaction ends; asks nobody.

    So that of two forms that were sent at once the second sees what the first did.
    """
    row_by_id(session, User, user_id, for_update=True)


def list_users(
    session: Session, caller: Caller, *, limit: int = DEFAULT_LIMIT, after: str | None = None
) -> Page[User]:
    """Every user, newest first. Raises Forbidden unless an administrator asks."""
    caller.require_administrator()
    return newest_first(session, select(User), User.id, limit=limit, after=after)


def update_user(session: Session, caller: Caller, user_id: int, **changes: Any) -> User:
    """Change `name`, `role`, `plan`, `active` or `token_allowance` of a user.

    Raises Forbidden unless an administrator asks, NotFound, InvalidParameter, UnknownParameter, and
    Conflict when nobody would be left to administrate.
    """
    caller.require_administrator()
    user = row_by_id(session, User, user_id, for_update=True)
    if user is None:
        raise NotFound(f"Unknown user: {user_id}")
    checked = {attribute: _changed(attribute, value) for attribute, value in changes.items()}
    stays = checked.get("role", user.role) == Role.ADMIN and checked.get("active", user.active)
    if user.is_admin and user.active and not stays:
        _keep_an_administrator(session, without=user.id)
    _note_change(session, caller, user, checked)
    for attribute, value in checked.items():
        setattr(user, attribute, value)
    user.updated_at = now()
    session.flush()
    session.refresh(user)
    return user


def _note_change(session: Session, caller: Caller, user: User, new: dict[str, Any]) -> None:
    """What the trail says of a change: each value that differs, before and after."""
    details = {
        attribute: {"from": getattr(user, attribute), "to": value}
        for attribute, value in new.items()
        if getattr(user, attribute) != value
    }
    if details:
        ends = user.active and new.get("active") is False
        action = Action.USER_DEACTIVATED if ends else Action.USER_CHANGED
        audit.record(session, caller, action, subject=f"user:{user.id}", details=details)


def _keep_an_administrator(session: Session, *, without: int) -> None:
    others = (
        select(func.count())
        .select_from(User)
        .where(User.role == Role.ADMIN, User.active.is_(True), User.id != without)
    )
    if not session.scalar(others):
        raise Conflict("This is the last active administrator: name another one first")


def _address(email: str) -> str:
    address = email.strip().lower() if isinstance(email, str) else ""
    if not address:
        raise MissingParameter("email")
    if len(address) > _LONGEST_EMAIL or not _EMAIL.fullmatch(address):
        raise InvalidParameter(f"Invalid email: {address[:80]!r}", pointer="/email")
    return address


def _changed(attribute: str, value: Any) -> Any:
    if attribute not in _CHANGEABLE:
        raise UnknownParameter(attribute)
    return _checked(attribute, value)


def _checked(attribute: str, value: Any) -> Any:
    """The value as it is stored. Raises InvalidParameter saying what would be right."""
    if attribute == "name":
        return _short_text(attribute, value, 255)
    if attribute == "plan":
        return None if value is None else _short_text(attribute, value, 64)
    if attribute == "role":
        if value not in set(Role):
            raise InvalidParameter(
                f"Invalid role: {value!r}. Must be one of: {', '.join(Role)}", pointer="/role"
            )
        return str(value)
    if attribute == "active":
        if not isinstance(value, bool):
            raise InvalidParameter(
                f"Invalid active: {value!r}. Must be a boolean", pointer="/active"
            )
        return value
    return _allowance(value)


def _allowance(value: Any) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _LARGEST_ALLOWANCE:
        raise InvalidParameter(
            f"Invalid token_allowance: {value!r}. Must be a number of tokens, or null for no limit",
            pointer="/token_allowance",
        )
    return value


def _short_text(attribute: str, value: Any, longest: int) -> str:
    if not isinstance(value, str) or len(value.strip()) > longest:
        raise InvalidParameter(
            f"Invalid {attribute}. Must be a text of at most {longest} characters",
            pointer=f"/{attribute}",
        )
    return clean_text(value.strip())
