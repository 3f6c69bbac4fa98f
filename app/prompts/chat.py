"""A turn of a conversation as one job carries it, and its one step as the executor runs it.

The second kind of script beside a definition's (`script.py`): messages whose texts are literal.
Nothing in them is a template, so what people write in braces stays what they wrote.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.lifecycle import Claim
from app.prompts.steps import Items, Plan, Question, Reading, assembled
from app.providers.contract import Message

KIND = "chat"


def is_chat(script: Mapping[str, Any] | None) -> bool:
    """Whether a row's script is a turn of a conversation."""
    return script is not None and script.get("kind") == KIND


def is_in_chat(script: Mapping[str, Any] | None) -> bool:
    """The same, of a job that a chat began: asking it again is the chat's business."""
    return script is not None and is_chat(script) and not script.get("beside")


def beside(script: Mapping[str, Any]) -> dict[str, Any]:
    """The same conversation for a job of its own beside the chat."""
    return {**script, "beside": True}


def chat_script(messages: Sequence[Message]) -> dict[str, Any]:
    """As the row keeps it; the last message is the one to be answered."""
    return {"kind": KIND, "messages": [{"role": m.role, "content": m.content} for m in messages]}


def planned_turn(claim: Claim) -> Plan:
    """The plan of a claimed job that is a turn."""
    return Plan((ChatStep(claim),), read_along=True)


@dataclass(frozen=True, slots=True)
class ChatStep:
    """The call of a turn; see `app.prompts.steps.Step`."""

    claim: Claim

    any_option = False

    @property
    def model(self) -> str:
        return self.claim.model_name

    @property
    def options(self) -> Mapping[str, Any]:
        return self.claim.options

    @property
    def format(self) -> str:
        return self.claim.format

    @property
    def response_schema(self) -> Mapping[str, Any] | None:
        return self.claim.response_schema

    async def question(self, values: Mapping[str, Any], items: Items) -> Question | None:
        """See `Step.question`. As the row's prompt only the last message is shown."""
        script = self.claim.script or {}
        messages = [Message(m["role"], m["content"]) for m in script["messages"]]
        question = assembled(
            messages,
            own=self.claim.system,
            format=self.format,
            response_schema=self.response_schema,
        )
        return replace(question, prompt=messages[-1].content)

    async def read(self, question: Question | None, text: str, items: Items) -> Reading:
        """See `Step.read`."""
        return Reading()
