"""A job's calls as the executor sees them: what each asks, and what becomes of its answer.

An ordinary job is one step made of its own columns. A job of a prompt definition has the steps of
its script (`app.prompts.script`), a turn of a conversation one of literal texts
(`app.prompts.chat`); the executor carries out each without knowing which.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from app.errors import MissingVariables
from app.lifecycle import Claim
from app.prompts.conversation import prompt_text, system_text
from app.prompts.templating import parse
from app.providers.contract import Message

if TYPE_CHECKING:
    from app.prompts.conversation_items import Conversation

Items = Mapping[str, list[Any]]
"""Result items: name → values."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is sent: the messages with one system message at most, and the prompt as one text."""

    messages: tuple[Message, ...]
    prompt: str
    warnings: tuple[str, ...] = ()
    conversation: Conversation | None = None
    """An assistant's, with this question at its end."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read from an answer. With a `problem` (a sentence) the model may be asked again;
    `text` is the answer of a step that asks nobody.
    """

    items: Items = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    problem: str | None = None
    text: str = ""


class Step(Protocol):
    """One call: where it goes, how its answer is read. `model` is a name as jobs use it."""

    @property
    def model(self) -> str: ...
    @property
    def options(self) -> Mapping[str, Any]: ...
    @property
    def any_option(self) -> bool: ...
    @property
    def format(self) -> str: ...
    @property
    def response_schema(self) -> Mapping[str, Any] | None: ...

    async def question(self, values: Mapping[str, Any], items: Items) -> Question | None:
        """What to send, from the variables' values and the items read so far; None: nothing has to
        be asked, `read` knows the answer (of an empty text).

        Raises MissingVariables, or another RequestError about the definition.
        """
        ...

    async def read(self, question: Question | None, text: str, items: Items) -> Reading:
        """What the answer says. Raises a CallError when it can never be used."""
        ...


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps of a job, how many of them were done by an earlier claim, and what they gave.

    `read_along`: somebody reads the answer while it is written. It is told whether they are there
    or come later; and once they have seen some of it, it is not taken back to try again unasked.
    """

    steps: tuple[Step, ...]
    done: int = 0
    items: Items | None = None
    read_along: bool = False

    @property
    def left(self) -> tuple[tuple[int, Step], ...]:
        """The steps to do, with the number each has when it is done."""
        return tuple(enumerate(self.steps, 1))[self.done :]


def plan_of(claim: Claim, *, hook_seconds: float) -> Plan:
    """What the execution of a claim has to do. A hook may take `hook_seconds` each time."""
    if claim.script is None:
        return Plan((PlainStep(claim),))
    from app.prompts.chat import is_chat, planned_turn

    if is_chat(claim.script):
        return planned_turn(claim)
    from app.prompts.script import planned_for  # loads hooks and adapters: where there is a script

    return planned_for(claim, hook_seconds=hook_seconds)


@dataclass(frozen=True, slots=True)
class PlainStep:
    """The call of a job that brought its own template or messages."""

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
        """See `Step.question`."""
        claim = self.claim
        templates = claim.messages or [{"role": "user", "content": claim.template_name}]
        texts = [(m["role"], parse(m["content"]).render(values)) for m in templates]
        missing = list(dict.fromkeys(name for _, text in texts for name in text.missing))
        if missing and claim.strict:
            raise MissingVariables(missing)
        unknown = f"Unknown variables left as they are: {', '.join(missing)}"
        return assembled(
            [Message(role, text.text) for role, text in texts],
            own=claim.system,
            format=self.format,
            response_schema=self.response_schema,
            warnings=(unknown,) if missing and claim.fetchers else (),
        )

    async def read(self, question: Question | None, text: str, items: Items) -> Reading:
        """See `Step.read`: what is read of it is its format's business."""
        return Reading()


def assembled(
    messages: list[Message],
    *,
    own: str | None,
    format: str,
    response_schema: Mapping[str, Any] | None,
    warnings: tuple[str, ...] = (),
) -> Question:
    """The question of rendered messages: one system message at most, and first."""
    system = system_text(messages, own=own, format=format, response_schema=response_schema)
    rest = [m for m in messages if m.role != "system"]
    sent = (Message("system", system), *rest) if system else tuple(rest)
    return Question(sent, prompt_text(messages), warnings)
