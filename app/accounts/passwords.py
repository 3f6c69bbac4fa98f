"""Passwords of people who sign in to the pages: hashed with Argon2id, checked in constant effort.

A wrong address costs as much time as a wrong password, and both are refused in the same words.
Services use keys and need no password.
"""

from __future__ import annotations

import secrets

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app import audit
from app.accounts.caller import Caller
from app.audit import Action
from app.errors import Forbidden, InvalidParameter, NotFound, Unauthenticated
from app.lookup import row_by_id
from models import User, WebSession
from models.types import now

SHORTEST = 12
LONGEST = 200
"""Longer ones only make hashing a way to keep us busy."""

_hasher = PasswordHasher()
_NOBODYS_HASH = _hasher.hash(secrets.token_urlsafe())


def set_password(session: Session, caller: Caller, user_id: int, password: str) -> None:
    """Give a user a (new) password: one's own, or anybody's by an administrator.

    Every sign-in of that user ends. Raises InvalidParameter for one that is too short or too long,
    NotFound for another's user.
    """
    user = row_by_id(session, User, user_id, for_update=True) if caller.sees(user_id) else None
    if user is None:
        raise NotFound(f"Unknown user: {user_id}")
    user.password_hash = _hasher.hash(_checked(password))
    user.updated_at = now()
    session.execute(delete(WebSession).where(WebSession.user_id == user_id))
    audit.record(session, caller, Action.PASSWORD_SET, subject=f"user:{user_id}")


def change_password(session: Session, caller: Caller, *, current: str, new: str) -> None:
    """One's own password, by somebody who knows the present one. Raises Forbidden otherwise."""
    user = row_by_id(session, User, caller.user_id) if caller.user_id is not None else None
    if user is None or not _matches(user.password_hash, current):
        raise Forbidden("The present password is not right")
    set_password(session, caller, user.id, new)


def check_password(session: Session, email: str, password: str) -> User:
    """The active user of an address and a password. Raises Unauthenticated, not saying which was
    wrong.
    """
    user = session.scalar(select(User).where(User.email == email.strip().lower()))
    right = _matches(user.password_hash if user else None, password)
    if user is None or not right or not user.active:
        raise Unauthenticated("The address or the password is not right")
    if user.password_hash and _hasher.check_needs_rehash(user.password_hash):
        user.password_hash = _hasher.hash(password)
    return user


def generate_password() -> str:
    """A random password of 120 bits."""
    return secrets.token_urlsafe(15)


def _checked(password: str) -> str:
    if not SHORTEST <= len(password) <= LONGEST:
        raise InvalidParameter(
            f"Invalid password. Must have {SHORTEST} to {LONGEST} characters", pointer="/password"
        )
    return password


def _matches(stored: str | None, password: str) -> bool:
    if len(password) > LONGEST:
        return False
    try:
        return _hasher.verify(stored or _NOBODYS_HASH, password) and stored is not None
    except (VerifyMismatchError, VerificationError, InvalidHashError):
        return False
