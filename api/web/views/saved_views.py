"""Keeping and forgetting named addresses of the outputs list."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode, urlsplit

from flask import Response
from werkzeug.datastructures import MultiDict

from api.web import addresses, render
from api.web.listing import Listing
from api.web.pages import Pages
from api.web.visit import Visit
from app import saved_views

pages = Pages()


@pages.post("/llm_outputs/views")
def save_view(visit: Visit) -> Response:
    """Keep the list of the form's `next` under a name."""
    listing = Listing.of(_query_of(visit))
    with visit.runtime.database.write() as session:
        view = saved_views.save_view(
            session,
            visit.caller,
            name=visit.form.get("name", ""),
            query=urlencode(listing.query()),
        )
        name = view.name
    return visit.go(listing.address(), said=f"Saved as {name}.")


@pages.post("/llm_outputs/views/<row:view_id>/delete")
def delete_view(visit: Visit, view_id: int) -> Response:
    """Forget a saved view."""
    with visit.runtime.database.write() as session:
        saved_views.delete_view(session, visit.caller, view_id)
    back = addresses.own(visit.form.get("next", ""), render.address("outputs"))
    return visit.go(back, said="The saved view is deleted.")


def _query_of(visit: Visit) -> MultiDict[str, str]:
    back = addresses.own(visit.form.get("next", ""), render.address("outputs"))
    return MultiDict(parse_qsl(urlsplit(back).query))
