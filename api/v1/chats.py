"""Chats: making and sharing them, talking in them, and following what happens there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from flask import Response, request

from api import chat_events, holding, request_log, sse
from api.auth import scope
from api.replies import Reply, page_reply
from api.routing import Answer, Call, Header, Routes
from api.schemas.chats import (
    AssetOfChatBody,
    ChatContext,
    ChatEventsQuery,
    ChatList,
    ChatMade,
    ChatShown,
    ChatsQuery,
    ChatStatus,
    Message,
    MessageBody,
    MessageList,
    MessagesQuery,
    NewChatBody,
    PassShown,
    TitleBody,
    TurnTaken,
)
from api.schemas.common import Empty
from api.schemas.grants import ChatGrantGiven, ChatGrantList, GrantBody
from api.schemas.outputs import FeedbackBody, FeedbackGiven
from app import assets, chats
from app.accounts import Caller, issue_pass
from app.chats import NewChat, Taken
from app.errors import MissingParameter
from app.moments import iso
from app.runtime import Runtime
from models import Scope

routes = Routes("/api/v1", tag="chats")

_READ = scope(Scope.CHAT_READ)
_WRITE = scope(Scope.CHAT_WRITE)
_FORBIDDEN = "The key or its user may not do this, or not in this chat."
_BUSY = "`turn_in_progress`: wait for the answer, stop it, or send with `queue`."


@routes.post(
    "/chats",
    access=_WRITE,
    body=NewChatBody,
    answers={
        201: Answer(description="The chat is made, its first turn accepted.", model=ChatMade),
        200: Answer(description="There was such a chat; nothing was made.", model=ChatMade),
    },
    errors={
        403: _FORBIDDEN,
        404: "`asset_not_found`: there is no such asset, or none for you.",
        409: "The chat of that `client_message_id` was removed, or the step's chat is busy.",
    },
    unavailable_sentence="Failed to queue job",
    examples={"ask": {"prompt": "How do I clean addresses?", "model": "gpt-4"}},
)
def create_chat(call: Call[NewChatBody, Empty]) -> Reply:
    """Start a chat.

    With `asset_type` and `asset_id` it is about that asset. Without a `prompt` no model is asked:
    two messages of the assistant bring the asset in, and the model is told of it with the first
    message of a person.

    The same `client_message_id` again, however often, makes one chat. Over the token allowance the
    message is kept, the assistant's has the status `error`, and `limit` says why.
    """
    sent = call.body.model_dump(exclude_none=True)
    asset = assets.reference(sent)
    for name in ("asset_id", "asset_type", *assets.LEGACY):
        sent.pop(name, None)
    prompt, project = sent.pop("prompt", None), sent.pop("project", "")
    attachments = sent.pop("attachments", None)
    both = {n: v for n, v in sent.items() if n not in ("kind", "step_id")}
    first = None
    if prompt is not None:
        traced = request_log.traceparent()
        first = chats.Request(content=prompt, attachments=attachments, traceparent=traced, **both)
    wanted = NewChat(project=project, first=first, asset=asset, **sent)
    taken = chats.create(call.runtime, call.caller, wanted)
    with call.runtime.database.read() as session:
        chat = chats.get_chat(session, call.caller, taken.chat_id)
        made = chats.describe(session, call.caller, chat)
    return Reply(
        body={**made, **_taken(call, taken)},
        status=201 if taken.new else 200,
        headers={"Location": f"/api/v1/chats/{taken.chat_id}"},
    )


@routes.get(
    "/chats",
    access=_READ,
    query=ChatsQuery,
    answers={200: Answer(description="A page of chats.", model=ChatList)},
)
def list_chats(call: Call[Empty, ChatsQuery]) -> Reply:
    """List one's own chats and those one was let into, newest first."""
    filters = call.query.model_dump()
    asset = assets.reference({name: filters.pop(name) for name in ("asset_id", "asset_type")})
    with call.runtime.database.read() as session:
        page = chats.list_chats(session, call.caller, asset=asset, **filters)
        return page_reply(page, lambda rows: chats.describe_many(session, call.caller, rows))


