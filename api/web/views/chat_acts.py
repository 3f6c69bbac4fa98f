"""What one does in a chat: start one, speak, stop, ask again, judge, rename, share, remove it.

Each is a form's target. With scripts the thread comes back as it is then; without, the chat's page.
"""

from __future__ import annotations

from typing import Any

from flask import Response

from api import request_log
from api.web import render
from api.web.pages import Pages
from api.web.submission.offers import offers_for
from api.web.views.chats import show, show_list, thread
from api.web.visit import Visit
from app import assets, chats
from app.accounts import find_user
from app.chats import NewChat
from app.chats.input import CONTEXT
from app.errors import Conflict, InvalidParameter, MissingParameter, NotFound
from models import ChatMessage, GrantRole

pages = Pages()

LONGEST_PAGE = 255

_THANKS = {
    "thumbs_up": "Thank you: noted as good.",
    "thumbs_down": "Thank you: noted as bad.",
    "none": "Your verdict is taken back.",
}


@pages.post("/chats")
def start_chat(visit: Visit) -> Response:
    """Start a chat with its first message; or about an asset, with the two that bring it in."""
    content, model = visit.form.get("content", ""), visit.form.get("model", "")
    if not model and not visit.runtime.settings.chat_model:
        model = offers_for(visit.runtime, visit.caller).default_model
    asset = assets.reference({n: visit.form.get(n) for n in ("asset_type", "asset_id")})
    said = chats.Request(
        content=content, model=model or None, traceparent=request_log.traceparent()
    )
    wanted = NewChat(
        model=model or None,
        client_message_id=visit.form.get("client_message_id") or None,
        first=None if asset and not content else said,
        asset=asset,
    )
    try:
        taken = chats.create(visit.runtime, visit.caller, wanted)
    except (InvalidParameter, MissingParameter, Conflict) as refusal:
        return show_list(visit, refusal=refusal, sent=content, model=model)
    return visit.go(render.address("chat", chat_id=taken.chat_id))


@pages.post("/chats/<row:chat_id>/messages")
def say_in_chat(visit: Visit, chat_id: int) -> Response:
    """Say something; with `message_id`, in place of that message and all after it."""
    content, instead = visit.form.get("content", ""), visit.form.get("message_id", "")
    said = chats.Request(
        content=content.replace("\r\n", "\n"),
        client_message_id=visit.form.get("client_message_id") or None,
        message_id=_number(instead) if instead else None,
        attachments=_attachments(visit),
        page=_page(visit),
        traceparent=request_log.traceparent(),
    )
    try:
        chats.send(visit.runtime, visit.caller, chat_id, said)
    except (InvalidParameter, MissingParameter, Conflict) as refusal:
        if visit.wants_fragment:
            raise
        return show(visit, chat_id, refusal=refusal, sent=content)
    return _after(visit, chat_id)


@pages.post("/chat_messages/<row:message_id>/retry")
def retry_in_chat(visit: Visit, message_id: int) -> Response:
    """Ask again for an answer that failed or was stopped."""
    taken = chats.retry(
        visit.runtime, visit.caller, message_id, traceparent=request_log.traceparent()
    )
    return _after(visit, taken.chat_id)


@pages.post("/chat_messages/<row:message_id>/stop")
def stop_in_chat(visit: Visit, message_id: int) -> Response:
    """Stop the answer; what was written is kept. That it has ended meanwhile is what was wanted."""
    chat_id = _chat_of(visit, message_id)
    try:
        chats.cancel(visit.runtime, visit.caller, message_id)
    except Conflict:
        return _after(visit, chat_id, said="The answer had ended already.")
    return _after(visit, chat_id)


