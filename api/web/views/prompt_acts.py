"""What changes a prompt with one press: publish, label, go back, share, archive.

Each act goes back to the prompt's page; one that is refused shows it again with the reason.
"""

from __future__ import annotations

from collections.abc import Callable

from flask import Response
from sqlalchemy.orm import Session

from api.web import render
from api.web.pages import Pages
from api.web.prompt_addresses import address_of, whose
from api.web.views.prompts import show
from api.web.visit import Visit
from app.accounts import Caller
from app.errors import Conflict, InvalidParameter, NotFound
from app.prompts import library

pages = Pages()

Act = Callable[[Session, Caller, str, int | None], str]
"""Does it, and says what was done."""


@pages.post("/prompts/<name>/publish")
def publish_prompt(visit: Visit, name: str) -> Response:
    """Make the draft the newest version."""

    def publish(session: Session, caller: Caller, name: str, user_id: int | None) -> str:
        stored = library.publish(session, caller, name, user_id=user_id)
        return f"Version {stored.version.version} of {name} is published."

    return _done(visit, name, publish)


@pages.post("/prompts/<name>/discard")
def discard_prompt_draft(visit: Visit, name: str) -> Response:
    """Take the draft away; with it a prompt that has nothing else."""

    def discard(session: Session, caller: Caller, name: str, user_id: int | None) -> str:
        prompt = library.find(session, caller, name, user_id=user_id)
        if prompt.latest is None:
            library.archive(session, caller, name, user_id=user_id)
        else:
            library.discard_draft(session, caller, name, user_id=user_id)
        return f"The draft of {name} is gone."

    return _done(visit, name, discard)


@pages.post("/prompts/<name>/labels")
def label_prompt(visit: Visit, name: str) -> Response:
    """Let a label mean a version."""
    label, version = visit.form.get("label", "").strip(), visit.form.get("version", "")

    def set_label(session: Session, caller: Caller, name: str, user_id: int | None) -> str:
        number = _number(version)
        library.set_label(session, caller, name, label=label, version=number, user_id=user_id)
        return f"{label} of {name} means version {number}."

    return _done(visit, name, set_label)


@pages.post("/prompts/<name>/labels/remove")
def unlabel_prompt(visit: Visit, name: str) -> Response:
    """Take a label away."""
    label = visit.form.get("label", "")

    def remove(session: Session, caller: Caller, name: str, user_id: int | None) -> str:
        library.remove_label(session, caller, name, label=label, user_id=user_id)
        return f"{name} has no label {label} any more."

    return _done(visit, name, remove)


@pages.post("/prompts/<name>/roll-back")
def roll_back_prompt(visit: Visit, name: str) -> Response:
    """Move a label back, or publish an earlier version once more where jobs follow no label."""
    sent = visit.form
    version = sent.get("version", "")

    def roll_back(session: Session, caller: Caller, name: str, user_id: int | None) -> str:
        back = library.roll_back(
            session,
            caller,
            name,
            label=sent.get("label", "") or "production",
            version=_number(version) if version else None,
            user_id=user_id,
        )
        return f"{back.sentence}."

    return _done(visit, name, roll_back)


@pages.post("/prompts/<name>/share")
def share_prompt(visit: Visit, name: str) -> Response:
    """Let everybody use it, or keep it to its author again."""
    shared = visit.form.get("shared") == "yes"

    def share(session: Session, caller: Caller, name: str, user_id: int | None) -> str:
        library.share(session, caller, name, shared=shared, user_id=user_id)
        return f"Everybody may use {name}." if shared else f"{name} is private again."

    return _done(visit, name, share)


@pages.get("/prompts/<name>/archive")
def ask_archive_prompt(visit: Visit, name: str) -> Response:
    """Whether it shall be archived."""
    return show(visit, name, archiving=True)


@pages.post("/prompts/<name>/archive")
def archive_prompt(visit: Visit, name: str) -> Response:
    """Take it out of the library."""
    user_id = whose(visit)
    with visit.runtime.database.write() as session:
        library.archive(session, visit.caller, name, user_id=user_id)
    return visit.go(render.address("prompts"), said=f"{name} is archived. Its name is free.")


def _done(visit: Visit, name: str, act: Act) -> Response:
    user_id = whose(visit)
    try:
        with visit.runtime.database.write() as session:
            said = act(session, visit.caller, name, user_id)
            address = _address(session, visit.caller, name, user_id)
    except (Conflict, InvalidParameter) as refusal:
        return show(visit, name, refusal=refusal)
    except NotFound as gone:  # a label or a version; `show` finds no prompt that is not for him
        return show(visit, name, refusal=Conflict(gone.message))
    return visit.go(address, said=said)


def _address(session: Session, caller: Caller, name: str, user_id: int | None) -> str:
    """The prompt's page, if it is still there for him."""
    try:
        library.get(session, caller, name, user_id=user_id)
    except NotFound:
        return render.address("prompts")
    return address_of(name, user_id=user_id)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < len(text) <= 9):
        raise InvalidParameter("Choose a version", pointer="/version")
    return int(text)
