"""From rendered messages to what is sent and kept: the system message, and the prompt as one text.

A preview and an attempt both ask here, so that what is shown beforehand is what is sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app import formats
from app.providers.contract import Message


def prompt_text(messages: Sequence[Message]) -> str:
    """The final text sent, for the row: a single message's text, else each under its role."""
    if len(messages) == 1:
        return messages[0].content
    return "\n\n".join(f"{m.role}: {m.content}" for m in messages)


def system_text(
    messages: Sequence[Message],
    *,
    own: str | None,
    format: str,
    response_schema: Mapping[str, Any] | None,
) -> str | None:
    """The one system message: the job's own words, those of its messages, then what the format
    asks for; None when there are none.
    """
    words = [own or "", *(m.content for m in messages if m.role == "system")]
    joined = "\n\n".join(text for text in words if text)
    return formats.with_instruction(joined, format, response_schema)
