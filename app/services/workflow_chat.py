"""One request of `workflow_chat`: help with a whole workflow, whose YAML comes along and back.

The model says its words first, then the whole YAML in one block, so that words can be shown while
they are written. A block that cannot be read is asked for once more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.accounts import Caller
from app.chats.input import Said, model_input
from app.errors import LLMJobsError
from app.providers.contract import Message
from app.runtime import Runtime
from app.services import workflow_yaml
from app.services.asked import answered, content_of, history_of, object_of, until
from app.services.pages import Page, page_of
from app.services.problems import bad_request
from app.services.workflow_yaml import BLOCK, PLACEHOLDERS, Originals

_WRITING = f"""\
Answer in prose first, without the YAML. Only when the workflow shall change, end with {BLOCK}, and
nothing after it. {PLACEHOLDERS} A step's code is not yours to write."""
_READING = "The workflow is not to be changed: answer in prose, without any YAML."
_ERRORS = "The workflow does not work:\n{}\nMend it."


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowChat:
    """A request that was read. `told` is the workflow as the model sees it."""

    content: str
    history: Sequence[Mapping[str, str]] = ()
    told: Mapping[str, Any] | None = None
    originals: Originals = field(default_factory=Originals)
    page: Page | None = None
    read_only: bool = False

    name = "workflow_chat"

    @classmethod
    def read(cls, payload: Mapping[str, Any]) -> WorkflowChat:
        """Read a payload; unknown keys are ignored. Raises ServiceError."""
        read_only = payload.get("read_only") is True
        content, errors = content_of(payload), payload.get("errors")
        if isinstance(errors, str) and errors.strip() and not read_only:
            content = "\n\n".join(filter(None, [content, _ERRORS.format(errors)]))
        if not content.strip():
            raise bad_request("'content' or 'errors' is required")
        workflow = workflow_yaml.sent(payload, "existing_yaml")
        told, originals = workflow, Originals()
        if workflow is not None:
            if read_only:
                told = workflow_yaml.without_ids(workflow)
            else:
                told, originals = workflow_yaml.masked(workflow)
        return cls(
            content=content,
            history=history_of(payload),
            told=told,
            originals=originals,
            page=page_of(object_of(payload, "context"), type="workflow"),
            read_only=read_only,
        )

    def prepared(self, runtime: Runtime, caller: Caller) -> WorkflowChat:
        """See `Asked.prepared`. A workflow comes along whole."""
        return self

    def messages(self) -> list[Message]:
        """See `Asked.messages`."""
        history = [Said(one["role"], one["content"]) for one in self.history]
        messages = model_input(
            "workflow",
            {},
            history,
            Said("user", self.content, self.page),
            read_only=self.read_only,
        )
        parts = [messages[0].content, _READING if self.read_only else _WRITING]
        if self.told is not None:
            parts.append(workflow_yaml.shown(self.told))
        return [Message("system", "\n\n".join(parts)), *messages[1:]]

    def sayable(self, text: str) -> str:
        """See `Asked.sayable`."""
        return until(text, workflow_yaml.OPENS)

    def again(self, answer: str) -> list[Message] | None:
        """See `Asked.again`: a workflow that cannot be read, with what is wrong."""
        try:
            self._proposed(answer)
        except LLMJobsError as error:
            wrong = Message("user", workflow_yaml.UNREADABLE.format(error.message))
            return [*self.messages(), Message("assistant", answer), wrong]
        return None

    def changes(self, response: Mapping[str, Any]) -> dict[str, Any] | None:
        """See `Asked.changes`: the new workflow, if there is one."""
        found = response["response_yaml"]
        return None if found is None else {"yaml": found}

    def response(
        self, answer: str, usage: Mapping[str, int], *, longest: int, corrected: str | None = None
    ) -> dict[str, Any]:
        """See `Asked.response`. Words with a workflow that cannot be read are words."""
        words = answer.partition(workflow_yaml.OPENS)[0].strip()
        written = self._written(answer if corrected is None else corrected)
        if written is not None:
            words = words or workflow_yaml.CONFIRMATION
        told = answered(words, self.history, self.content, self.page, longest=longest)
        told |= {"response_yaml": written, "usage": dict(usage)}
        return told | ({"meta": {"last_page": self.page}} if self.page else {})

    def _written(self, answer: str) -> str | None:
        try:
            proposed = self._proposed(answer)
        except LLMJobsError:
            return None
        if proposed is None:
            return None
        return workflow_yaml.written(workflow_yaml.restored(proposed, self.originals))

    def _proposed(self, answer: str) -> dict[str, Any] | None:
        """The workflow in an answer. Raises LLMJobsError when it cannot be read."""
        return None if self.read_only else workflow_yaml.proposed(answer)
