"""A conversation as a work item keeps it: turns with a role, a text, a moment and a person.

Imixs-AI's `ImixsAIContextHandler`, as a value: each `with_…` gives a new conversation, and a system
message clears everything before it. Exported and imported as items named `chat.…`.
Not here: chats of people with the platform, or what is sent when (`script`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

from app.errors import PromptParameterInvalid
from app.prompts.definition import LONGEST_WORD, ROLES
from app.providers.contract import Message
from app.text import clean_text

ROLE = "chat.role"
MESSAGE = "chat.message"
DATE = "chat.date"
USER_ID = "chat.userid"
TOOL_CALL_ID = "chat.tool_call_id"

TOOL = "tool"
MOST_TURNS = 10_000

_NAMES = (ROLE, MESSAGE, DATE, USER_ID, TOOL_CALL_ID)


class Written(Protocol):
    """A message of a definition, as it is written or rendered."""

    @property
    def role(self) -> str: ...
    @property
    def content(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One message: `at` (with its offset) and `user_id` are of the person who wrote it, and
    `tool_call_id` tells which call a tool's message answers. What is None was not said.
    """

    role: str
    text: str
    at: datetime | None = None
    user_id: str | None = None
    tool_call_id: str | None = None

    def to_item(self) -> dict[str, str]:
        """As `chat.…` items; what was not said is left out."""
        values = (
            self.role,
            self.text,
            self.at.isoformat() if self.at else None,
            self.user_id,
            self.tool_call_id,
        )
        return {
            name: value for name, value in zip(_NAMES, values, strict=True) if value is not None
        }


@dataclass(frozen=True, slots=True)
class Conversation:
    """Turns in the order they were said. A system message is only ever the first."""

    turns: tuple[Turn, ...] = ()

    @property
    def has_system(self) -> bool:
        """Whether it was said who the model is: a task is not told twice."""
        return self.last("system") is not None

    def with_system(self, text: str) -> Conversation:
        """Begun anew with this system message: it clears everything before it."""
        return self._with(Turn(role="system", text=text))

    def with_question(
        self, text: str, user_id: str | int | None = None, at: datetime | None = None
    ) -> Conversation:
        """With what a person asked, and when."""
        person = None if user_id in (None, "") else str(user_id)
        return self._with(Turn(role="user", text=text, user_id=person, at=at))

    def with_answer(self, text: str, at: datetime | None = None) -> Conversation:
        """With what the model said."""
        return self._with(Turn(role="assistant", text=text, at=at))

    def with_definition(
        self,
        messages: Sequence[Written],
        *,
        user_id: str | int | None = None,
        at: datetime | None = None,
    ) -> Conversation:
        """With the messages of a definition; its questions are those of `user_id`."""
        conversation = self
        for message in messages:
            if message.role == "system":
                conversation = conversation.with_system(message.content)
            elif message.role == "assistant":
                conversation = conversation.with_answer(message.content, at)
            else:
                conversation = conversation.with_question(message.content, user_id, at)
        return conversation

    def last(self, role: str = "assistant") -> Turn | None:
        """The last turn of a role, or None."""
        return next((turn for turn in reversed(self.turns) if turn.role == role), None)

    def to_messages(self) -> tuple[Message, ...]:
        """What a model is sent. Messages of tools are left out: none are offered to it here."""
        return tuple(Message(turn.role, turn.text) for turn in self.turns if turn.role != TOOL)

    def to_items(self) -> list[dict[str, str]]:
        """One object of `chat.…` items for each turn, as JSON; `from_items` reads the same back."""
        return [turn.to_item() for turn in self.turns]

    @classmethod
    def from_items(cls, items: Any, *, pointer: str = "") -> Conversation:
        """Read what `to_items` or Imixs wrote: its names in any case, each value alone or as a list
        of one. `pointer` is where the items stand.

        Raises PromptParameterInvalid for anything else.
        """
        if not isinstance(items, (list, tuple)) or len(items) > MOST_TURNS:
            raise _invalid(f"A conversation must be a list of at most {MOST_TURNS:,}", pointer)
        turns = [_turn(item, f"{pointer}/{number}") for number, item in enumerate(items)]
        systems = [number for number, turn in enumerate(turns) if turn.role == "system"]
        return cls(tuple(turns[max(systems, default=0) :]))

    def _with(self, turn: Turn) -> Conversation:
        before = () if turn.role == "system" else self.turns
        return Conversation((*before, replace(turn, text=clean_text(turn.text))))


def _turn(item: Any, pointer: str) -> Turn:
    said = _said(item, pointer)
    role = said.get(ROLE)
    if role not in (*ROLES, TOOL):
        raise _invalid(
            f"Invalid {ROLE} {str(role)[:LONGEST_WORD]!r}. Must be one of:"
            f" {', '.join((*ROLES, TOOL))}",
            f"{pointer}/{ROLE}",
        )
    text = said.get(MESSAGE)
    if not isinstance(text, str):
        raise _invalid(f"{MESSAGE} must be a text", f"{pointer}/{MESSAGE}")
    tool_call_id = _word(said, TOOL_CALL_ID, pointer)
    if (role == TOOL) != (tool_call_id is not None):
        raise _invalid(
            f"{TOOL_CALL_ID} belongs to messages of the role {TOOL}, and to no others",
            f"{pointer}/{TOOL_CALL_ID}",
        )
    return Turn(
        role=role,
        text=text,
        at=_moment(said.get(DATE), f"{pointer}/{DATE}"),
        user_id=_word(said, USER_ID, pointer),
        tool_call_id=tool_call_id,
    )


def _said(item: Any, pointer: str) -> dict[str, Any]:
    """The values by our names: those that are None or empty lists were not said."""
    if not isinstance(item, Mapping):
        raise _invalid("A message of a conversation must be an object", pointer)
    said: dict[str, Any] = {}
    for name, value in item.items():
        known = str(name).lower()
        if known not in _NAMES or known in said:
            raise _invalid(
                f"Unknown item, or one given twice: {str(name)[:LONGEST_WORD]}."
                f" Known: {', '.join(_NAMES)}",
                f"{pointer}/{str(name)[:LONGEST_WORD]}",
            )
        said[known] = _only(value, f"{pointer}/{known}")
    return {name: value for name, value in said.items() if value is not None}


def _only(value: Any, pointer: str) -> Any:
    if not isinstance(value, (list, tuple)):
        return value
    if len(value) > 1:
        raise _invalid("An item of a message must have one value", pointer)
    return value[0] if value else None


def _word(said: Mapping[str, Any], name: str, pointer: str) -> str | None:
    value = said.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if value is not None and (not isinstance(value, str) or len(value) > LONGEST_WORD):
        raise _invalid(
            f"{name} must be a text of at most {LONGEST_WORD} characters", f"{pointer}/{name}"
        )
    return value or None


def _moment(value: Any, pointer: str) -> datetime | None:
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        moment = None
    if moment is None or moment.tzinfo is None:
        raise _invalid(
            f"{DATE} must be a moment with its offset, such as 2026-01-31T12:00:00+00:00", pointer
        )
    return moment


def _invalid(problem: str, pointer: str) -> PromptParameterInvalid:
    return PromptParameterInvalid(problem, pointer=pointer or None)
