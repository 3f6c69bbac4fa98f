"""How providers answer, a button that tries one, and what their models cost. For administrators."""

from __future__ import annotations

from datetime import date
from typing import Any

from flask import Response

from api.web import api_calls, render
from api.web.pages import Audience, Pages
from api.web.visit import Visit
from app import jobs, operations
from app import prices as price_list
from app.errors import InvalidParameter, InvalidRequest, NotFound
from models import Status

pages = Pages()

SHOWN = 50


@pages.get("/admin/providers", Audience.ADMINISTRATORS)
def providers(visit: Visit) -> Response:
    """Every model that is known or was called, and how a trial (`tried`) goes: by itself where
    the page asks for that part again.
    """
    trial = _trial(visit)
    if trial and visit.wants_fragment:
        return visit.fragment("admin/trial.html", trial=trial)
    return _providers(visit, trial=trial)


@pages.post("/admin/providers/try", Audience.ADMINISTRATORS)
def try_provider(visit: Visit) -> Response:
    """Submit a tiny job to a model; the page then shows what comes of it."""
    model = visit.form.get("model", "").strip()[:255]
    try:
        made = operations.try_provider(visit.runtime, visit.caller, model)
    except InvalidRequest as refusal:
        return _providers(visit, refusal=refusal, status=refusal.status)
    return visit.go(render.address("providers", tried=made.output_id))


@pages.get("/admin/prices", Audience.ADMINISTRATORS)
def prices(visit: Visit) -> Response:
    """What models cost, the newest row first, of one provider or model if wanted."""
    return _prices(visit)


@pages.post("/admin/prices", Audience.ADMINISTRATORS)
def set_price(visit: Visit) -> Response:
    """Add a dated price; older calls keep what they were computed with."""
    form = visit.form
    try:
        with visit.runtime.database.write() as session:
            price = price_list.set_price(
                session,
                visit.caller,
                provider=form.get("provider", ""),
                model=form.get("model", ""),
                input_per_million=form.get("input_per_million", "").strip(),
                output_per_million=form.get("output_per_million", "").strip(),
                cached_input_per_million=form.get("cached_input_per_million", "").strip() or None,
                valid_from=_day(form.get("valid_from", "")),
            )
    except InvalidRequest as refusal:
        return _prices(visit, refusal=refusal, status=refusal.status)
    said = f"{price.provider}/{price.model} has a new price from {price.valid_from} on."
    return visit.go(render.address("prices"), said=said)


def _providers(
    visit: Visit,
    *,
    trial: dict[str, Any] | None = None,
    refusal: InvalidRequest | None = None,
    status: int = 200,
) -> Response:
    models = operations.providers_health(visit.runtime, visit.caller)
    return visit.page(
        "admin/providers.html",
        status=status,
        models=[one for one in models if one.configured or one.calls or one.paused],
        others=[one for one in models if not (one.configured or one.calls or one.paused)],
        calls=api_calls.of_address(visit.base_url, "/api/v1/models"),
        trial=trial,
        refusal=refusal,
        asked=visit.form.get("model", "")[:255],
    )


def _trial(visit: Visit) -> dict[str, Any] | None:
    """The row of the trial the address names, if there is one."""
    tried = visit.query.get("tried", "")
    if not (tried.isascii() and tried.isdigit() and len(tried) < 19):
        return None
    try:
        with visit.runtime.database.read() as session:
            row = jobs.get(session, visit.caller, output_id=int(tried))
            shown = jobs.describe(session, row)
    except NotFound:
        return None
    return {**shown, "ended": Status(shown["status"]).ended}


def _prices(visit: Visit, *, refusal: InvalidRequest | None = None, status: int = 200) -> Response:
    query = visit.query
    after = None if refusal else query.get("after")
    wanted = {name: query.get(name, "").strip()[:255] or None for name in ("provider", "model")}
    with visit.runtime.database.read() as session:
        page = price_list.list_prices(session, limit=SHOWN, after=after, **wanted)
    return visit.page(
        "admin/prices.html",
        status=status,
        prices=page.rows,
        wanted=wanted,
        given=visit.form,
        refusal=refusal,
        calls=api_calls.of_address(visit.base_url, "/api/v1/prices", query=wanted),
        next_address=page.next and render.address("prices", after=page.next, **wanted),
        first_address=after and render.address("prices", **wanted),
    )


def _day(text: str) -> date | None:
    """A day as date fields send it; nothing is today."""
    if not text.strip():
        return None
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        raise InvalidParameter("Write the day as 2026-01-31", pointer="/valid_from") from None
