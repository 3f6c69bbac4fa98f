"""Can somebody be answered in a chat now? What a panel asks before it opens its input.

A reason is given for people: an input that is dead without one is what they complain about most.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.accounts import Caller
from app.chats.access import check_may_chat
from app.errors import Forbidden
from app.operations.health import Notice, NoticeCode, health
from app.runtime import Runtime
from models import Queue, User

_STOPS_ALL = frozenset({NoticeCode.BROKER_AWAY, NoticeCode.NO_WORKER})


@dataclass(frozen=True, slots=True, kw_only=True)
class Availability:
    """`reason` is `role`, `platform` or `quota`, with a `message` for people; None: all is well.
    The allowance is null without a limit. `model` answers in chats that name none.
    """

    reason: str | None
    message: str | None
    model: str | None
    token_allowance: int | None
    tokens_used: int
    tokens_left: int | None


def availability(runtime: Runtime, caller: Caller) -> Availability:
    """What stands in a caller's way, the worst first, and what is left of their allowance."""
    with runtime.database.read() as session:
        user = session.get_one(User, caller.user_id)
    reason, message = _obstacle(runtime, caller, user.tokens_left)
    return Availability(
        reason=reason,
        message=message,
        model=runtime.settings.chat_model,
        token_allowance=user.token_allowance,
        tokens_used=user.tokens_used,
        tokens_left=user.tokens_left,
    )


def _obstacle(
    runtime: Runtime, caller: Caller, tokens_left: int | None
) -> tuple[str | None, str | None]:
    try:
        check_may_chat(runtime.settings, caller)
    except Forbidden as error:
        return "role", error.message
    for notice in health(runtime):
        if _concerns_chats(notice):
            return "platform", f"{notice.title}. {notice.detail}"
    if tokens_left is not None and tokens_left <= 0:
        return "quota", "The token allowance is used up."
    return None, None


def _concerns_chats(notice: Notice) -> bool:
    """Their turns are in the most urgent queue."""
    of_queue = notice.code is NoticeCode.QUEUE_PAUSED and notice.subject == Queue.HIGH
    return notice.code in _STOPS_ALL or of_queue
