"""Chats and their messages: what is sent, and what is shown."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from api.schemas.common import Lax, ListOf, PageQuery, RowId, Shown, Strict
from api.schemas.grants import GrantRole

MessageStatus = Literal["pending", "processing", "success", "error", "cancelled"]

_MODEL = "Which model answers; otherwise the chat's, or LLM_JOBS_CHAT_MODEL."
_CLIENT_ID = "The client's own id of the message: sent again, nothing is added."


class Page(Strict):
    """Where the author is in an application; the model is told, before their words."""

    type: str = Field(min_length=1, max_length=255, examples=["job_code"])
    name: str | None = Field(None, max_length=255, examples=["Load patients"])
    adaptor: str | None = Field(None, max_length=255, examples=["fhir@5.0.0"])
    resource: str | None = Field(None, max_length=255, description="Another name of `adaptor`.")


class ChatContext(Strict):
    """What the chat is about; it stays with the chat, and a part that is sent replaces its own."""

    adaptor: str | None = Field(None, max_length=255)
    expression: str | None = Field(None, max_length=200_000, description="The code of the step.")
    input: str | None = Field(None, max_length=200_000)
    output: str | None = Field(None, max_length=200_000)
    log: str | None = Field(None, max_length=200_000)


class AssetOfChatBody(Strict):
    """What a chat shall be about from now on."""

    asset_type: str | None = Field(
        None,
        min_length=1,
        max_length=32,
        description="The type of what it is about.",
        examples=[None],
    )
    asset_id: str | None = Field(
        None, min_length=1, max_length=255, description="Which one of that type.", examples=[None]
    )
    metric_id: str | None = Field(
        None,
        min_length=1,
        max_length=255,
        description="Of older clients: a `metric_file`.",
        deprecated=True,
        examples=[None],
    )
    dashboard_id: str | None = Field(
        None,
        min_length=1,
        max_length=255,
        description="Of older clients: a `dashboard_file`.",
        deprecated=True,
        examples=[None],
    )


_ATTACHMENTS = "The parts of the chat's context that go with this message; without it, all of them."
Attachment = Literal["expression", "log", "input", "output"]


class NewChatBody(AssetOfChatBody):
    """A chat to make, and what is said in it first."""

    prompt: str | None = Field(None, description="Its first message; without one nothing is asked.")
    kind: str = Field("general", description="`general`, `job_code` or `workflow`.")
    project: str | None = Field(None, max_length=255, description="The project of the step.")
    step_id: str | None = Field(
        None,
        min_length=1,
        max_length=255,
        description="The step it is tied to. A step has one chat: asked for again, it is this one.",
        examples=[None],
    )
    page: Page | None = None
    context: ChatContext | None = None
    attachments: list[Attachment] | None = Field(
        None, max_length=4, description=_ATTACHMENTS, examples=[None]
    )
    read_only: bool = Field(False, description="The author may only read what it is about.")
    model: str | None = Field(None, min_length=1, max_length=255, description=_MODEL)
    client_message_id: str | None = Field(
        None, min_length=1, max_length=255, description=_CLIENT_ID, examples=[None]
    )


class MessageBody(Strict):
    """A message to send."""

    content: str = Field(description="What is said, literally: nothing in it is a template.")
    page: Page | None = None
    context: ChatContext | None = None
    attachments: list[Attachment] | None = Field(
        None, max_length=4, description=_ATTACHMENTS, examples=[None]
    )
    read_only: bool | None = Field(None, description="As when the chat was made.")
    model: str | None = Field(None, min_length=1, max_length=255, description=_MODEL)
    client_message_id: str | None = Field(
        None, min_length=1, max_length=255, description=_CLIENT_ID, examples=[None]
    )
    message_id: RowId | None = Field(
        None,
        description="Say it in place of this message; it and all after it are removed.",
        examples=[None],
    )
    queue: bool = Field(False, description="Wait for one's turn where another is in progress.")


class TitleBody(Strict):
    """A chat's new title."""

    title: str = Field(min_length=1, max_length=255, examples=["Cleaning addresses"])


