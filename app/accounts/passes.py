"""Passes: for a few minutes, what one caller may do in one chat, for a page in somebody's frame.

A pass is signed, not stored, under LLM_JOBS_SECRET_KEY. It ends by itself, with the key or the
sign-in's user it was made by, and it opens nothing but its chat.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from itsdangerous import BadSignature, URLSafeTimedSerializer
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.accounts.caller import Caller, caller_of
from app.errors import ConfigurationError, NotFound, Unauthenticated
from app.settings import Settings
from models import ApiKey, Scope, User

PASS_SECONDS = 600
_LONGEST = 500
_SCOPES = frozenset({Scope.CHAT_READ, Scope.CHAT_WRITE})


@dataclass(frozen=True, slots=True)
class Pass:
    """A pass that was read: who comes with it, to which chat, until when."""

    caller: Caller
    chat_id: int
    expires_at: datetime


def issue_pass(settings: Settings, caller: Caller, chat_id: int) -> tuple[str, datetime]:
    """A pass to a chat the caller may see, and when it ends. Raises NotFound where no site may
    frame the panel.
    """
    if not settings.embedding_hosts:
        raise NotFound("No site may frame the chat panel here (LLM_JOBS_EMBED_HOSTS)")
    facts = [caller.user_id, caller.key_id, chat_id, sorted(_limited(caller))]
    return _signer(settings).dumps(facts), datetime.now(UTC) + timedelta(seconds=PASS_SECONDS)


def read_pass(session: Session, settings: Settings, text: str) -> Pass:
    """Whose pass this is. Raises Unauthenticated for one that is over, or none."""
    if len(text) > _LONGEST:
        raise Unauthenticated("This is no pass")
    try:
        facts, made_at = _signer(settings).loads(text, max_age=PASS_SECONDS, return_timestamp=True)
    except BadSignature:  # also of a time that has passed
        raise Unauthenticated("This pass is over, or is none") from None
    user_id, key_id, chat_id, scopes = facts
    user = session.get(User, user_id)
    if user is None or not user.active or not _good(session, key_id):
        raise Unauthenticated("This pass is over")
    caller = replace(caller_of(user), scopes=frozenset(scopes))
    return Pass(caller, chat_id, made_at + timedelta(seconds=PASS_SECONDS))


def _limited(caller: Caller) -> frozenset[str]:
    return frozenset(scope for scope in _SCOPES if caller.may(scope))


def _good(session: Session, key_id: int | None) -> bool:
    """Whether the key that made a pass still opens anything."""
    if key_id is None:
        return True
    row = session.execute(
        select(ApiKey.revoked_at, ApiKey.expires_at).where(ApiKey.id == key_id)
    ).one_or_none()
    return (
        row is not None
        and row.revoked_at is None
        and (row.expires_at is None or row.expires_at > datetime.now(UTC))
    )


def _signer(settings: Settings) -> URLSafeTimedSerializer:
    secret = settings.secret_key
    if secret is None:
        raise ConfigurationError("Passes need LLM_JOBS_SECRET_KEY")
    return URLSafeTimedSerializer(secret.get_secret_value(), salt="llm-jobs-pass")
