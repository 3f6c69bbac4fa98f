"""Chats: their list, one with all that is said in it, its event stream. `chat_acts` changes them.

A chat's page is whole without scripts: what is said is a form. With them (`chat.js`) its thread is
asked for again whenever its stream tells of something, and an answer appears as it is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import uuid4

from flask import Response, g, request
from sqlalchemy import select

from api import chat_events, holding, sse
from api.web import api_calls, render
from api.web.pages import Pages
from api.web.submission.offers import offers_for
from api.web.visit import Visit
from app import chats
from app.chats import KINDS
from app.chats.views import Shown
from app.errors import NotFound, RequestError
from app.formats import render_html
from models import Chat, GrantRole, User

pages = Pages()
framed = Pages()
"""What there is only in somebody's frame."""

SHOWN = 50
_ATTACHABLE = {"expression": "Code", "log": "Logs", "input": "Input", "output": "Output"}
_ATTACHED_AT_FIRST = ("expression",)
_MAY_WRITE = (GrantRole.CAN_EDIT, GrantRole.FULL_ACCESS, GrantRole.OWNER)


@dataclass(frozen=True, slots=True)
class Bubble:
    """A message as it stands on the page. `html` is an answer's; a person's words stay a text."""

    shown: Shown
    html: str | None
    author: str

    @property
    def file(self) -> dict[str, Any] | None:
        """The asset that a message brings in."""
        parts = self.shown.message.parts or [{}]
        return parts[0] if parts[0].get("type") == "file" else None

    @property
    def file_address(self) -> str:
        """Where that asset has a page here; "" elsewhere."""
        kind, id = (self.file or {}).get("file_type"), (self.file or {}).get("id", "")
        if g.get("embedded"):
            return ""
        if kind == "llm_output":
            return render.address("output", output_id=int(id))
        if kind == "llm_job":
            return render.address("task", job_id=id)
        return render.address("prompt", name=id) if kind == "prompt_template" else ""

    @property
    def facts(self) -> dict[str, Any]:
        return self.shown.to_json()


@pages.get("/chats")
def chats_page(visit: Visit) -> Response:
    """One's chats and those one was let into, and the form that starts one."""
    return show_list(visit)


@pages.get("/chats/availability")
def chat_availability(visit: Visit) -> Response:
    """What stands in the way of an answer now, and what is left of the allowance."""
    return visit.fragment(
        "chats/availability.html", found=chats.availability(visit.runtime, visit.caller)
    )


@pages.get("/chats/<row:chat_id>")
def chat(visit: Visit, chat_id: int) -> Response:
    """A chat. With `?edit=` the form holds that message, to be said anew."""
    return show(visit, chat_id)


@framed.get("/chats/<row:chat_id>/panel")
def chat_panel(visit: Visit, chat_id: int) -> Response:
    """What one talks in, without the page around it: the thread and the box."""
    return visit.fragment("chats/panel.html", **_panel(visit, chat_id))


@pages.get("/chats/<row:chat_id>/thread")
def chat_thread(visit: Visit, chat_id: int) -> Response:
    """Everything said in it, as the page shows it."""
    return thread(visit, chat_id)


@pages.get("/chats/<row:chat_id>/live")
def chat_news(visit: Visit, chat_id: int) -> Response:
    """The chat's event stream, as `GET /api/v1/chats/<id>/events` tells it."""
    _described(visit, chat_id)
    last_id = request.headers.get("Last-Event-ID")
    give_back = holding.take_stream(visit.place)
    stopping, over = holding.held().stopping, visit.over()

    def body() -> Iterator[bytes]:
        yield from chat_events.events_of(
            visit.runtime,
            chat_id,
            lambda: _described(visit, chat_id),
            after=last_id,
            stopping=lambda: stopping.is_set() or over(),
        )

    return sse.stream_response(body(), on_close=give_back)


def show_list(
    visit: Visit, *, refusal: RequestError | None = None, sent: str = "", model: str = ""
) -> Response:
    """The list; with the reason and the text of a first message that was refused."""
    wanted = {n: t for n in ("q", "kind") if (t := visit.query.get(n, "").strip())}
    after = visit.query.get("after")
    offers = offers_for(visit.runtime, visit.caller)
    kind = wanted.get("kind") if wanted.get("kind") in KINDS else None
    with visit.runtime.database.read() as session:
        page = chats.list_chats(
            session, visit.caller, limit=SHOWN, after=after, kind=kind, q=wanted.get("q")
        )
        found = chats.describe_many(session, visit.caller, page.rows)
    return visit.page(
        "chats/list.html",
        status=refusal.status if refusal else 200,
        chats=found,
        kinds=[("", "all"), *((kind, kind.replace("_", " ")) for kind in KINDS)],
        wanted=wanted,
        refusal=refusal,
        sent=sent,
        model=model or ("" if visit.runtime.settings.chat_model else offers.default_model),
        groups=[group for group in offers.groups if group.usable],
        found=chats.availability(visit.runtime, visit.caller),
        most=visit.runtime.settings.chat_max_content,
        client_message_id=uuid4(),
        next_address=page.next and render.address("chats_page", after=page.next, **wanted),
        first_address=after and render.address("chats_page", **wanted),
        calls=api_calls.of_address(visit.base_url, "/api/v1/chats", query=wanted),
    )