@routes.get(
    "/chat/status",
    access=_READ,
    answers={200: Answer(description="What a chat panel shows.", model=ChatStatus)},
)
def get_chat_status(call: Call[Empty, Empty]) -> Reply:
    """Show whether one can be answered in chats now, or what stands in the way."""
    found = chats.availability(call.runtime, call.caller)
    return Reply(body={"available": found.reason is None, **asdict(found)})


@routes.get(
    "/chats/<row:chat_id>",
    access=_READ,
    answers={200: Answer(description="The chat.", model=ChatShown)},
)
def get_chat(call: Call[Empty, Empty], chat_id: int) -> Reply:
    """Show a chat with its newest messages."""
    return Reply(body=shown(call.runtime, call.caller, chat_id))


@routes.patch(
    "/chats/<row:chat_id>",
    access=_WRITE,
    body=TitleBody,
    answers={200: Answer(description="The chat as it is now.", model=ChatShown)},
    errors={403: _FORBIDDEN},
)
def update_chat(call: Call[TitleBody, Empty], chat_id: int) -> Reply:
    """Give a chat another title."""
    chats.change_title(call.runtime, call.caller, chat_id, call.body.title)
    return Reply(body=shown(call.runtime, call.caller, chat_id))


@routes.delete(
    "/chats/<row:chat_id>",
    access=_WRITE,
    answers={204: Answer(description="The chat is gone.")},
    errors={403: _FORBIDDEN, 409: "It is a step's: an administrator archives it."},
)
def remove_chat(call: Call[Empty, Empty], chat_id: int) -> Reply:
    """Remove a chat, and stop what is being written in it.

    The chat of a step is archived, by an administrator only.
    """
    chats.remove(call.runtime, call.caller, chat_id)
    return Reply(status=204)


@routes.put(
    "/chats/<row:chat_id>/context",
    access=_WRITE,
    body=ChatContext,
    answers={200: Answer(description="The chat as it is now.", model=ChatShown)},
    errors={403: _FORBIDDEN},
    examples={"step": {"adaptor": "fhir@5.0.0", "expression": "fn(state => state)"}},
)
def set_chat_context(call: Call[ChatContext, Empty], chat_id: int) -> Reply:
    """Tell a chat what its step is like now, in place of all it knew of it."""
    context = call.body.model_dump(exclude_none=True)
    chats.set_context(call.runtime, call.caller, chat_id, context)
    return Reply(body=shown(call.runtime, call.caller, chat_id))


@routes.post(
    "/chats/<row:chat_id>/assets",
    access=_WRITE,
    body=AssetOfChatBody,
    answers={
        201: Answer(description="The asset is brought in.", model=TurnTaken),
        200: Answer(description="It was there in this version already.", model=TurnTaken),
    },
    errors={
        403: _FORBIDDEN,
        404: "There is no such chat; `asset_not_found`: no such asset, or none for you.",
        409: "`turn_in_progress`: wait for the answer, or stop it.",
    },
    examples={"output": {"asset_type": "llm_output", "asset_id": "1"}},
)
def bring_asset_into_chat(call: Call[AssetOfChatBody, Empty], chat_id: int) -> Reply:
    """Let a chat be about an asset from now on.

    Two messages of the assistant bring it in; no model is asked. The next message's model is told
    of it, as it is then.
    """
    asset = assets.reference(call.body.model_dump(exclude_none=True))
    if asset is None:
        raise MissingParameter("asset_id")
    taken = chats.bring_in(call.runtime, call.caller, chat_id, asset)
    return Reply(body=_turn(call, taken), status=201 if taken.new else 200)


