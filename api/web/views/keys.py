"""API keys: one's own (`/account/keys`), and everybody's for administrators (`/admin/keys`).

A key's text stands in one answer only, the one to the form that made it: never in an address, a
cookie or a later page. That form can be sent once: it carries the id of the newest key its sender
saw, so that reloading the answer makes no second key.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from flask import Response
from sqlalchemy.orm import Session

from api.web import api_calls, render
from api.web.pages import Audience, Pages
from api.web.visit import Visit
from app import accounts
from app.accounts import Caller, NewKey
from app.errors import Conflict, InvalidParameter, NotFound, RequestError
from models import ApiKey, Scope

pages = Pages()

LIVES = (
    ("", "never"),
    ("7", "in 7 days"),
    ("30", "in 30 days"),
    ("90", "in 90 days"),
    ("365", "in a year"),
)
SHOWN = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Whose keys a page is about: all people's, or the visitor's own."""

    all_users: bool
    page: str
    create: str
    renew: str
    revoke: str


OWN = Desk(
    all_users=False,
    page="own_keys",
    create="create_own_key",
    renew="renew_own_key",
    revoke="revoke_own_key",
)
ALL = Desk(
    all_users=True,
    page="admin_keys",
    create="create_any_key",
    renew="renew_any_key",
    revoke="revoke_any_key",
)


@pages.get("/account/keys")
def own_keys(visit: Visit) -> Response:
    """One's own keys."""
    return _list(visit, OWN)


@pages.post("/account/keys")
def create_own_key(visit: Visit) -> Response:
    """A new key of one's own."""
    return _create(visit, OWN)


@pages.post("/account/keys/<row:key_id>/renew")
def renew_own_key(visit: Visit, key_id: int) -> Response:
    """The same key again, to take the old one's place."""
    return _renew(visit, OWN, key_id)


@pages.get("/account/keys/<row:key_id>/revoke")
def ask_revoke_own_key(visit: Visit, key_id: int) -> Response:
    """What revoking means, and the button."""
    return _ask(visit, OWN, key_id)


@pages.post("/account/keys/<row:key_id>/revoke")
def revoke_own_key(visit: Visit, key_id: int) -> Response:
    """End one of one's own keys."""
    return _revoke(visit, OWN, key_id)


@pages.get("/admin/keys", Audience.ADMINISTRATORS)
def admin_keys(visit: Visit) -> Response:
    """Everybody's keys."""
    return _list(visit, ALL)


@pages.post("/admin/keys", Audience.ADMINISTRATORS)
def create_any_key(visit: Visit) -> Response:
    """A new key of anybody's."""
    return _create(visit, ALL)


@pages.post("/admin/keys/<row:key_id>/renew", Audience.ADMINISTRATORS)
def renew_any_key(visit: Visit, key_id: int) -> Response:
    """Somebody's key again, to take the old one's place."""
    return _renew(visit, ALL, key_id)


@pages.get("/admin/keys/<row:key_id>/revoke", Audience.ADMINISTRATORS)
def ask_revoke_any_key(visit: Visit, key_id: int) -> Response:
    """What revoking means, and the button."""
    return _ask(visit, ALL, key_id)


@pages.post("/admin/keys/<row:key_id>/revoke", Audience.ADMINISTRATORS)
def revoke_any_key(visit: Visit, key_id: int) -> Response:
    """End anybody's key."""
    return _revoke(visit, ALL, key_id)


def _list(
    visit: Visit, desk: Desk, *, refusal: RequestError | None = None, status: int = 200
) -> Response:
    after = None if refusal else visit.query.get("after")
    with visit.runtime.database.read() as session:
        page = accounts.list_keys(
            session, visit.caller, all_users=desk.all_users, limit=SHOWN, after=after
        )
        newest = _newest(session, visit.caller, desk)
    return visit.page(
        "keys/list.html",
        status=status,
        desk=desk,
        keys=page.rows,
        state_of=_state,
        newest=newest,
        scopes=[scope.value for scope in Scope if visit.caller.may(scope)],
        lives=LIVES,
        given=visit.form,
        owner=visit.form.get("owner", visit.query.get("owner", "")),
        refusal=refusal,
        calls=api_calls.of_address(
            visit.base_url,
            "/api/v1/keys",
            query={"all_users": True} if desk.all_users else {},
            cli="llm-jobs keys list" if desk.all_users else "",
        ),
        next_address=page.next and render.address(desk.page, after=page.next),
        first_address=after and render.address(desk.page),
    )


