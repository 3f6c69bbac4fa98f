"""Registering endpoints: by administrators, each act recorded, and no secret stored.

A row names environment variables that hold key, user or password; only names made for that are
taken, so that nobody has `DATABASE_URL` sent somewhere. The settings' own endpoints are listed here
as well, and changed where they are set.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import event, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app import audit
from app.accounts import Caller
from app.audit import Action
from app.effective import masked_options, without_credentials
from app.endpoint_settings import Configured, Origin, environment
from app.endpoints.checks import CHANGEABLE, VARIABLES, checked, checked_name
from app.endpoints.source import value_of
from app.errors import Conflict, InvalidParameter, NotFound
from app.providers.registry import forget_endpoints
from app.settings import Settings
from app.text import clean_text
from models import RegisteredEndpoint
from models.types import now

_SERVICE_SECRETS = {
    "LLM_SERVICE_API_KEY": "llm_service_api_key",
    "LLM_SERVICE_ENDPOINT_APIKEY": "llm_service_endpoint_apikey",
    "LLM_SERVICE_ENDPOINT_USER": "llm_service_user",
    "LLM_SERVICE_ENDPOINT_PASSWORD": "llm_service_password",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownEndpoint:
    """A registered endpoint as administrators see it.

    `variables` says of each variable it names whether this process has it. `authentication` is
    `bearer`, `basic` or `none`. One of the settings shows no text among its options.
    """

    name: str
    base_url: str
    source: Origin
    model: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    timeout_seconds: float | None = None
    authentication: str = "none"
    api_key_variable: str | None = None
    user_variable: str | None = None
    password_variable: str | None = None
    variables: Mapping[str, bool] = field(default_factory=dict)
    created_at: datetime | None = None
    updated_at: datetime | None = None

    @property
    def usable(self) -> bool:
        """Whether it can be called: every variable it names is set."""
        return all(self.variables.values())


def list_endpoints(session: Session, caller: Caller, *, settings: Settings) -> list[ShownEndpoint]:
    """Every endpoint, the settings' first; a stored one whose name they have taken is not in use
    and left out. Raises Forbidden unless an administrator asks.
    """
    caller.require_administrator()
    own = settings.registered_endpoints
    rows = session.scalars(select(RegisteredEndpoint).order_by(RegisteredEndpoint.name)).all()
    variables = environment()
    return [
        *(_of_settings(name, one, settings) for name, one in own.items()),
        *(_of_row(row, variables) for row in rows if row.name not in own),
    ]


def get_endpoint(
    session: Session, caller: Caller, *, settings: Settings, name: str
) -> ShownEndpoint:
    """One of them. Raises Forbidden, NotFound."""
    caller.require_administrator()
    if found := settings.registered_endpoints.get(name):
        return _of_settings(name, found, settings)
    return _of_row(_row(session, name), environment())


def create_endpoint(
    session: Session, caller: Caller, *, settings: Settings, name: str, base_url: str, **facts: Any
) -> ShownEndpoint:
    """Register an endpoint. `facts` are `model`, `options`, `timeout_seconds` and the names of
    environment variables: `api_key_variable`, or `user_variable` and `password_variable`.

    Raises Forbidden unless an administrator asks, InvalidParameter for what cannot be, Conflict
    when the name is taken.
    """
    caller.require_administrator()
    row = RegisteredEndpoint(name=checked_name(name), user_id=caller.user_id)
    if name in settings.registered_endpoints:
        raise _taken(name)
    _apply(row, {"base_url": base_url, **facts})
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError:
        raise _taken(name) from None
    session.refresh(row)
    given = [one for one in CHANGEABLE if getattr(row, one) is not None]
    _record(session, caller, Action.ENDPOINT_CREATED, name, _told(row, given))
    _forget_once_committed(session, settings)
    return _of_row(row, environment())


def change_endpoint(
    session: Session, caller: Caller, *, settings: Settings, name: str, **changes: Any
) -> ShownEndpoint:
    """Change what is named; None unsets. Calls under way go on as they began.

    Raises what `create_endpoint` raises, NotFound, and Conflict for one of the settings.
    """
    row = _changeable(session, caller, settings, name)
    _apply(row, changes)
    row.updated_at = now()
    session.flush()
    session.refresh(row)
    _record(session, caller, Action.ENDPOINT_CHANGED, name, _told(row, changes))
    _forget_once_committed(session, settings)
    return _of_row(row, environment())


def remove_endpoint(session: Session, caller: Caller, *, settings: Settings, name: str) -> None:
    """Remove one: jobs that ask for it fail from now on. Raises as `change_endpoint` does."""
    row = _changeable(session, caller, settings, name)
    session.delete(row)
    session.flush()
    _record(session, caller, Action.ENDPOINT_REMOVED, name, {"base_url": row.base_url})
    _forget_once_committed(session, settings)


def _changeable(
    session: Session, caller: Caller, settings: Settings, name: str
) -> RegisteredEndpoint:
    """The row, held until the end of the transaction."""
    caller.require_administrator()
    if found := settings.registered_endpoints.get(name):
        raise Conflict(
            f"The endpoint {name} is set in {found.origin.setting}: change it there and restart"
        )
    return _row(session, name, hold=True)


def _row(session: Session, name: str, *, hold: bool = False) -> RegisteredEndpoint:
    query = select(RegisteredEndpoint).where(RegisteredEndpoint.name == clean_text(name))
    row = session.scalar(query.with_for_update() if hold else query)
    if row is None:
        raise NotFound(f"Unknown endpoint: {clean_text(name)[:80]}")
    return row


def _apply(row: RegisteredEndpoint, values: Mapping[str, Any]) -> None:
    """Check all, then set all."""
    for name, value in {name: checked(name, value) for name, value in values.items()}.items():
        setattr(row, name, value)
    if row.password_variable and not row.user_variable:
        raise InvalidParameter(
            "Invalid user_variable: a password needs a user", pointer="/user_variable"
        )


def _taken(name: str) -> Conflict:
    return Conflict(f"The name {name} is taken", pointer="/name")


def _record(
    session: Session, caller: Caller, action: Action, name: str, details: Mapping[str, Any]
) -> None:
    audit.record(session, caller, action, subject=f"endpoint:{name}", details=details)


def _told(row: RegisteredEndpoint, names: Iterable[str]) -> dict[str, Any]:
    """What the trail says: of options their names alone, which may be somebody's secret."""
    told = {name: getattr(row, name) for name in names}
    return {**told, "options": sorted(told["options"])} if told.get("options") else told


