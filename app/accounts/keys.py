"""API keys: `ljk_<live|test>_<10-character id>_<43-character secret><6-character checksum>`.

The id is looked up, the secret is compared by its SHA-256 in constant time, and the checksum lets a
mistyped key be refused without a query. A secret of 256 random bits needs no slow hash. The key
itself is shown once and stored nowhere.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import string
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import and_, or_, select, update
from sqlalchemy.orm import Session

from app import audit
from app.accounts.caller import OPERATOR, Caller
from app.audit import Action
from app.db import Database
from app.errors import Conflict, Forbidden, InvalidParameter, NotFound, Unauthenticated, Unavailable
from app.lookup import row_by_id
from app.paging import DEFAULT_LIMIT, Page, newest_first
from app.text import clean_text
from models import ApiKey, Scope, User
from models.types import now, now_plus

NOTE_USE_SECONDS = 60
"""The last use of a key is written at most this often."""

_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_ID_LENGTH = 10
_CHECKSUM_LENGTH = 6
_KEY = re.compile(
    r"(?P<signed>(?P<prefix>ljk_(?:live|test)_(?P<id>[0-9A-Za-z]{10}))_(?P<secret>[\w-]{43}))"
    r"(?P<checksum>[0-9A-Za-z]{6})",
    re.ASCII,
)
_NO_SECRET = "0" * 64  # compared with when the id is unknown, so that both take the same time


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made. `text` is the only copy of it."""

    text: str = field(repr=False)
    key: ApiKey


def authenticate(session: Session, key_text: str) -> Caller:
    """Whose key this is. One query; none at all for a text that cannot be a key.

    Raises Unauthenticated when the key is malformed, unknown, wrong, revoked or expired, or its
    user is inactive. Why is said only to a caller who has the right secret.
    """
    match = _KEY.fullmatch(key_text) if len(key_text) < 200 else None
    if not match or _checksum(match["signed"]) != match["checksum"]:
        raise Unauthenticated
    row = session.execute(_look_up(match["id"], match["prefix"])).one_or_none()
    stored = row.secret_sha256 if row else _NO_SECRET
    if not hmac.compare_digest(_hash(match["secret"]), stored) or row is None:
        raise Unauthenticated
    _refuse_unusable(row)
    return Caller(
        user_id=row.user_id,
        email=row.email,
        name=row.name,
        role=row.role,
        key_id=row.id,
        scopes=None if row.scopes is None else frozenset(row.scopes),
        use_unrecorded=bool(row.use_unrecorded),
    )


def note_use(database: Database, caller: Caller) -> None:
    """Write when the caller's key was used, if that was not written within the last minute.

    In a transaction of its own, so that reading needs no write lock; a failure is of no matter.
    """
    if caller.key_id is None or not caller.use_unrecorded:
        return
    try:
        with database.write() as session:
            session.execute(
                update(ApiKey)
                .where(ApiKey.id == caller.key_id, _use_unrecorded())
                .values(last_used_at=now())
            )
    except Unavailable:
        return  # the next call in a minute will write it


def create_key(
    session: Session,
    user_id: int,
    *,
    name: str = "",
    scopes: Iterable[str] | None = None,
    expires_at: datetime | None = None,
    live: bool = True,
    by: Caller = OPERATOR,
) -> NewKey:
    """Make a key for a user, asking nobody: for the command line and for `issue_key`.

    `scopes` None gives all that the user may do; `by` is who the trail names. Raises
    InvalidParameter for an unknown scope and NotFound for an unknown user.
    """
    user = row_by_id(session, User, user_id)
    if user is None:
        raise NotFound(f"Unknown user: {user_id}")
    text, prefix, public_id, secret = _new_text(live=live)
    key = ApiKey(
        user=user,
        public_id=public_id,
        secret_sha256=_hash(secret),
        prefix=prefix,
        last4=text[-4:],
        name=clean_text(name.strip())[:255],
        scopes=_known(scopes),
        expires_at=_aware(expires_at),
    )
    session.add(key)
    session.flush()
    session.refresh(key)
    audit.record(session, by, Action.KEY_CREATED, subject=f"key:{key.id}", details=_told(key))
    return NewKey(text, key)


def issue_key(
    session: Session,
    caller: Caller,
    *,
    user_id: int | None = None,
    name: str = "",
    scopes: Iterable[str] | None = None,
    expires_at: datetime | None = None,
    live: bool = True,
) -> NewKey:
    """Make a key for the caller, or, for administrators, for another user.

    A key limited to scopes never gives more than it has: asked for all, it gives its own.
    Raises Forbidden for another's key or for a scope the caller's key lacks.
    """
    caller.require(Scope.KEYS_ADMIN)
    owner = caller.user_id if user_id is None else user_id
    if owner is None:
        raise InvalidParameter("Missing required parameter: user_id", pointer="/user_id")
    if owner != caller.user_id:
        caller.require_administrator()
    wanted = _known(scopes)
    if caller.scopes is not None:
        wanted = sorted(caller.scopes) if wanted is None else wanted
        if beyond := sorted(set(wanted) - caller.scopes):
            raise Forbidden(f"Your key lacks these scopes itself: {', '.join(beyond)}")
    return create_key(
        session, owner, name=name, scopes=wanted, expires_at=expires_at, live=live, by=caller
    )


