"""Endpoints: the list, a form that registers or changes one, and removing one. For administrators.

The settings' own are shown among them and cannot be changed here. Trying one is `providers`'.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Response

from api.web import api_calls, render
from api.web.pages import Audience, Pages
from api.web.visit import Visit
from app import endpoints as registered
from app.endpoint_settings import Origin
from app.endpoints import DEFAULT_MODEL, ShownEndpoint
from app.errors import InvalidParameter, NotFound, RequestError
from app.formats.json_text import decode
from app.text import clean_text

pages = Pages()

TEXTS = ("base_url", "model", "api_key_variable", "user_variable", "password_variable")


@pages.get("/admin/endpoints", Audience.ADMINISTRATORS)
def endpoints(visit: Visit) -> Response:
    """Every endpoint; the form changes the one that `edit` names, and before removing the one that
    `remove` names it is asked whether it shall be.
    """
    return _show(visit, edited=visit.query.get("edit", ""), removed=visit.query.get("remove", ""))


@pages.post("/admin/endpoints", Audience.ADMINISTRATORS)
def create_endpoint(visit: Visit) -> Response:
    """Register one."""
    try:
        facts = _facts(visit.form)
        with visit.runtime.database.write() as session:
            made = registered.create_endpoint(
                session,
                visit.caller,
                settings=visit.runtime.settings,
                name=visit.form.get("name", "").strip(),
                **facts,
            )
    except RequestError as refusal:
        return _show(visit, refusal=refusal)
    return visit.go(render.address("endpoints"), said=f"The endpoint {made.name} is registered.")


@pages.post("/admin/endpoints/change", Audience.ADMINISTRATORS)
def change_endpoint(visit: Visit) -> Response:
    """Change one: what the form leaves empty is unset."""
    name = visit.form.get("name", "")
    try:
        facts = _facts(visit.form)
        with visit.runtime.database.write() as session:
            registered.change_endpoint(
                session, visit.caller, settings=visit.runtime.settings, name=name, **facts
            )
    except NotFound:
        return _gone(visit, name)
    except RequestError as refusal:
        return _show(visit, edited=name, refusal=refusal)
    return visit.go(render.address("endpoints"), said=f"The endpoint {name} is changed.")


@pages.post("/admin/endpoints/remove", Audience.ADMINISTRATORS)
def remove_endpoint(visit: Visit) -> Response:
    """Remove one for good."""
    name = visit.form.get("name", "")
    try:
        with visit.runtime.database.write() as session:
            registered.remove_endpoint(
                session, visit.caller, settings=visit.runtime.settings, name=name
            )
    except NotFound:
        return _gone(visit, name)
    return visit.go(render.address("endpoints"), said=f"The endpoint {name} is removed.")


def _show(
    visit: Visit, *, edited: str = "", removed: str = "", refusal: RequestError | None = None
) -> Response:
    with visit.runtime.database.read() as session:
        found = registered.list_endpoints(session, visit.caller, settings=visit.runtime.settings)
    named = edited or removed
    chosen = next((one for one in found if one.name == named), None)
    if named and refusal is None:
        if chosen is None:
            return _gone(visit, named)
        if chosen.source is not Origin.STORED:
            said = f"The endpoint {chosen.name} is set in {chosen.source.setting}."
            return visit.go(render.address("endpoints"), said=said)
    return visit.page(
        "admin/endpoints.html",
        status=refusal.status if refusal else 200,
        endpoints=found,
        edited=chosen if edited else None,
        removed=chosen if removed else None,
        given=visit.form if refusal else _as_form(chosen if edited else None),
        tried_as=_tried_as,
        refusal=refusal,
        calls=api_calls.of_address(visit.base_url, "/api/v1/endpoints"),
    )


def _gone(visit: Visit, name: str) -> Response:
    """Back to the list: somebody else was faster, or the address was made up."""
    said = f"There is no endpoint {clean_text(name)[:64]}."
    return visit.go(render.address("endpoints"), said=said)


def _tried_as(endpoint: ShownEndpoint) -> str:
    return f"{endpoint.name}/{endpoint.model or DEFAULT_MODEL}"


def _facts(form: Mapping[str, str]) -> dict[str, Any]:
    """What the form says, as `app.endpoints` takes it. Raises InvalidParameter."""
    return {
        **{name: form.get(name, "") for name in TEXTS},
        "options": _options(form.get("options", "").strip()),
        "timeout_seconds": _seconds(form.get("timeout_seconds", "").strip()),
    }


def _options(text: str) -> Any:
    try:
        return decode(text) if text else None
    except ValueError as error:
        raise InvalidParameter(f"Write the options as JSON: {error}", pointer="/options") from None


def _seconds(text: str) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        raise InvalidParameter(
            "Write a number of seconds, or nothing", pointer="/timeout_seconds"
        ) from None


def _as_form(endpoint: ShownEndpoint | None) -> dict[str, str]:
    """What the form holds of an endpoint that is to be changed."""
    if endpoint is None:
        return {}
    seconds = endpoint.timeout_seconds
    return {
        **{name: getattr(endpoint, name) or "" for name in TEXTS},
        "options": render.to_json(endpoint.options) if endpoint.options else "",
        "timeout_seconds": "" if seconds is None else f"{seconds:g}",
    }