def show(
    visit: Visit, chat_id: int, *, refusal: RequestError | None = None, sent: str | None = None
) -> Response:
    """A chat's page; with the reason and the text of what was refused. Raises NotFound."""
    facts = _panel(visit, chat_id, sent=sent)
    with visit.runtime.database.read() as session:
        grants = chats.list_grants(session, visit.caller, chat_id)
    return visit.page(
        "chats/chat.html",
        status=refusal.status if refusal else 200,
        **facts,
        grants=grants,
        roles=list(GrantRole),
        refusal=refusal,
        calls=api_calls.of_address(visit.base_url, f"/api/v1/chats/{chat_id}", query={}),
    )


def _panel(visit: Visit, chat_id: int, *, sent: str | None = None) -> dict[str, Any]:
    """What the thread and the box show. Raises NotFound."""
    facts = _facts(visit, chat_id)
    edited = _edited(visit, facts["bubbles"])
    return {
        **facts,
        "edited": edited,
        "toggles": _toggles(facts["known"], edited),
        "sent": edited.shown.text if edited and sent is None else sent or "",
        "found": chats.availability(visit.runtime, visit.caller),
        "most": visit.runtime.settings.chat_max_content,
        "client_message_id": uuid4(),
    }


def thread(visit: Visit, chat_id: int) -> Response:
    """The part of the page that moves. Raises NotFound."""
    return visit.fragment("chats/thread.html", **_facts(visit, chat_id))


def _facts(visit: Visit, chat_id: int) -> dict[str, Any]:
    with visit.runtime.database.read() as session:
        found = chats.get_chat(session, visit.caller, chat_id)
        described = chats.describe_many(session, visit.caller, [found])[0]
        messages = chats.newest_messages(session, chat_id)
        names = _names(session, found, messages)
        known = sorted((found.meta or {}).get("context") or {})
        bubbles = [_bubble(one, names) for one in messages]
    active = next((b for b in bubbles if b.shown.active), None)
    return {
        "chat": described,
        "bubbles": bubbles,
        "active": active,
        "known": known,
        "shared": len({b.shown.message.author_id for b in bubbles if b.author}) > 1,
        "may_write": described["role"] in _MAY_WRITE and described["archived_at"] is None,
        "signature": ",".join(f"{b.shown.message.id}:{b.shown.status}" for b in bubbles),
    }


def _bubble(shown: Shown, names: dict[int, str]) -> Bubble:
    message = shown.message
    if message.role == "user":
        return Bubble(shown, None, names.get(message.author_id or 0, "somebody"))
    return Bubble(shown, _rendered(shown.text) if shown.text else None, "")


@lru_cache(256)
def _rendered(text: str) -> str | None:
    """An answer as HTML. A thread is asked for at every turn, and most of it is as it was."""
    return render_html("markdown", text)


def _names(session: Any, found: Chat, messages: list[Shown]) -> dict[int, str]:
    """Who wrote what: whoever may read a chat may know who talks in it."""
    ids = {one.message.author_id for one in messages if one.message.author_id} | {found.user_id}
    rows = session.execute(select(User.id, User.name).where(User.id.in_(ids)))
    return {row.id: row.name or f"user {row.id}" for row in rows}


def _edited(visit: Visit, bubbles: list[Bubble]) -> Bubble | None:
    """The message of one's own that is to be said anew. Raises NotFound for any other."""
    wanted = visit.query.get("edit", "")
    if not wanted:
        return None
    for bubble in bubbles:
        if str(bubble.shown.message.id) == wanted and bubble.shown.message.role == "user":
            return bubble
    raise NotFound("Unknown message")


def _toggles(known: list[str], edited: Bubble | None) -> list[tuple[str, str, bool]]:
    """What a message may take along: name, label, and whether it does unless one says otherwise."""
    before = edited.shown.message.attachments if edited else None
    chosen = _ATTACHED_AT_FIRST if before is None else before
    return [(name, label, name in chosen) for name, label in _ATTACHABLE.items() if name in known]


def _described(visit: Visit, chat_id: int) -> dict[str, Any]:
    with visit.runtime.database.read() as session:
        return chats.describe(session, visit.caller, chats.get_chat(session, visit.caller, chat_id))
