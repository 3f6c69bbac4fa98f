"""Passwords of people who sign in to the pages: hashed with Argon2id, checked in constant effort.

A wrong address costs as much time as a wrong password, and both are refused in the same words.
Hashing costs tens of megabytes and of milliseconds by design, and anybody may ask for it: so checks
wait for their turn, and none is made within a transaction that others wait for. Services use keys
and need no password.
"""

from __future__ import annotations

import secrets
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app import audit
from app.accounts.caller import Caller
from app.audit import Action
from app.db import Database
from app.errors import Forbidden, InvalidParameter, NotFound, TooManyRequests, Unauthenticated
from app.lookup import row_by_id
from app.text import clean_text
from models import User, WebSession
from models.types import now

SHORTEST = 12
LONGEST = 200
"""Longer ones only make hashing a way to keep us busy."""

CHECKS_AT_ONCE = 2
"""In one process; more would only slow each other down and add up their memory."""

LONGEST_TURN_SECONDS = 5.0

WRONG = "The address or the password is not right"

_turns = BoundedSemaphore(CHECKS_AT_ONCE)
_hasher = PasswordHasher()


def set_password(session: Session, caller: Caller, user_id: int, password: str) -> None:
    """Give a user a (new) password: one's own, or anybody's by an administrator.

    Every sign-in of that user ends. Raises InvalidParameter for one that is too short or too long,
    NotFound for another's user.
    """
    user = row_by_id(session, User, user_id, for_update=True) if caller.sees(user_id) else None
    if user is None:
        raise NotFound(f"Unknown user: {user_id}")
    _store(session, caller, user, _hasher.hash(_checked(password)))


def change_password(database: Database, caller: Caller, *, current: str, new: str) -> None:
    """One's own password, by somebody who knows the present one. Raises Forbidden otherwise, and as
    `set_password` and `check_password`.
    """
    with database.read() as session:
        known = row_by_id(session, User, caller.user_id)
    with _turn():
        if known is None or not _matches(known.password_hash, current):
            raise Forbidden("The present password is not right")
        hashed = _hasher.hash(_checked(new))
    with database.write() as session:
        user = row_by_id(session, User, known.id, for_update=True)
        if user is None or user.password_hash != known.password_hash:
            raise Forbidden("The password was changed meanwhile")
        _store(session, caller, user, hashed)


def check_password(database: Database, email: str, password: str) -> User:
    """The active user of an address and a password, as he was then.

    Raises Unauthenticated, not saying which was wrong, and TooManyRequests when so many passwords
    are being checked that it would take long.
    """
    with database.read() as session:
        user = session.scalar(select(User).where(User.email == clean_text(email.strip().lower())))
    with _turn():
        right = _matches(user.password_hash if user else None, password)
    if user is None or not right or not user.active:
        raise Unauthenticated(WRONG)
    return user


def better_hash(user: User, password: str) -> str | None:
    """His right password hashed as one is hashed today; None where it is already."""
    if user.password_hash is None or not _hasher.check_needs_rehash(user.password_hash):
        return None
    with _turn():
        return _hasher.hash(password)


def generate_password() -> str:
    """A random password of 120 bits."""
    return secrets.token_urlsafe(15)


def _store(session: Session, caller: Caller, user: User, hashed: str) -> None:
    user.password_hash = hashed
    user.updated_at = now()
    session.execute(delete(WebSession).where(WebSession.user_id == user.id))
    audit.record(session, caller, Action.PASSWORD_SET, subject=f"user:{user.id}")


@contextmanager
def _turn() -> Iterator[None]:
    """One of the places for checking. Raises TooManyRequests when none becomes free."""
    if not _turns.acquire(timeout=LONGEST_TURN_SECONDS):
        raise TooManyRequests("Too many attempts to sign in", retry_after_seconds=5)
    try:
        yield
    finally:
        _turns.release()


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
        return _hasher.verify(stored or _nobodys_hash(), password) and stored is not None
    except (VerifyMismatchError, VerificationError, InvalidHashError):
        return False


def _nobodys_hash() -> str:
    """What no password is hashed to, and takes as long to check as any other."""
    salt, digest = (
        b64encode(secrets.token_bytes(size)).decode().rstrip("=")
        for size in (_hasher.salt_len, _hasher.hash_len)
    )
    effort = f"m={_hasher.memory_cost},t={_hasher.time_cost},p={_hasher.parallelism}"
    return f"$argon2id$v=19${effort}${salt}${digest}"