@routes.post(
    "/chats/<row:chat_id>/messages",
    access=_WRITE,
    body=MessageBody,
    answers={
        201: Answer(description="The turn is accepted.", model=TurnTaken),
        200: Answer(description="The message was sent before.", model=TurnTaken),
    },
    errors={403: _FORBIDDEN, 409: _BUSY},
    unavailable_sentence="Failed to queue job",
    examples={"ask": {"content": "And in French?", "model": "gpt-4"}},
)
def send_message(call: Call[MessageBody, Empty], chat_id: int) -> Reply:
    """Say something in a chat; the answer is a job.

    The text is taken literally. With `queue` it waits where a turn is in progress: its answer is
    `pending` and has no job until the one before has ended. Over the token allowance the text is
    kept, the assistant's message has the status `error`, and `limit` says why.
    """
    said = chats.Request(
        **call.body.model_dump(exclude_none=True), traceparent=request_log.traceparent()
    )
    taken = chats.send(call.runtime, call.caller, chat_id, said)
    return Reply(body=_turn(call, taken), status=201 if taken.new else 200)


@routes.get(
    "/chats/<row:chat_id>/messages",
    access=_READ,
    query=MessagesQuery,
    answers={200: Answer(description="Messages.", model=MessageList)},
)
def list_messages(call: Call[Empty, MessagesQuery], chat_id: int) -> Reply:
    """List a chat's messages in their order."""
    limit = call.query.limit
    with call.runtime.database.read() as session:
        chat = chats.get_chat(session, call.caller, chat_id)
        found = chats.messages_after(
            session, chat.id, after_seq=call.query.after_seq, limit=limit + 1
        )
    data = [one.to_json() for one in found[:limit]]
    return Reply(body={"data": data, "has_more": len(found) > limit})


@routes.post(
    "/chat_messages/<row:message_id>/retry",
    access=_WRITE,
    answers={201: Answer(description="A new job answers.", model=TurnTaken)},
    errors={403: _FORBIDDEN, 409: "It did not fail and was not stopped, or a turn is in progress."},
    unavailable_sentence="Failed to queue job",
)
def retry_message(call: Call[Empty, Empty], message_id: int) -> Reply:
    """Ask again for an answer that failed or was stopped."""
    traced = request_log.traceparent()
    taken = chats.retry(call.runtime, call.caller, message_id, traceparent=traced)
    return Reply(body=_turn(call, taken), status=201)


@routes.post(
    "/chat_messages/<row:message_id>/cancel",
    access=_WRITE,
    answers={200: Answer(description="The message.", model=Message)},
    errors={403: _FORBIDDEN, 409: "There is nothing to stop."},
)
def cancel_message(call: Call[Empty, Empty], message_id: int) -> Reply:
    """Stop an answer; what was written is kept."""
    chats.cancel(call.runtime, call.caller, message_id)
    with call.runtime.database.read() as session:
        return Reply(body=chats.shown_message(session, message_id).to_json())


@routes.post(
    "/chat_messages/<row:message_id>/feedback",
    access=_WRITE,
    body=FeedbackBody,
    answers={200: Answer(description="The verdict is stored.", model=FeedbackGiven)},
    errors={403: _FORBIDDEN, 409: "It is no answer of a model."},
    examples={"liked": {"feedback_type": "thumbs_up", "comment": "Exactly what I needed"}},
)
def judge_message(call: Call[FeedbackBody, Empty], message_id: int) -> Reply:
    """Say what an answer is worth; `none` takes a verdict back."""
    with call.runtime.database.write() as session:
        output = chats.feed_back(session, call.caller, message_id, **call.body.model_dump())
        given, comment = output.feedback_word, output.feedback_comment
    return Reply(body={"status": "success", "feedback": given, "comment": comment})


