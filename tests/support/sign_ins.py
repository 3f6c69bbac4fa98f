"""Sign-ins without a password: hashing one takes as long as a test."""

from __future__ import annotations

import hashlib
import secrets

from app.db import Database
from models import WebSession
from models.types import now_plus


def forged_sign_in(database: Database, user_id: int) -> str:
    """What the cookie of a user holds who has signed in just now."""
    token = secrets.token_urlsafe(32)
    with database.write() as session:
        session.add(
            WebSession(
                user_id=user_id,
                token_sha256=hashlib.sha256(token.encode()).hexdigest(),
                expires_at=now_plus(3600),
            )
        )
    return token