@pages.post("/chat_messages/<row:message_id>/feedback")
def judge_in_chat(visit: Visit, message_id: int) -> Response:
    """Set the thumb of an answer, or its comment. The verdict is its output's."""
    chat_id = _chat_of(visit, message_id)
    verdict = visit.form.get("feedback_type", "")
    with visit.runtime.database.write() as session:
        output = chats.shown_message(session, message_id).output
        kept = output.feedback_comment if output else None
        comment = visit.form.get("comment", kept)
        chats.feed_back(session, visit.caller, message_id, feedback_type=verdict, comment=comment)
    return _after(visit, chat_id, said=_THANKS.get(verdict, ""))


@pages.post("/chats/<row:chat_id>/title")
def rename_chat(visit: Visit, chat_id: int) -> Response:
    """Give it another title."""
    try:
        chats.change_title(visit.runtime, visit.caller, chat_id, visit.form.get("title", ""))
    except InvalidParameter as refusal:
        return show(visit, chat_id, refusal=refusal)
    return visit.go(render.address("chat", chat_id=chat_id))


@pages.post("/chats/<row:chat_id>/share")
def share_chat_with(visit: Visit, chat_id: int) -> Response:
    """Let somebody in by their address, or change what they may do."""
    address, role = visit.form.get("email", "").strip(), visit.form.get("role", "")
    try:
        with visit.runtime.database.write() as session:
            chats.get_chat(session, visit.caller, chat_id, need=GrantRole.OWNER)
            user = find_user(session, address)
            if user is None:
                raise InvalidParameter("Nobody here has this address", pointer="/email")
            chats.grant(session, visit.caller, chat_id, user_id=user.id, role=role)
            name = user.name or user.email
    except (InvalidParameter, Conflict) as refusal:
        return show(visit, chat_id, refusal=refusal)
    return visit.go(render.address("chat", chat_id=chat_id), said=f"{name} is let in.")


@pages.post("/chats/<row:chat_id>/unshare")
def unshare_chat_with(visit: Visit, chat_id: int) -> Response:
    """Let somebody see it no more."""
    with visit.runtime.database.write() as session:
        chats.get_chat(session, visit.caller, chat_id)
        user_id = _number(visit.form.get("user_id", ""))
        chats.revoke(session, visit.caller, chat_id, user_id=user_id)
    return visit.go(render.address("chat", chat_id=chat_id), said="They are out.")


@pages.post("/chats/<row:chat_id>/remove")
def remove_chat_now(visit: Visit, chat_id: int) -> Response:
    """Remove it, and stop what is being written in it."""
    try:
        chats.remove(visit.runtime, visit.caller, chat_id)
    except Conflict as refusal:
        return show(visit, chat_id, refusal=refusal)
    return visit.go(render.address("chats_page"), said="The chat is removed.")


def _after(visit: Visit, chat_id: int, *, said: str = "") -> Response:
    if visit.wants_fragment:
        return thread(visit, chat_id)
    return visit.go(render.address("chat", chat_id=chat_id) + "#composer", said=said)


def _chat_of(visit: Visit, message_id: int) -> int:
    """The chat of a message the visitor may see. Raises NotFound."""
    with visit.runtime.database.read() as session:
        message = session.get(ChatMessage, message_id)
        if message is None:
            raise NotFound("Unknown message")
        return chats.get_chat(session, visit.caller, message.chat_id).id


def _page(visit: Visit) -> dict[str, Any] | None:
    """Where its author is in the application around the frame, if that has said so."""
    names = ("type", "name", "adaptor")
    said = {name: visit.form.get(f"page_{name}", "").strip()[:LONGEST_PAGE] for name in names}
    return {name: value for name, value in said.items() if value} if said["type"] else None


def _attachments(visit: Visit) -> list[str] | None:
    """What of the chat's context is to go along; None where the form had nothing to choose from."""
    if "attaching" not in visit.form:
        return None
    chosen = visit.form.getlist("attach")
    if not set(chosen) <= set(CONTEXT):
        raise InvalidParameter("There is no such attachment", pointer="/attach")
    return chosen


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < len(text) <= 18):
        raise InvalidParameter("That is no number")
    return int(text)
