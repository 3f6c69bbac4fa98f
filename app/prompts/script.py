"""A prompt definition as one job carries it, and its steps as the executor runs them.

The script is written into the row when the job is accepted: the definition with its task inlined,
the model of each step, and the properties and names its placeholders read. So a job runs what it
was accepted with, whatever becomes of the prompt, the settings or the users meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from app.context.threads import in_thread
from app.errors import MissingVariables
from app.lifecycle import Claim, NewJob
from app.prompts import hooks
from app.prompts.conversation_items import Conversation
from app.prompts.definition import Definition, Mode, PromptMessage, Step, from_json, from_system_on
from app.prompts.hooks import AnswerUnreadable, ResultEvent
from app.prompts.material import FileText, Material, Work, WorkItem
from app.prompts.steps import Items, Plan, Question, Reading, assembled
from app.prompts.suggest import suggest_items
from app.prompts.text_adapters import Adapted, parse
from app.providers.contract import Message
from models import Format

CONTEXT_ITEM = "ai.assistant.context"
"""Where an assistant's conversation is kept unless its step names an item (Imixs-AI)."""

CONDITION_OPTIONS: Mapping[str, Any] = {"n_predict": 16, "temperature": 0}
CONDITION_SYSTEM = (
    "You decide whether a condition holds. Answer with one word only, in lower case: true or false."
    " No explanation, no punctuation."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A definition with all that it reads elsewhere. `models` has one name for each step, as jobs
    use it; `properties` and `names` are as in `Material`.
    """

    definition: Definition
    models: tuple[str, ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As the row keeps it."""
        return {
            "definition": self.definition.to_json(),
            "models": list(self.models),
            "properties": dict(self.properties),
            "names": dict(self.names),
        }


def script_from(stored: Mapping[str, Any]) -> Script:
    """The script of a row."""
    return Script(
        definition=from_json(stored["definition"]),
        models=tuple(stored["models"]),
        properties=stored["properties"],
        names=stored["names"],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a job brings to a script: its own words where it has any, and what placeholders read.

    `options` go over each step's; `format` and `response_schema` are of the last step's answer.
    """

    options: Mapping[str, Any]
    format: str
    response_schema: Mapping[str, Any] | None
    system: str | None
    workitem: WorkItem
    files: tuple[FileText, ...]
    user_id: int | None
    output_id: int | None = None
    work: Work = field(default_factory=Work, compare=False)


def planned_for(claim: Claim, *, hook_seconds: float) -> Plan:
    """The plan of a claimed job of a definition."""
    items = claim.result_items or items_beforehand(script_of(claim))
    return Plan(steps_for(claim, hook_seconds=hook_seconds), claim.steps_done, items)


def steps_for(job: Claim | NewJob, *, hook_seconds: float) -> tuple[ScriptStep, ...]:
    """The steps of a job of a definition: a claimed one, or one that is not accepted yet."""
    script = script_of(job)
    given = _given(job)
    last = len(script.definition.steps) - 1
    return tuple(
        ScriptStep(
            asked=step,
            script=script,
            given=given,
            model=script.models[number],
            is_last=number == last,
            hook_seconds=hook_seconds,
        )
        for number, step in enumerate(script.definition.steps)
    )


def _given(job: Claim | NewJob) -> Given:
    return Given(
        options=job.options or {},
        format=job.format,
        response_schema=job.response_schema,
        system=job.system,
        workitem=WorkItem(job.workitem),
        files=tuple(
            FileText(file["name"], text)
            for file, text in zip(job.files or (), job.file_texts or (), strict=True)
        ),
        user_id=job.user_id,
        output_id=job.output_id if isinstance(job, Claim) else None,
    )


def script_of(job: Claim | NewJob) -> Script:
    """The script of a job that has one."""
    assert job.script is not None  # noqa: S101 - asked for such jobs only
    return script_from(job.script)


def items_beforehand(script: Script) -> dict[str, list[Any]]:
    """The items a script gives without asking a model: what its form may suggest."""
    suggest = script.definition.suggest
    return suggest_items(suggest) if suggest else {}


@dataclass(frozen=True, slots=True)
class Rendering:
    """Messages with every placeholder filled, names without a value, and sentences."""

    messages: tuple[Message, ...]
    missing: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptStep:
    """One step of a definition; see `app.prompts.steps.Step`."""

    asked: Step
    script: Script
    given: Given
    model: str
    is_last: bool
    hook_seconds: float

    any_option = True  # Imixs-AI: options go to the endpoint as they are

    @property
    def options(self) -> Mapping[str, Any]:
        """The definition's options, then the job's; of equal names the later wins, and null takes
        an option away.
        """
        first = CONDITION_OPTIONS if self.asked.mode is Mode.CONDITION else {}
        options = {**first, **(self.asked.options or {}), **self.given.options}
        return {n: value for n, value in options.items() if n != "model" and value is not None}

    @property
    def format(self) -> str:
        return self.given.format if self.is_last else self.asked.format or Format.TEXT

    @property
    def response_schema(self) -> Mapping[str, Any] | None:
        return self.given.response_schema if self.is_last else self.asked.response_schema

    @property
    def conversation_item(self) -> str:
        """Where an assistant's conversation is kept."""
        return self.asked.result_item or self.asked.context_item or CONTEXT_ITEM

    @property
    def asks_nobody(self) -> bool:
        """Whether the answer is known without a model."""
        return self.asked.mode is Mode.CONDITION and not self.asked.messages

    def render(self, values: Mapping[str, Any], items: Items) -> Rendering:
        """The step's own messages, a task's before them where the conversation has not begun."""
        material = Material(
            context=values,
            workitem=self.given.workitem.with_items(items),
            files=self.given.files,
            properties=self.script.properties,
            names=self.script.names,
            work=self.given.work,
        )
        written = self._written(self._history(items))
        return _rendering([(m.role, parse(m.content).render(material)) for m in written])

    async def question(self, values: Mapping[str, Any], items: Items) -> Question | None:
        """See `Step.question`. An empty condition is false without asking anybody (Imixs-AI)."""
        if self.asks_nobody:
            return None
        # Up to seconds of CPU for a prompt made to be slow: not on the loop.
        rendering = await in_thread(partial(self.render, values, items))
        if rendering.missing:
            raise MissingVariables(list(rendering.missing))
        return await self.build(rendering, items)

    async def build(self, rendering: Rendering, items: Items) -> Question:
        """The question of rendered messages, after every prompt builder has seen them."""
        messages = await hooks.build(
            rendering.messages,
            workitem=self.given.workitem,
            user_id=self.given.user_id,
            output_id=self.given.output_id,
            timeout_seconds=self.hook_seconds,
        )
        return self._asking(messages, items, rendering.warnings)

    async def read(self, question: Question | None, text: str, items: Items) -> Reading:
        """See `Step.read`."""
        answer = text if question else "false"
        found: Items = {}
        warnings: tuple[str, ...] = ()
        if event := self._result_event():
            try:
                result = await hooks.read_result(
                    event,
                    ResultEvent(
                        text=answer,
                        workitem=self.given.workitem.with_items(items),
                        result_item=self.asked.result_item,
                    ),
                    timeout_seconds=self.hook_seconds,
                )
            except AnswerUnreadable as error:
                return Reading(problem=str(error))
            found, warnings = result.items, result.warnings
        if question and question.conversation is not None:
            kept = question.conversation.with_answer(answer.strip(), datetime.now(UTC))
            found = {**found, self.conversation_item: kept.to_items()}
        return Reading(found, warnings, text=answer)

    def _result_event(self) -> str | None:
        if self.asked.mode is Mode.CONDITION:
            return "BOOLEAN"
        stores_text = self.asked.result_item and self.asked.mode is Mode.PROMPT
        return self.asked.result_event or ("TEXT" if stores_text else None)

    def _history(self, items: Items) -> Conversation:
        """What an assistant's conversation holds so far; nothing for other steps."""
        if self.asked.mode is not Mode.ASSISTANT:
            return Conversation()
        workitem = self.given.workitem.with_items(items)
        return Conversation.from_items(workitem.values(self.conversation_item))

    def _written(self, history: Conversation) -> Sequence[PromptMessage]:
        if self.asked.mode is Mode.ASSISTANT and history.last("system") is None:
            return (*self.script.definition.task_messages, *self.asked.messages)
        return self.asked.messages

    def _asking(
        self, messages: Sequence[Message], items: Items, warnings: tuple[str, ...]
    ) -> Question:
        conversation = None
        if self.asked.mode is Mode.ASSISTANT:
            conversation = self._history(items).with_definition(
                messages, user_id=self.given.user_id, at=datetime.now(UTC)
            )
            messages = conversation.to_messages()
        own = [CONDITION_SYSTEM] if self.asked.mode is Mode.CONDITION else []
        question = assembled(
            list(from_system_on(messages)),  # a system message clears what stands before it
            own="\n\n".join([*own, *([self.given.system] if self.given.system else [])]),
            format=self.format,
            response_schema=self.response_schema,
            warnings=warnings,
        )
        return replace(question, conversation=conversation)


def _rendering(texts: Sequence[tuple[str, Adapted]]) -> Rendering:
    return Rendering(
        tuple(Message(role, text.text) for role, text in texts),
        tuple(dict.fromkeys(_each(text.missing for _, text in texts))),
        tuple(dict.fromkeys(_each(text.warnings for _, text in texts))),
    )


def _each(lists: Iterator[Sequence[str]]) -> Iterator[str]:
    for names in lists:
        yield from names
