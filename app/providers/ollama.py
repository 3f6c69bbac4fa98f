"""Ollama, through its OpenAI-compatible API, which needs no key.

Ollama cuts a prompt that is longer than its context window without a word; the window can only be
set on its side. All that can be done here is to notice.
"""

from __future__ import annotations

from dataclasses import replace

from app.providers.contract import Answer, Call, OnText
from app.providers.openai import Capabilities, OpenAIProvider

MAX_CHARACTERS_PER_TOKEN = 10
"""No language and tokenizer packs a prompt this densely; prose has about four."""


class OllamaProvider(OpenAIProvider):
    """One Ollama server."""

    def __init__(self, *, base_url: str) -> None:
        """`base_url` is the server's, without `/v1`."""
        super().__init__(
            "ollama", base_url=f"{base_url.rstrip('/')}/v1", capabilities=Capabilities()
        )

    async def call(self, call: Call, *, on_text: OnText | None = None) -> Answer:
        """See `contract.Provider.call`."""
        answer = await super().call(call, on_text=on_text)
        length = sum(len(message.content) for message in call.messages)
        read = answer.usage.input_tokens if answer.usage else 0
        if not 0 < read * MAX_CHARACTERS_PER_TOKEN < length:
            return answer
        warning = (
            f"Ollama read only {read:,} tokens of a prompt of {length:,} characters: it was"
            " probably cut. Raise OLLAMA_CONTEXT_LENGTH on the server."
        )
        return replace(answer, warnings=(*answer.warnings, warning))