@routes.get(
    "/chats/<row:chat_id>/events",
    access=_READ,
    query=ChatEventsQuery,
    request_headers=[
        Header(name="Last-Event-ID", description="The id of the last event seen; go on after it.")
    ],
    answers={
        200: Answer(
            description="Events `snapshot` (the chat), `user_message`, `turn_waiting`,"
            " `turn_started`, `delta` (text as it is written), `reset` (forget the text),"
            " `message_completed`, `message_failed`, `message_cancelled`,"
            " `title`. A comment keeps it alive.",
            media_type="text/event-stream",
        )
    },
    errors={429: "Over the key's rate, or three streams of this user are open."},
)
def stream_chat(call: Call[Empty, ChatEventsQuery], chat_id: int) -> Response:
    """Follow a chat: who says what, and each answer while it is written.

    It begins with a `snapshot`, also after a break: with `Last-Event-ID` only text that was not
    seen yet comes after it. A `delta` is `{"message_id", "offset", "text"}`; the offset, in
    characters, shows a gap or a repetition. Whatever happened to the chat as a whole comes as a
    fresh `snapshot`.
    """
    shown(call.runtime, call.caller, chat_id)
    if request.method == "HEAD":
        return sse.stream_response(iter(()))
    last_id = request.headers.get("Last-Event-ID") or call.query.last_event_id
    give_back, stopping = holding.take_stream(call.caller.user_id), holding.held().stopping

    def events() -> Iterator[bytes]:
        yield from chat_events.events_of(
            call.runtime,
            chat_id,
            lambda: shown(call.runtime, call.caller, chat_id),
            after=last_id,
            stopping=stopping.is_set,
        )

    return sse.stream_response(events(), on_close=give_back)


@routes.post(
    "/chats/<row:chat_id>/passes",
    access=_WRITE,
    answers={201: Answer(description="The pass.", model=PassShown)},
)
def make_chat_pass(call: Call[Empty, Empty], chat_id: int) -> Reply:
    """Make a pass to one chat, for ten minutes, for the panel in a frame.

    Whoever holds it does there what you may; it opens nothing else.
    """
    shown(call.runtime, call.caller, chat_id)
    token, expires_at = issue_pass(call.runtime.settings, call.caller, chat_id)
    return Reply(
        body={"chat_id": chat_id, "token": token, "expires_at": iso(expires_at)}, status=201
    )


@routes.post(
    "/chats/<row:chat_id>/grants",
    access=_WRITE,
    body=GrantBody,
    answers={200: Answer(description="What they may do now.", model=ChatGrantGiven)},
    errors={403: _FORBIDDEN, 409: "It is the chat's creator."},
)
def share_chat(call: Call[GrantBody, Empty], chat_id: int) -> Reply:
    """Let somebody into a chat, or change what they may do."""
    with call.runtime.database.write() as session:
        given = chats.grant(session, call.caller, chat_id, **call.body.model_dump())
    return Reply(body=given)


@routes.get(
    "/chats/<row:chat_id>/grants",
    access=_READ,
    answers={200: Answer(description="Who may what in it.", model=ChatGrantList)},
)
def list_chat_grants(call: Call[Empty, Empty], chat_id: int) -> Reply:
    """List who was let into a chat, its creator first."""
    with call.runtime.database.read() as session:
        return Reply(body={"data": chats.list_grants(session, call.caller, chat_id)})


@routes.delete(
    "/chats/<row:chat_id>/grants/<row:user_id>",
    access=_WRITE,
    answers={204: Answer(description="They are out.")},
    errors={403: _FORBIDDEN, 409: "It is the chat's creator."},
)
def unshare_chat(call: Call[Empty, Empty], chat_id: int, user_id: int) -> Reply:
    """Let somebody see a chat no more."""
    with call.runtime.database.write() as session:
        chats.revoke(session, call.caller, chat_id, user_id=user_id)
    return Reply(status=204)


def shown(here: Runtime, caller: Caller, chat_id: int) -> dict[str, Any]:
    """A chat with its newest messages, as the caller sees it. Raises NotFound."""
    with here.database.read() as session:
        return chats.describe(session, caller, chats.get_chat(session, caller, chat_id))


def _turn(call: Call[Any, Any], taken: Taken) -> dict[str, Any]:
    with call.runtime.database.read() as session:
        said = [chats.shown_message(session, one) for one in taken.message_ids]
    job = next((one.job for one in said if one.job), None)
    return {
        "message_ids": list(taken.message_ids),
        "messages": {str(one.message.id): one.to_json() for one in said},
        "job": job,
        "limit": taken.limit,
    }


def _taken(call: Call[Any, Any], taken: Taken) -> dict[str, Any]:
    """What a new chat's answer says of its first turn, beside all its messages."""
    turn = _turn(call, taken)
    return {"job": turn["job"], "limit": turn["limit"]}
