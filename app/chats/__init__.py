"""Chats: conversations whose every turn is a job.

    access.py     who may see a chat and what they may do with it; sharing
    threads.py    making, finding, renaming and removing chats
    turns.py      sending a message, trying it again, stopping it
    line.py       beginning the turns that wait for their turn
    conversation.py  what of a chat a turn's model gets, read from its rows
    input.py      what the model gets: who it is, what was said before, the new message
    sources.py    what documents hold for a message, kept with the answer
    pages.py      where a person is in somebody's application, as the model is told
    titles.py     a chat's title from its first message
    naming.py     a title that a model finds for it
    availability.py  whether somebody can be answered now, and what is left to them
    views.py      chats and messages as clients see them; a message's status is its job's

A turn inherits everything from its job: retries, recovery, deadlines, cost, feedback. Nothing here
knows HTTP or a provider.
"""

from app.chats.access import get_chat, grant, list_grants, revoke
from app.chats.availability import Availability, availability
from app.chats.input import KINDS
from app.chats.line import begin_waiting
from app.chats.naming import give_titles
from app.chats.threads import (
    NewChat,
    bring_in,
    change_title,
    create,
    list_chats,
    remove,
    set_context,
)
from app.chats.turns import Request, Taken, cancel, feed_back, news_of, retry, send, tell
from app.chats.views import (
    describe,
    describe_many,
    messages_after,
    newest_messages,
    shown_message,
)

__all__ = [
    "KINDS",
    "Availability",
    "NewChat",
    "Request",
    "Taken",
    "availability",
    "begin_waiting",
    "bring_in",
    "cancel",
    "change_title",
    "create",
    "describe",
    "describe_many",
    "feed_back",
    "get_chat",
    "give_titles",
    "grant",
    "list_chats",
    "list_grants",
    "messages_after",
    "newest_messages",
    "news_of",
    "remove",
    "retry",
    "revoke",
    "send",
    "set_context",
    "shown_message",
    "tell",
]
