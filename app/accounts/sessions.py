"""Sign-ins of browsers: a random token in a cookie, its SHA-256 in a row.

The row is the truth: signing out, a new password or a deactivated user end it everywhere at once.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field

from sqlalchemy import case, delete, select, update
from sqlalchemy.orm import Session

from app.accounts.caller import Caller, caller_of
from app.accounts.passwords import WRONG, better_hash, check_password
from app.db import Database
from app.errors import Unauthenticated, Unavailable
from app.lookup import row_by_id
from app.text import clean_text
from models import User, WebSession
from models.types import now, now_plus

LONGEST_SECONDS = 14 * 86_400.0
"""After this a person signs in again, however busy."""

IDLE_SECONDS = 3 * 86_400.0
SEEN_SECONDS = 300.0
"""The last use of a sign-in is written at most this often."""


@dataclass(frozen=True, slots=True)
class SignIn:
    """A sign-in just made. `token` is the only copy of what the cookie holds."""

    caller: Caller
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Whose sign-in a token is. `use_unrecorded`: its last use should be written (`note_seen`)."""

    caller: Caller
    session_id: int
    use_unrecorded: bool


def sign_in(
    database: Database, email: str, password: str, *, user_agent: str = "", instead_of: str = ""
) -> SignIn:
    """Check a password and make a sign-in. The browser's earlier one (`instead_of`, its token) is
    over with it. Raises as `check_password`.
    """
    checked = check_password(database, email, password)
    better = better_hash(checked, password)
    token = secrets.token_urlsafe(32)
    with database.write() as session:
        user = row_by_id(session, User, checked.id, for_update=True)
        if user is None or not user.active or user.password_hash != checked.password_hash:
            raise Unauthenticated(WRONG)  # changed while it was checked
        user.password_hash = better or user.password_hash
        session.execute(delete(WebSession).where(WebSession.expires_at <= now()))
        sign_out(session, instead_of)
        session.add(
            WebSession(
                user_id=user.id,
                token_sha256=_hash(token),
                user_agent=clean_text(user_agent)[:255],
                expires_at=now_plus(LONGEST_SECONDS),
            )
        )
    return SignIn(caller_of(user), token)


def signed_in(session: Session, token: str) -> SignedIn:
    """Who a cookie's token stands for. One query. Raises Unauthenticated when it is over."""
    if not 40 <= len(token) <= 60:
        raise Unauthenticated
    stale = case((WebSession.seen_at < now_plus(-SEEN_SECONDS), 1), else_=0)
    row = session.execute(
        select(WebSession.id, User, stale.label("stale"))
        .join(User, User.id == WebSession.user_id)
        .where(
            WebSession.token_sha256 == _hash(token),
            WebSession.expires_at > now(),
            WebSession.seen_at > now_plus(-IDLE_SECONDS),
            User.active.is_(True),
        )
    ).one_or_none()
    if row is None:
        raise Unauthenticated
    return SignedIn(caller_of(row.User), row.id, bool(row.stale))


def note_seen(database: Database, found: SignedIn) -> None:
    """Write the last use of a sign-in, now and then; a database that is away changes nothing."""
    if not found.use_unrecorded:
        return
    try:
        with database.write() as session:
            session.execute(
                update(WebSession).where(WebSession.id == found.session_id).values(seen_at=now())
            )
    except Unavailable:
        return


def sign_out(session: Session, token: str) -> None:
    """End the sign-in of a token; one that is over already is no error."""
    session.execute(delete(WebSession).where(WebSession.token_sha256 == _hash(token)))


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
