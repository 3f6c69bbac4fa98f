"""One request of `global_chat`: help with a workflow and the code of its steps at once.

The original asks a small model who shall answer, and lets agents call each other. Here one call
does: the model sees the workflow without any code, and the code of the steps the request is about
(its page's, and those its words name); it answers in prose, then with a whole workflow, with edits
of steps, or with both, which end up in one YAML.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from app.accounts import Caller
from app.chats.input import Said, model_input
from app.chats.sources import NOTHING, Looked, docs_of, look_up
from app.errors import LLMJobsError
from app.providers.contract import Message
from app.runtime import Runtime
from app.services import attachments, edits, skills, workflow_yaml
from app.services.asked import (
    about_adaptor,
    answered,
    history_of,
    object_of,
    required_content,
    until,
)
from app.services.attachments import Attached
from app.services.pages import Page, last_page, page_at
from app.services.workflow_yaml import BLOCK, PLACEHOLDERS, Originals

MOST_STEPS = 5
"""Whose code the model is shown."""

_WRITING = f"""\
Answer in prose first, without YAML and without whole code in it. Only where something shall change,
and after all prose:
- for steps, connections and triggers, {BLOCK}. {PLACEHOLDERS}
- for the code of a step, a block <code_edits step="its key">[edits]</code_edits> for each such
  step, edits being JSON objects of one of these forms, applied in their order:
{edits.FORMS}
  The code of a new step is one rewrite. Nothing comes after the blocks.
