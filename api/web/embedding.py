"""The chat panel in somebody's frame: the same views, below `/embed`, let in by a pass.

Only `/embed/chat` may be framed, by the sites of LLM_JOBS_EMBED_HOSTS; it is empty until its parent
hands it a pass by `postMessage`. Everything else is asked for with the pass in `Authorization`:
cookies mean nothing here, so there is nothing for a stranger's form to borrow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask, Response, g, request

from api import limits
from api.auth import bearer
from api.routing import UNSAFE, runtime
from api.web import render
from api.web.pages import Page
from api.web.views import chat_acts, chats
from api.web.visit import Visit
from app.accounts import Pass, read_pass
from app.errors import NotFound, Unauthenticated
from app.runtime import Runtime
from models import ChatMessage

PREFIX = "/embed"

_SHARED = (
    chats.chat_panel,
    chats.chat_thread,
    chats.chat_availability,
    chats.chat_news,
    chat_acts.say_in_chat,
    chat_acts.retry_in_chat,
    chat_acts.stop_in_chat,
    chat_acts.judge_in_chat,
)
"""The views a frame has; each finds its chat, or its message, by its address."""


def install(app: Flask) -> None:
    """Serve them."""
    app.add_url_rule("/embed/chat", "page_embedded_frame", show_frame, strict_slashes=False)
    for page in (*chats.framed, *chats.pages, *chat_acts.pages):
        if page.view in _SHARED:
            app.add_url_rule(
                PREFIX + page.path,
                endpoint=page.name.replace("page_", render.EMBEDDED, 1),
                view_func=_view(page),
                methods=[page.method],
                strict_slashes=False,
            )


def show_frame() -> Response:
    """The page that is framed: nobody's, until a pass comes. Without EMBED_HOSTS there is none."""
    hosts = runtime().settings.embedding_hosts
    if not hosts:
        raise NotFound("There is no such page here")
    g.embedded = True
    response = render.page("embed/frame.html", caller=None, hosts=hosts)
    policy = render.POLICY.replace("frame-ancestors 'none'", f"frame-ancestors {' '.join(hosts)}")
    response.headers["Content-Security-Policy"] = policy
    return response


def _view(page: Page) -> Callable[..., Response]:
    def view(**arguments: Any) -> Response:
        here = runtime()
        if not here.settings.embedding_hosts:
            raise NotFound("There is no such page here")
        g.page, g.embedded = page, True
        held = _admitted(here)
        _refuse_other_chats(here, held, arguments)
        if page.method in UNSAFE:
            limits.count_form(here, held.caller, chat_id=held.chat_id)
        return page.view(Visit(here, held.caller, held), **arguments)

    return view


def _admitted(here: Runtime) -> Pass:
    text = bearer()
    if text is None:
        raise Unauthenticated("A pass is needed: Authorization: Bearer <pass>")
    try:
        with here.database.read() as session:
            held = read_pass(session, here.settings, text)
    except Unauthenticated:
        limits.count_refusal(here, request.remote_addr or "")
        raise
    g.caller = held.caller
    return held


def _refuse_other_chats(here: Runtime, held: Pass, arguments: dict[str, Any]) -> None:
    """A pass opens its chat alone. Raises NotFound for any other, and for its messages."""
    if "message_id" in arguments:
        with here.database.read() as session:
            message = session.get(ChatMessage, arguments["message_id"])
        if message is None or message.chat_id != held.chat_id:
            raise NotFound("Unknown message")
    elif arguments.get("chat_id", held.chat_id) != held.chat_id:
        raise NotFound("Unknown chat")
