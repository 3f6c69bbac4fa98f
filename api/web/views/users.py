"""Users, for administrators: who they are, what they may, and a password to begin with.

A generated password stands in one answer only. Forms about a user carry when he was last changed,
so that none is sent twice and nobody overwrites what somebody else just did.
"""

from __future__ import annotations

from typing import Any

from flask import Response
from sqlalchemy.orm import Session

from api.web import api_calls, render
from api.web.pages import Audience, Pages
from api.web.visit import Visit
from app import accounts
from app.errors import Conflict, InvalidParameter, NotFound, RequestError
from app.moments import iso
from models import Role, User

pages = Pages()

ROLES = tuple((role.value, role.value) for role in Role)
SHOWN = 50


@pages.get("/admin/users", Audience.ADMINISTRATORS)
def users(visit: Visit) -> Response:
    """Everybody, newest first; `find` goes straight to the user of an address."""
    wanted = visit.query.get("find", "").strip()
    if wanted:
        with visit.runtime.database.read() as session:
            found = accounts.find_user(session, wanted)
        if found is not None:
            return visit.go(render.address("user", user_id=found.id))
    return _list(visit, unknown=wanted)


@pages.post("/admin/users", Audience.ADMINISTRATORS)
def create_user(visit: Visit) -> Response:
    """A new user, with a generated password if one was wanted: shown in this answer only."""
    form = visit.form
    password = accounts.generate_password() if form.get("password") == "generate" else None
    try:
        with visit.runtime.database.write() as session:
            user = accounts.create_user(
                session, email=form.get("email", ""), by=visit.caller, **_described(visit)
            )
            if password is not None:
                accounts.set_password(session, visit.caller, user.id, password)
    except RequestError as refusal:
        return _list(visit, refusal=refusal, status=refusal.status)
    if password is not None:
        return visit.page("admin/password.html", status=201, user=user, password=password)
    return visit.go(render.address("user", user_id=user.id), said=f"{user.email} is added.")


@pages.get("/admin/users/<row:user_id>", Audience.ADMINISTRATORS)
def user(visit: Visit, user_id: int) -> Response:
    """One user, and the forms that change him."""
    return _show(visit, user_id)


@pages.post("/admin/users/<row:user_id>", Audience.ADMINISTRATORS)
def change_user(visit: Visit, user_id: int) -> Response:
    """Change name, role, plan, allowance, or whether the user is active."""
    try:
        with visit.runtime.database.write() as session:
            _refuse_stale(visit, session, user_id)
            changes = {**_described(visit), "active": "active" in visit.form}
            changed = accounts.update_user(session, visit.caller, user_id, **changes)
    except NotFound:
        raise
    except RequestError as refusal:
        return _show(visit, user_id, refusal=refusal, status=refusal.status)
    return visit.go(render.address("user", user_id=user_id), said=f"{changed.email} is changed.")


@pages.post("/admin/users/<row:user_id>/password", Audience.ADMINISTRATORS)
def set_user_password(visit: Visit, user_id: int) -> Response:
    """Give a password, or generate one; every sign-in of the user ends."""
    given = visit.form.get("password", "")
    password = given or accounts.generate_password()
    try:
        with visit.runtime.database.write() as session:
            user = _refuse_stale(visit, session, user_id)
            accounts.set_password(session, visit.caller, user_id, password)
    except NotFound:
        raise
    except RequestError as refusal:
        return _show(visit, user_id, refusal=refusal, status=refusal.status)
    if not given:
        return visit.page("admin/password.html", status=201, user=user, password=password)
    said = f"The password of {user.email} is set; every sign-in has ended."
    return visit.go(render.address("user", user_id=user_id), said=said)


def _list(
    visit: Visit, *, unknown: str = "", refusal: RequestError | None = None, status: int = 200
) -> Response:
    after = None if refusal else visit.query.get("after")
    with visit.runtime.database.read() as session:
        page = accounts.list_users(session, visit.caller, limit=SHOWN, after=after)
    return visit.page(
        "admin/users.html",
        status=status,
        users=page.rows,
        roles=ROLES,
        given=visit.form,
        unknown=unknown[:254],
        refusal=refusal,
        calls=api_calls.of_address(visit.base_url, "/api/v1/users"),
        next_address=page.next and render.address("users", after=page.next),
        first_address=after and render.address("users"),
    )


def _show(
    visit: Visit, user_id: int, *, refusal: RequestError | None = None, status: int = 200
) -> Response:
    with visit.runtime.database.read() as session:
        found = accounts.get_user(session, visit.caller, user_id)
    return visit.page(
        "admin/user.html",
        status=status,
        user=found,
        changed_at=iso(found.updated_at),
        roles=ROLES,
        calls=api_calls.of_address(visit.base_url, "/api/v1/users"),
        given=visit.form if refusal else None,
        refusal=refusal,
    )


def _refuse_stale(visit: Visit, session: Session, user_id: int) -> User:
    """The user as the form knew him. Raises Conflict when he was changed since."""
    accounts.hold_user(session, user_id)
    found = accounts.get_user(session, visit.caller, user_id)
    if visit.form.get("changed_at", "") != iso(found.updated_at):
        raise Conflict(
            "This user was changed since the form was shown, perhaps by this very form: look at"
            " what stands here now, and send it again if it is still wanted."
        )
    return found


def _described(visit: Visit) -> dict[str, Any]:
    """What the form says of a user, as `accounts` takes it."""
    form = visit.form
    return {
        "name": form.get("name", ""),
        "role": form.get("role", ""),
        "plan": form.get("plan", "").strip() or None,
        "token_allowance": _allowance(form.get("token_allowance", "")),
    }


def _allowance(text: str) -> int | None:
    """A number of tokens; nothing is no limit. Raises InvalidParameter."""
    plain = text.strip().replace(",", "").replace(" ", "")
    if not plain:
        return None
    if not (plain.isascii() and plain.isdigit() and len(plain) < 19):
        raise InvalidParameter(
            "Write a number of tokens, or nothing for no limit", pointer="/token_allowance"
        )
    return int(plain)
