"""The list of outputs: its page, and the parts of it that are asked for again while it is open.

What the address says is `listing.py`'s; the event stream is in `outputs_live.py`, what is done to
many rows in `outputs_many.py`, saved views in `saved_views.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import Response

from api.web import addresses, api_calls, render
from api.web.listing import ALONE, SIZES, Listing
from api.web.pages import Pages
from api.web.views.outputs_live import row_ids_of
from api.web.visit import Visit
from app import saved_views
from app.errors import Forbidden, InvalidParameter
from app.jobs import Counted, Filters
from app.jobs.lines import MOST_LINES, Line, count_newer, count_states, lines_of, list_lines
from app.moments import iso
from app.paging import Page
from models import Format, Queue, SavedView, Status

pages = Pages()

MOST_NEWER = 1_000

TABS = ("", *Status)
"""The statuses a tab chooses; none: all of them."""

ANY = ("", "Any")
VERDICTS = (ANY, ("thumbs_up", "Thumbs up"), ("thumbs_down", "Thumbs down"), ("none", "None"))
SPANS = (
    ("", "Any time"),
    ("1h", "Last hour"),
    ("24h", "Last day"),
    ("7d", "Last week"),
    ("30d", "Last 30 days"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """What one transaction read of a list."""

    page: Page[Line]
    counts: Mapping[str, Counted]
    views: list[SavedView]
    any: bool


@pages.get("/llm_outputs")
def outputs(visit: Visit) -> Response:
    """One's own rows, newest first; everybody's for administrators who ask."""
    try:
        listing = Listing.of(visit.query)
        filters = listing.filters()
        read = _read(visit, listing, filters)
    except (InvalidParameter, Forbidden) as refusal:
        return _refused(visit, refusal)
    return visit.page("outputs/list.html", **_facts(visit, listing, filters, read))


@pages.get("/llm_outputs/summary")
def outputs_summary(visit: Visit) -> Response:
    """Tabs with their counts, and the bar that says how many rows are newer than those shown."""
    listing = Listing.of(visit.query)
    filters = listing.filters()
    newest = row_ids_of(visit.query.get("newest", ""), most=1)
    with visit.runtime.database.read() as session:
        counts = count_states(session, visit.caller, filters)
        newer = (
            count_newer(session, visit.caller, filters, than=newest[0], cap=MOST_NEWER)
            if newest
            else 0
        )
    return visit.fragment(
        "outputs/summary.html", **_summary(listing, counts, newest=newest, newer=newer)
    )


@pages.get("/llm_outputs/rows")
def outputs_rows(visit: Visit) -> Response:
    """The lines of the rows named, as they are now: a page that shows them asks again."""
    ids = row_ids_of(visit.query.get("ids", ""), most=MOST_LINES)
    with visit.runtime.database.read() as session:
        lines = lines_of(session, visit.caller, ids)
    back = addresses.own(visit.query.get("back", ""), render.address("outputs"))
    return visit.fragment(
        "outputs/rows.html", lines=lines, back=back, whose=visit.query.get("whose") == "1"
    )


def _read(visit: Visit, listing: Listing, filters: Filters) -> _Read:
    with visit.runtime.database.read() as session:
        page = list_lines(session, visit.caller, filters, limit=listing.size, after=listing.after)
        counts = count_states(session, visit.caller, filters)
        own = Filters(all_users=filters.all_users)
        return _Read(
            page=page,
            counts=counts,
            views=saved_views.list_views(session, visit.caller),
            any=bool(page.rows) or count_newer(session, visit.caller, own, than=0, cap=1) > 0,
        )


def _facts(visit: Visit, listing: Listing, filters: Filters, read: _Read) -> dict[str, Any]:
    lines, first_page = read.page.rows, listing.after is None
    newest = [lines[0].id if lines else 0] if first_page else []
    seen: datetime | None = max((line.updated_at for line in lines), default=None)
    whose = visit.caller.is_admin and (filters.all_users or filters.user is not None)
    back = listing.address(after=listing.after)
    shown = {"back": back, "whose": "1" if whose else ""}
    return {
        **_summary(listing, read.counts, newest=newest, newer=0),
        "listing": listing,
        "health_refresh": True,
        "lines": lines,
        "any_rows": read.any,
        "views": read.views,
        "whose": whose,
        "back": back,
        "searched": listing.text,
        "sizes": SIZES,
        "next_address": read.page.next and listing.address(after=read.page.next),
        "first_address": listing.after and listing.address(),
        "rows_address": render.address("outputs_rows", **shown),
        "live_address": render.address(
            "output_news",
            after=lines[0].id if lines else 0,
            seen=iso(seen) if seen else "",
            of="all" if filters.all_users else "",
        ),
        "calls": api_calls.of_list(visit.base_url, _for_api(filters)),
        "first_call": api_calls.curl(
            visit.base_url,
            "/api/v1/llm_jobs",
            body='{"template": "Say hello to {{name}}", "model": "simulator/echo",'
            ' "context": {"name": "the world"}}',
        ),
        **_choices(listing),
    }


def _refused(visit: Visit, refusal: InvalidParameter | Forbidden) -> Response:
    """The list as it was asked for, with what is wrong beside the form that can mend it."""
    words = {name: visit.query[name][:200] for name in ALONE if visit.query.get(name)}
    asked = Listing(words=words)
    return visit.page(
        "outputs/refused.html",
        status=refusal.status,
        refusal=refusal.message,
        listing=asked,
        searched=visit.query.get("q", "")[:500],
        **_choices(asked),
    )


def _summary(
    listing: Listing, counts: Mapping[str, Counted], *, newest: list[int], newer: int
) -> dict[str, Any]:
    tabs = [
        {
            "word": status or "all",
            "address": listing.address(status=status),
            "current": listing.status == status,
            "count": counts.get(status or "all"),
        }
        for status in TABS
    ]
    again = listing.query(newest=newest[0] if newest else "")
    return {
        "tabs": tabs,
        "newer": newer,
        "newer_capped": newer >= MOST_NEWER,
        "newer_address": listing.address(),
        "summary_address": render.address("outputs_summary", **again),
    }


def _choices(listing: Listing) -> dict[str, Any]:
    """The choices of the filter form, as (word, text), with a span of one's own making."""
    since = listing.words.get("since", "")
    own = () if since in dict(SPANS) else ((since, since),)
    return {
        "formats": (ANY, *((word.value, word.value) for word in Format)),
        "queues": (ANY, *((word.value, word.value) for word in Queue)),
        "verdicts": VERDICTS,
        "spans": (*SPANS, *own),
    }


def _for_api(filters: Filters) -> dict[str, str | int | bool]:
    """The filters as `GET /api/v1/llm_outputs` takes them."""
    names = ("status", "model", "template", "format", "queue", "feedback", "error_code", "q")
    found: dict[str, Any] = {name: getattr(filters, name) for name in (*names, "user", "parent_id")}
    found |= {
        name: iso(getattr(filters, name))
        for name in ("created_after", "created_before")
        if getattr(filters, name)
    }
    found |= {f"metadata[{key}]": value for key, value in filters.metadata.items()}
    if filters.all_users:
        found["all_users"] = True
    return {name: value for name, value in found.items() if value is not None}
