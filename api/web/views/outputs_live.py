"""The event stream of an open list: which of its rows moved, and how many are newer.

It carries hints only. The page asks again for what moved, as it is told by `live.js`.
"""

from __future__ import annotations

import itertools
import re
import secrets
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from flask import Response

from api import holding, sse
from api.web import sign_in
from api.web.pages import Pages
from api.web.visit import Visit
from app.errors import InvalidParameter
from app.streaming.feed import MOST_WATCHED, Watcher

pages = Pages()

TAB_LEAVES_SECONDS = 1.0
"""How long a tab's earlier stream has to give back its place: the tab went on to another page."""

BEAT_SECONDS = 2.0
"""A closed tab is noticed by writing to it; until then it holds one of its user's three places."""

_TAB = re.compile(r"[0-9a-z-]{1,64}")


@pages.get("/llm_outputs/live")
def output_news(visit: Visit) -> Response:
    """Events `rows` (`{"ids"}`: ask for these again), `new` (`{"count"}`: newer rows), `beat`.

    `replaced`, at the end: another page took this one's name.
    """
    query, caller = visit.query, visit.caller
    row_ids = row_ids_of(query.get("ids", ""), most=MOST_WATCHED)
    after = _number(query.get("after", ""), "after")
    seen = _moment(query.get("seen", ""))
    counted = _whose(visit)
    feed = visit.runtime.events.feed
    tab = (caller.user_id, _tab(query.get("tab", "")))
    feed.end(tab, wait_seconds=TAB_LEAVES_SECONDS)
    give_back = holding.take_stream(caller.user_id)
    try:
        watcher = feed.watch(
            tab,
            row_ids=row_ids,
            owner=None if caller.is_admin else caller.user_id,
            counted=counted,
            after=after,
            seen=seen,
        )
    except BaseException:
        give_back()
        raise

    def left() -> None:
        give_back()
        feed.leave(tab, watcher)

    stopping, over = holding.held().stopping, sign_in.over(visit.runtime)
    body = events_of(watcher, lambda: stopping.is_set() or over())
    return sse.stream_response(body, on_close=left)


def events_of(watcher: Watcher, stopping: Callable[[], bool]) -> Iterator[bytes]:
    """The stream's bytes until the watcher is told to end, or `stopping` says so."""
    numbers = itertools.count(1)
    told = 0
    yield sse.KEEPALIVE  # the headers go out at once
    spoken = time.monotonic()
    while not (stopping() or watcher.over):
        news = watcher.wait(sse.TICK_SECONDS)
        if news is None:
            if time.monotonic() - spoken < BEAT_SECONDS:
                continue
            yield sse.encode("beat", {}, id=str(next(numbers)))  # scripts do not see comments
        else:
            if news.rows:
                yield sse.encode("rows", {"ids": news.rows}, id=str(next(numbers)))
            if news.new > told:
                told = news.new
                yield sse.encode("new", {"count": told}, id=str(next(numbers)))
        spoken = time.monotonic()
    if watcher.over and not stopping():
        yield sse.encode("replaced", {}, id=str(next(numbers)))  # a copied tab has the same name


def row_ids_of(text: str, *, most: int) -> list[int]:
    """The row ids of `1,2,3`. Raises InvalidParameter for anything else, and for too many."""
    parts = text.split(",") if text else []
    if len(parts) > most:
        raise InvalidParameter(f"Invalid ids. At most {most}", pointer="/ids")
    return [_number(part, "ids") for part in parts]


def _tab(name: str) -> str:
    """The browser's name of its tab; where it keeps none, each page is a tab of its own."""
    return name if _TAB.fullmatch(name) else secrets.token_hex(8)


def _whose(visit: Visit) -> int | None:
    """Whose new rows are counted: one's own; for administrators also everybody's, or one user's."""
    wanted = visit.query.get("of", "")
    if not visit.caller.is_admin or not wanted:
        return visit.caller.user_id
    return None if wanted == "all" else _number(wanted, "of")


def _number(text: str, name: str) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", text, re.ASCII):
        raise InvalidParameter(f"Invalid {name}: send numbers of outputs", pointer=f"/{name}")
    return int(text)


def _moment(text: str) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidParameter("Invalid seen: send an ISO 8601 moment", pointer="/seen") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
