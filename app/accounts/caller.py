"""`Caller`: whoever asks for something, with the rights of their role and of their key.

Every query of the house goes through a caller's visibility: own rows, or all for administrators.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.errors import Forbidden
from models import Role, Scope, User

_MEMBER_MAY = frozenset(
    {
        Scope.JOBS_READ,
        Scope.JOBS_WRITE,
        Scope.FEEDBACK_WRITE,
        Scope.TEMPLATES_ADMIN,  # their own prompts; another's are no business of theirs
        Scope.CHAT_READ,
        Scope.CHAT_WRITE,
        Scope.KEYS_ADMIN,  # their own keys; another's are a matter of `require_administrator`
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who calls. `scopes` None means all that the role may do; `user_id` None is the operator.

    `use_unrecorded` says that the key's last use should be written (`accounts.note_use`).
    """

    user_id: int | None
    email: str
    name: str = ""
    role: str = Role.MEMBER
    key_id: int | None = None
    scopes: frozenset[str] | None = None
    use_unrecorded: bool = False

    @property
    def is_admin(self) -> bool:
        """Whether other people's rows may be seen and changed."""
        return self.role == Role.ADMIN

    def may(self, scope: str) -> bool:
        """Whether role and key both allow it. An unknown scope is allowed to nobody."""
        by_role = frozenset(Scope) if self.is_admin else _MEMBER_MAY
        return scope in by_role and (self.scopes is None or scope in self.scopes)

    def require(self, scope: str) -> None:
        """Raises Forbidden naming the scope that is missing."""
        if not self.may(scope):
            raise Forbidden(f"Missing scope: {scope}", scope=str(scope))

    def require_administrator(self) -> None:
        """Raises Forbidden unless an administrator calls, with a key that is not limited."""
        if not self.is_admin:
            raise Forbidden("Only an administrator may do this")
        self.require(Scope.KEYS_ADMIN)

    def sees(self, user_id: int | None) -> bool:
        """Whether a row of this owner is visible at all; if not, it does not exist (404)."""
        return self.is_admin or (user_id is not None and user_id == self.user_id)


OPERATOR = Caller(user_id=None, email="", name="operator", role=Role.ADMIN)
"""Whoever runs commands or Python on the machine itself: all rights, and no rows of its own."""


def caller_of(user: User) -> Caller:
    """The caller a user is when no key is involved: in Python and on the command line."""
    return Caller(user_id=user.id, email=user.email, name=user.name, role=user.role)