Code that is not shown to you stands as a placeholder: say that you cannot see it, do not guess."""
_CODE = '<code step="{}">\n{}\n</code>'
_SKILL = "The author of the last message wants it done in this way:\n<skill>\n{}\n</skill>"
_NO_SEARCH = "options.web_search is not available"


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalChat:
    """A request that was read. `told` is the workflow as the model sees it, `step` the key of the
    step its author looks at.
    """

    content: str
    history: Sequence[Mapping[str, str]] = ()
    workflow: Mapping[str, Any] | None = None
    told: Mapping[str, Any] | None = None
    originals: Originals = field(default_factory=Originals)
    page: Page | None = None
    before: Page | None = None
    step: str | None = None
    attached: Attached = field(default_factory=Attached)
    warnings: Sequence[str] = ()
    skill: str | None = None
    skill_text: str = ""
    looked: Looked = NOTHING
    docs: str = ""

    name = "global_chat"

    @classmethod
    def read(cls, payload: Mapping[str, Any]) -> GlobalChat:
        """Read a payload; unknown keys are ignored. Raises ServiceError."""
        content, skill = required_content(payload), skills.named(payload)
        workflow = workflow_yaml.sent(payload, "workflow_yaml")
        told, originals = workflow_yaml.masked(workflow) if workflow else (None, Originals())
        attached = attachments.read(payload)
        at = page_at(payload.get("page"))
        step = workflow_yaml.step_of(workflow, at.step) if at else None
        searches = object_of(payload, "options").get("web_search") is True
        history = history_of(payload)
        return cls(
            content=skills.without_token(content, skill) if skill else content,
            history=history,
            workflow=workflow,
            told=told,
            originals=originals,
            page=at.page(workflow_yaml.adaptor_of(workflow, step)) if at else None,
            before=last_page(object_of(payload, "meta"), history),
            step=step,
            attached=attached,
            warnings=[*attached.warnings, *([_NO_SEARCH] if searches else [])],
            skill=skill,
        )

    def prepared(self, runtime: Runtime, caller: Caller) -> GlobalChat:
        """See `Asked.prepared`: the skill, and what documents say. Raises ServiceError for a skill
        there is not, and for attachments that are too long.
        """
        self.attached.check(runtime.settings.chat_attachments_max_chars)
        text = ""
        if self.skill is not None:
            with runtime.database.read() as session:
                text = skills.find(session, caller, self.skill)
        adaptor = workflow_yaml.adaptor_of(self.workflow, self.step)
        docs = docs_of(runtime, caller, adaptor) if adaptor else ""
        looked = look_up(
            runtime, caller, self.content, page=self.page, context=self.attached.context
        )
        return replace(self, skill_text=text, docs=docs, looked=looked)

    def messages(self) -> list[Message]:
        """See `Asked.messages`."""
        history = [Said(one["role"], one["content"]) for one in self.history]
        messages = model_input(
            "workflow",
            self.attached.context,
            history,
            Said("user", self.content, self.page),
            reference="\n\n".join(filter(None, [about_adaptor(self.docs), self.looked.reference])),
        )
        parts = [messages[0].content, _WRITING]
        if self.skill_text:
            parts.append(_SKILL.format(self.skill_text))
        if self.told is not None:
            parts.append(workflow_yaml.shown(self.told))
        parts += [_CODE.format(key, code) for key, code in self._visible_code().items()]
        return [Message("system", "\n\n".join(parts)), *messages[1:]]

    def sayable(self, text: str) -> str:
        """See `Asked.sayable`."""
        return until(text, workflow_yaml.OPENS, edits.OPENS)

    def again(self, answer: str) -> list[Message] | None:
        """See `Asked.again`: a workflow that cannot be read, or edits that do not fit."""
        try:
            change = self._change(answer)
        except LLMJobsError as error:
            wrong = workflow_yaml.UNREADABLE.format(error.message)
        else:
            unfit = [one for _, one in change.applied if not one.fits]
            if not unfit:
                return None
            wrong = unfit[0].correction()
        return [*self.messages(), Message("assistant", answer), Message("user", wrong)]

    def changes(self, response: Mapping[str, Any]) -> dict[str, Any] | None:
        """See `Asked.changes`: the new workflow, if there is one."""
        found = response["attachments"]
        return {"yaml": found[0]["content"]} if found else None

    def response(
        self, answer: str, usage: Mapping[str, int], *, longest: int, corrected: str | None = None
    ) -> dict[str, Any]:
        """See `Asked.response`. Words with a change that cannot be read are words."""
        change = self._best(answer, corrected)
        words = self.sayable(answer).strip()
        if change.yaml is not None:
            words = words or workflow_yaml.CONFIRMATION
        elif change.applied:
            words = words or _NOTHING_FITS
        told = answered(words, self.history, self.content, self.page, longest=longest)
        written = [] if change.yaml is None else [{"type": "workflow_yaml", "content": change.yaml}]
        return told | {"attachments": written, "usage": dict(usage), "meta": self._meta(change)}

    def _best(self, answer: str, corrected: str | None) -> _Change:
        """What the answer changes, or its correction where that changes more."""
        try:
            first = self._change(answer)
        except LLMJobsError:
            first = _Change(None)
        try:
            second = self._change(corrected or "", corrected=True)
        except LLMJobsError:
            return first
        return second if second.yaml is not None else first

    def _change(self, answer: str, *, corrected: bool = False) -> _Change:
        """The workflow as an answer leaves it. Raises LLMJobsError for YAML that cannot be read."""
        proposed, originals = workflow_yaml.proposed(answer), self.originals
        new = self.workflow or {}
        if proposed is not None:
            new = workflow_yaml.restored(proposed, originals)
        applied: list[tuple[str, edits.Applied]] = []
        for block in edits.blocks(answer):
            key = workflow_yaml.step_of(new, block.step) or (None if block.step else self.step)
            if key is None:
                why = f"There is no step {block.step[:80]!r}" if block.step else "No step is named"
                applied.append((block.step, edits.Applied(None, 0, (why,), fits=False)))
                continue
            done = edits.apply(workflow_yaml.code_of(new, key), block.edits, corrected=corrected)
            applied.append((key, done))
            if done.code is not None:
                new = workflow_yaml.with_code(new, key, done.code)
        changed = proposed is not None or any(one.patches for _, one in applied)
        return _Change(workflow_yaml.written(new) if changed else None, proposed, applied)

    def _visible_code(self) -> dict[str, str]:
        """The code of the step of the page, and of those that the words name."""
        mentioned = workflow_yaml.mentioned(self.workflow, self.content)
        keys = dict.fromkeys([*([self.step] if self.step else []), *mentioned])
        codes = {key: workflow_yaml.code_of(self.workflow or {}, key) for key in keys}
        return dict(list(codes.items())[:MOST_STEPS])

    def _meta(self, change: _Change) -> dict[str, Any]:
        calls = [{"agent": "job_code_agent", "job_key": k, "diff": d} for k, d in change.diffs]
        took_part = {
            "workflow_agent": change.proposed is not None or self.step is None,
            "job_code_agent": bool(calls) or self.step is not None,
        }
        page = self.page or self.before
        told: dict[str, Any] = {
            "agents": [name for name, took in took_part.items() if took],
            "router_confidence": 1.0,
            "planner_iterations": 0,
            "tool_calls": [],
            "total_tool_calls": 0,
            "subagent_calls": calls,
        }
        told |= {"skill": self.skill} if self.skill else {}
        told |= {"warnings": list(self.warnings)} if self.warnings else {}
        return told | ({"last_page": page} if page and page.get("name") else {})


_NOTHING_FITS = "I suggested changes that do not fit the code."


@dataclass(frozen=True, slots=True)
class _Change:
    """What an answer changes: the whole YAML, None for nothing, and what came of its edits."""

    yaml: str | None
    proposed: Mapping[str, Any] | None = None
    applied: Sequence[tuple[str, edits.Applied]] = ()

    @property
    def diffs(self) -> list[tuple[str, dict[str, Any]]]:
        return [(key, one.to_diff()) for key, one in self.applied]