def _create(visit: Visit, desk: Desk) -> Response:
    try:
        with visit.runtime.database.write() as session:
            _refuse_sent_before(visit, session, desk)
            made = accounts.issue_key(
                session,
                visit.caller,
                user_id=_owner(visit, session, desk),
                name=visit.form.get("name", "")[:255],
                scopes=visit.form.getlist("scope") or None,
                expires_at=_expires_at(visit.form.get("life", "")),
            )
    except RequestError as refusal:
        return _list(visit, desk, refusal=refusal, status=refusal.status)
    return _made(visit, desk, made)


def _renew(visit: Visit, desk: Desk, key_id: int) -> Response:
    try:
        with visit.runtime.database.write() as session:
            old = _key(session, visit.caller, desk, key_id)
            _refuse_sent_before(visit, session, desk)
            made = accounts.same_key_again(session, visit.caller, key_id)
    except Conflict as refusal:
        return _list(visit, desk, refusal=refusal, status=refusal.status)
    return _made(visit, desk, made, old=old)


def _made(visit: Visit, desk: Desk, made: NewKey, *, old: ApiKey | None = None) -> Response:
    """The one answer that shows the key."""
    return visit.page("keys/made.html", status=201, desk=desk, made=made, old=old)


def _ask(visit: Visit, desk: Desk, key_id: int) -> Response:
    with visit.runtime.database.read() as session:
        key = _key(session, visit.caller, desk, key_id)
    return visit.page("keys/revoke.html", desk=desk, key=key, state=_state(key))


def _revoke(visit: Visit, desk: Desk, key_id: int) -> Response:
    with visit.runtime.database.write() as session:
        _key(session, visit.caller, desk, key_id)
        key = accounts.revoke_key(session, visit.caller, key_id)
    said = f"The key {key.prefix}…{key.last4} is revoked."
    return visit.go(render.address(desk.page), said=said)


def _key(session: Session, caller: Caller, desk: Desk, key_id: int) -> ApiKey:
    """A key of this desk: on the page of one's own keys an administrator has only his."""
    key = accounts.get_key(session, caller, key_id)
    if not desk.all_users and key.user_id != caller.user_id:
        raise NotFound(f"Unknown key: {key_id}")
    return key


def _refuse_sent_before(visit: Visit, session: Session, desk: Desk) -> None:
    """Raises Conflict when a key was made since the form was shown: by this form, or another."""
    accounts.hold_user(session, visit.caller.user_id or 0)
    if visit.form.get("newest", "") != str(_newest(session, visit.caller, desk)):
        raise Conflict(
            "A key was made since this form was shown, perhaps by this very form: look at the list"
            " before you make another. A key's text is shown only once."
        )


def _newest(session: Session, caller: Caller, desk: Desk) -> int:
    page = accounts.list_keys(session, caller, all_users=desk.all_users, limit=1)
    return page.rows[0].id if page.rows else 0


def _owner(visit: Visit, session: Session, desk: Desk) -> int | None:
    """Who the key is for; None is oneself."""
    address = visit.form.get("owner", "").strip() if desk.all_users else ""
    if not address:
        return None
    user = accounts.find_user(session, address)
    if user is None:
        raise InvalidParameter("Nobody has this address", pointer="/owner")
    return user.id


def _expires_at(life: str) -> datetime | None:
    if life not in dict(LIVES):
        raise InvalidParameter("Choose one of the lengths offered", pointer="/life")
    return datetime.now(UTC) + timedelta(days=int(life)) if life else None


def _state(key: ApiKey) -> str:
    if key.revoked_at is not None:
        return "revoked"
    over = key.expires_at is not None and key.expires_at <= datetime.now(UTC)
    return "expired" if over else "active"