class ChatsQuery(PageQuery):
    """Which chats."""

    kind: str | None = Field(None, max_length=32, description="Only those of this kind.")
    q: str | None = Field(None, max_length=200, description="Looked for in titles.")
    asset_type: str | None = Field(
        None, max_length=32, description="With `asset_id`: only those about this asset."
    )
    asset_id: str | None = Field(None, max_length=255, description="With `asset_type`.")


class MessagesQuery(Lax):
    """Which messages."""

    after_seq: int = Field(0, ge=0, le=2**31 - 1, description="Only those after this one.")
    limit: int = Field(100, ge=1, le=100, description="How many, at most.")


class ChatEventsQuery(Lax):
    """Where to go on, for clients that cannot send the header."""

    last_event_id: str | None = Field(
        None, max_length=100, description="As the header `Last-Event-ID`."
    )


class Failure(Shown):
    """Why there is no answer."""

    category: str = Field(
        description="`quota`, `timeout`, `abandoned`, `incomplete_response`, `upstream_error`,"
        " `removed` or `internal`."
    )
    message: str


class MessageUsage(Shown):
    """Tokens of a turn, all its calls together."""

    input_tokens: int | None
    output_tokens: int | None


class Source(Shown):
    """A passage of a document that the model was given with the message."""

    document_id: int
    chunk_id: int
    title: str
    url: str | None
    section: str = Field(description="The headings it stands under.")
    score: float


class Message(Shown):
    """A message. An assistant's is its job: its status, text and usage are read there."""

    id: int
    chat_id: int
    seq: int = Field(description="Its place in the chat.")
    role: Literal["user", "assistant"]
    content: str
    status: MessageStatus
    failure: Failure | None
    page: dict[str, Any] | None
    attachments: list[str] | None = Field(
        description="The parts of the chat's context that went with it; null: all."
    )
    parts: list[dict[str, Any]] | None = Field(
        description="Of a message that brings an asset in: what it is made of."
    )
    output_id: int | None
    job_id: str | None
    reply_to_id: int | None
    author_id: int | None
    client_message_id: str | None
    sources: list[Source] = Field(
        description="What an answer may rest on, as it was then; who reads the chat sees their"
        " names, who may read the documents their texts."
    )
    warning: str | None = Field(description="What went wrong beside the answer.")
    usage: MessageUsage | None
    feedback: str
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None


class ChatAsset(Shown):
    """What a chat is about, in the version it was brought in."""

    type: str
    id: str
    version: int | None


class ChatLine(Shown):
    """A chat without its messages."""

    id: int
    title: str
    kind: str
    project: str | None
    step_id: str | None
    model: str | None
    last_page: dict[str, Any] | None
    asset: ChatAsset | None
    role: GrantRole = Field(description="What you may do in it.")
    user_id: int = Field(description="Its creator.")
    created_at: datetime
    updated_at: datetime
    archived_at: datetime | None


class ChatShown(ChatLine):
    """A chat with its newest messages, 100 at most."""

    message_ids: list[int] = Field(description="From the oldest to the newest.")
    messages: dict[str, Message]


class TurnJob(Shown):
    """The job that answers."""

    id: str
    status: str


class Allowance(Shown):
    """Tokens of a user; null without a limit."""

    token_allowance: int | None
    tokens_used: int
    tokens_left: int | None


class TurnTaken(Shown):
    """What became of a message: it and the assistant's."""

    message_ids: list[int]
    messages: dict[str, Message]
    job: TurnJob | None
    limit: Allowance | None = Field(description="When the token allowance is used up.")


class ChatMade(ChatShown, TurnTaken):
    """A chat, and what became of its first message."""


class ChatList(ListOf[ChatLine]):
    """One page of chats, newest first."""


class PassShown(Shown):
    """A pass to one chat."""

    chat_id: int
    token: str = Field(description="Goes to the frame by `postMessage`, never into an address.")
    expires_at: datetime


class MessageList(Shown):
    """Messages in their order."""

    data: list[Message]
    has_more: bool


class ChatStatus(Allowance):
    """Whether you can be answered in chats now, and what is left of your allowance."""

    available: bool
    reason: Literal["role", "quota", "platform"] | None
    message: str | None = Field(description="What stands in the way, for people.")
    model: str | None = Field(description="Which model answers in chats that name none.")
