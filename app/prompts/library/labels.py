"""Labels: names such as `production` for a version, moved to another one, and moved back.

`latest` and `draft` are no labels anybody can give: they always mean the newest published version
and the draft. A label names a published version only, so whoever uses it never meets a draft.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.orm import Session

from app.accounts.caller import Caller
from app.audit import Action
from app.errors import Conflict, InvalidParameter, NotFound
from app.prompts.library.checking import same
from app.prompts.library.finding import (
    PRODUCTION,
    RESERVED,
    changeable,
    is_label,
    label_of,
    number_before,
    numbered,
)
from app.prompts.library.storing import add_version, told
from models import Prompt, PromptLabel
from models.types import now


@dataclass(frozen=True, slots=True)
class RolledBack:
    """What a roll back did. With a `label`, it means `version` again in place of `before`; without,
    `version` is published with the definition of `copy_of`, after `before`."""

    prompt: Prompt
    version: int
    before: int | None
    label: str | None = None
    copy_of: int | None = None

    @property
    def sentence(self) -> str:
        """The same for people."""
        name = self.prompt.name
        if self.label is not None:
            return f"{self.label} of {name} means version {self.version}"
        if self.before == self.version:
            return f"Version {self.version} of {name} says what version {self.copy_of} says"
        return f"Version {self.version} of {name} was published as a copy of {self.copy_of}"


def set_label(
    session: Session,
    caller: Caller,
    name: str,
    *,
    label: str,
    version: int,
    user_id: int | None = None,
) -> PromptLabel:
    """Let a label mean a version. Doing it twice changes nothing, `previous` least of all.

    Raises NotFound, Forbidden, InvalidParameter for what is no label, Conflict for a draft.
    """
    prompt = changeable(session, caller, name, user_id=user_id)
    _check_label(label)
    _check_version(session, prompt, version)
    return _moved(session, caller, prompt, label=label, version=version)[0]


def remove_label(
    session: Session, caller: Caller, name: str, *, label: str, user_id: int | None = None
) -> None:
    """Take a label away. Raises NotFound for an unknown one, Forbidden, InvalidParameter."""
    prompt = changeable(session, caller, name, user_id=user_id)
    row = _known_label(session, prompt, label)
    told(
        session, caller, Action.PROMPT_LABELLED, prompt, label=label, to=None, previous=row.version
    )
    session.delete(row)
    session.flush()


def roll_back(
    session: Session,
    caller: Caller,
    name: str,
    *,
    label: str = PRODUCTION,
    version: int | None = None,
    user_id: int | None = None,
) -> RolledBack:
    """Move a label back to what it meant before, or to the version named.

    A prompt without the label `production` gets a copy of the version before its newest (or of the
    one named) as its newest version. Raises NotFound, Forbidden, Conflict when there is nothing to
    go back to.
    """
    prompt = changeable(session, caller, name, user_id=user_id)
    _check_label(label)
    if version is not None:
        _check_version(session, prompt, version)
    if label == PRODUCTION and label_of(session, prompt, label) is None:
        return _copied_back(session, caller, prompt, version)
    row = _known_label(session, prompt, label)
    target = row.previous if version is None else version
    if target is None:
        raise Conflict(
            f"The label {label} of prompt {name} has meant no other version before {row.version}:"
            " name the version to go back to"
        )
    row, before = _moved(session, caller, prompt, label=label, version=target, rolled_back=True)
    return RolledBack(prompt, row.version, before, label=label)


def _copied_back(
    session: Session, caller: Caller, prompt: Prompt, version: int | None
) -> RolledBack:
    """Publish an earlier definition once more: versions are never taken away."""
    newest = numbered(session, prompt, prompt.latest)
    if version is None:
        version = number_before(session, prompt, prompt.latest or 0)
    old = numbered(session, prompt, version)
    if newest is None or old is None:
        raise Conflict(f"Prompt {prompt.name} has no version before its newest to go back to")
    if same(old.definition, newest.definition):
        return RolledBack(prompt, newest.version, newest.version, copy_of=old.version)
    made = add_version(session, caller, prompt, definition=old.definition)
    facts = {"version": made.version, "copy_of": old.version, "previous": newest.version}
    told(session, caller, Action.PROMPT_ROLLED_BACK, prompt, **facts)
    return RolledBack(prompt, made.version, newest.version, copy_of=old.version)


def _moved(
    session: Session,
    caller: Caller,
    prompt: Prompt,
    *,
    label: str,
    version: int,
    rolled_back: bool = False,
) -> tuple[PromptLabel, int | None]:
    """The label after it was moved, and what it meant until then."""
    row = label_of(session, prompt, label)
    before = None if row is None else row.version
    if row is None:
        row = PromptLabel(prompt_id=prompt.id, label=label, version=version)
        session.add(row)
    elif before == version:
        return row, before
    row.version, row.previous = version, before
    row.updated_at = now()
    session.flush()
    session.refresh(row)
    action = Action.PROMPT_ROLLED_BACK if rolled_back else Action.PROMPT_LABELLED
    told(session, caller, action, prompt, label=label, to=version, previous=before)
    return row, before


def _known_label(session: Session, prompt: Prompt, label: str) -> PromptLabel:
    row = label_of(session, prompt, label)
    if row is None:
        raise NotFound(f"Prompt {prompt.name} has no label {label[:80]}")
    return row


def _check_label(label: str) -> None:
    if label in RESERVED:
        raise InvalidParameter(
            f"Invalid label: {label} always means a version of its own", pointer="/label"
        )
    if not is_label(label):
        raise InvalidParameter(
            f"Invalid label {label[:80]!r}: use up to 64 small letters, digits, dots, dashes and"
            " underscores, beginning with a letter",
            pointer="/label",
        )


def _check_version(session: Session, prompt: Prompt, version: int) -> None:
    found = numbered(session, prompt, version)
    if found is None:
        raise NotFound(f"Prompt {prompt.name} has no version {version}", pointer="/version")
    if found.published_at is None:
        raise Conflict(
            f"Version {version} of prompt {prompt.name} is a draft: publish it first",
            pointer="/version",
        )