def list_keys(
    session: Session,
    caller: Caller,
    *,
    all_users: bool = False,
    limit: int = DEFAULT_LIMIT,
    after: str | None = None,
) -> Page[ApiKey]:
    """The caller's keys, revoked ones included; with `all_users` everybody's (administrators)."""
    caller.require(Scope.KEYS_ADMIN)
    query = select(ApiKey)
    if all_users:
        caller.require_administrator()
    else:
        query = query.where(ApiKey.user_id == caller.user_id)
    return newest_first(session, query, ApiKey.id, limit=limit, after=after)


def get_key(session: Session, caller: Caller, key_id: int) -> ApiKey:
    """One key: of one's own, or any for administrators. Raises NotFound otherwise."""
    caller.require(Scope.KEYS_ADMIN)
    key = row_by_id(session, ApiKey, key_id)
    if key is None or not caller.sees(key.user_id):
        raise NotFound(f"Unknown key: {key_id}")
    return key


def same_key_again(session: Session, caller: Caller, key_id: int) -> NewKey:
    """Make a key like another, to take its place; the other stays until it is revoked.

    Raises NotFound for a stranger's, Conflict when it is revoked already, and as `issue_key` does.
    """
    old = get_key(session, caller, key_id)
    if old.revoked_at is not None:
        raise Conflict("This key is revoked: create a new one instead")
    return issue_key(
        session,
        caller,
        user_id=old.user_id,
        name=old.name,
        scopes=old.scopes,
        expires_at=old.expires_at,
        live=old.prefix.startswith("ljk_live_"),
    )


def revoke_key(session: Session, caller: Caller, key_id: int) -> ApiKey:
    """End a key for good; doing it twice changes nothing. Raises NotFound for a stranger's."""
    key = get_key(session, caller, key_id)
    revoked = session.scalars(
        update(ApiKey)
        .where(ApiKey.id == key_id, ApiKey.revoked_at.is_(None))
        .values(revoked_at=now())
        .returning(ApiKey.id)
    ).all()
    session.refresh(key)
    if revoked:
        audit.record(
            session, caller, Action.KEY_REVOKED, subject=f"key:{key_id}", details=_told(key)
        )
    return key


def _told(key: ApiKey) -> dict[str, Any]:
    """What the trail says of a key: never its secret."""
    return {"user": key.user.email, "prefix": key.prefix, "name": key.name, "scopes": key.scopes}


def _look_up(public_id: str, prefix: str) -> Any:
    return (
        select(
            ApiKey.id,
            ApiKey.user_id,
            ApiKey.secret_sha256,
            ApiKey.scopes,
            ApiKey.revoked_at,
            and_(ApiKey.expires_at.is_not(None), ApiKey.expires_at <= now()).label("expired"),
            _use_unrecorded().label("use_unrecorded"),
            User.email,
            User.name,
            User.role,
            User.active,
        )
        .join(User, User.id == ApiKey.user_id)
        .where(ApiKey.public_id == public_id, ApiKey.prefix == prefix)
    )


def _use_unrecorded() -> Any:
    return or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at < now_plus(-NOTE_USE_SECONDS))


def _refuse_unusable(row: Any) -> None:
    if row.revoked_at is not None:
        raise Unauthenticated("This API key was revoked")
    if row.expired:
        raise Unauthenticated("This API key has expired")
    if not row.active:
        raise Unauthenticated("This API key's user is inactive")


def _new_text(*, live: bool) -> tuple[str, str, str, str]:
    public_id = "".join(secrets.choice(_ALPHABET) for _ in range(_ID_LENGTH))
    prefix = f"ljk_{'live' if live else 'test'}_{public_id}"
    secret = secrets.token_urlsafe(32)
    signed = f"{prefix}_{secret}"
    return signed + _checksum(signed), prefix, public_id, secret


def _checksum(signed: str) -> str:
    """CRC-32 in base 62, six digits: it finds typing errors, it proves nothing."""
    number = zlib.crc32(signed.encode("ascii"))
    digits = ""
    for _ in range(_CHECKSUM_LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("ascii")).hexdigest()


def _known(scopes: Iterable[str] | None) -> list[str] | None:
    if scopes is None:
        return None
    named = sorted(set(scopes))
    unknown = [scope for scope in named if scope not in set(Scope)]
    if unknown:
        raise InvalidParameter(
            f"Unknown scope: {', '.join(unknown)}. Must be among: {', '.join(Scope)}",
            pointer="/scopes",
        )
    return [str(scope) for scope in named]


def _aware(moment: datetime | None) -> datetime | None:
    if moment is not None and moment.tzinfo is None:
        raise InvalidParameter(
            f"Invalid expires_at: {moment.isoformat()}. Give it a zone", pointer="/expires_at"
        )
    return moment