def _forget_once_committed(session: Session, settings: Settings) -> None:
    """This process knows at once; others within `source.FRESH_SECONDS`."""
    event.listen(session, "after_commit", lambda _: forget_endpoints(settings), once=True)


def _of_row(row: RegisteredEndpoint, variables: Mapping[str, str]) -> ShownEndpoint:
    named = {name: getattr(row, name) for name in VARIABLES}
    return ShownEndpoint(
        name=row.name,
        base_url=row.base_url,
        source=Origin.STORED,
        model=row.model,
        options=row.options or {},
        timeout_seconds=row.timeout_seconds,
        authentication=_authentication(key=row.api_key_variable, user=row.user_variable),
        variables={one: value_of(one, variables) is not None for one in named.values() if one},
        created_at=row.created_at,
        updated_at=row.updated_at,
        **named,
    )


def _of_settings(name: str, one: Configured, settings: Settings) -> ShownEndpoint:
    endpoint, secrets = one.endpoint, {}
    if one.origin is Origin.SERVICE:
        secrets = {n: True for n, held in _SERVICE_SECRETS.items() if getattr(settings, held)}
    return ShownEndpoint(
        name=name,
        base_url=without_credentials(str(endpoint.base_url)),
        source=one.origin,
        model=endpoint.model,
        options=masked_options(endpoint.options),
        timeout_seconds=endpoint.timeout_seconds,
        authentication=_authentication(
            key=None if endpoint.user else endpoint.api_key, user=endpoint.user
        ),
        variables=secrets,
    )


def _authentication(*, key: object, user: object) -> str:
    return "bearer" if key else "basic" if user else "none"
