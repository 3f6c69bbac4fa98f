"""Prompt definitions as clients write them, and what the library tells of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import ConfigDict, Field

from api.schemas.common import SAME_AS, Lax, ListOf, PageQuery, RowId, Shown, Strict
from api.schemas.files import Files
from api.schemas.jobs import FormatWord

CATEGORIZE: dict[str, Any] = {
    "name": "categorize",
    "description": "Sorts a message into one of three categories.",
    "messages": [
        {"role": "system", "content": "Answer with one of: offer, invoice, other."},
        {"role": "user", "content": "<itemvalue>subject</itemvalue>\n\n{{text}}"},
    ],
    "options": {"temperature": 0},
    "result_item": "category",
    "result_event": "TEXT",
}

ModeWord = Literal["PROMPT", "ASSISTANT", "CONDITION"]
DocumentFormat = Literal["json", "yaml", "xml"]


class DefinitionMessage(Strict):
    """A message: `content` may hold `{{variables}}` and text adapters' tags."""

    role: Literal["system", "user", "assistant"] = "user"
    content: str


class DefinitionStep(Strict):
    """One call of a definition, and what becomes of its answer."""

    mode: ModeWord = Field("PROMPT", description="How it talks to its model; `ASSIST` is read, too")
    messages: list[DefinitionMessage] | None = Field(
        None, description="What is sent; a system message clears everything before it."
    )
    options: dict[str, Any] | None = Field(
        None, description="Options of the model, passed through.", examples=[{"temperature": 0}]
    )
    endpoint: str | None = Field(None, description="Name or address of a registered endpoint.")
    model: str | None = Field(None, max_length=255, description="Which model answers.")
    format: FormatWord | None = None
    response_schema: dict[str, Any] | None = Field(
        None, description="JSON Schema of the answer; needs `format` json.", examples=[None]
    )
    result_item: str | None = Field(None, description="The item the answer is stored in.")
    result_event: str | None = Field(None, description="The handler that reads the answer.")
    context_item: str | None = Field(
        None, description="The item an assistant's conversation is kept in."
    )


class DefinitionSuggest(Strict):
    """Items a form may offer help for."""

    items: list[str] = Field(default_factory=list)
    mode: str = "OFF"


class PromptDefinition(DefinitionStep):
    """A prompt definition of one step; one of several has `steps` in place of the step's fields.

    Several definitions are sent as a list.
    """

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"examples": [CATEGORIZE]}
    )

    name: str = Field("", max_length=100, description="Letters, digits, dots, dashes, underscores.")
    description: str = Field("", max_length=2000)
    steps: list[DefinitionStep] | None = Field(
        None, description="Calls that are made one after another.", examples=[None]
    )
    suggest: DefinitionSuggest | None = Field(None, examples=[None])
    task: str | None = Field(
        None, description="The prompt that says who an assistant is.", examples=[None]
    )
    task_messages: list[DefinitionMessage] | None = Field(None, examples=[None])
    debug: bool = Field(False, description="Keep the whole exchange with the model for its jobs.")


class WhoseQuery(Lax):
    """Whose prompt."""

    user_id: RowId | None = Field(
        None, description="Of this user; otherwise one's own goes before a shared one."
    )


class PromptQuery(WhoseQuery):
    """How to show a prompt."""

    format: DocumentFormat | None = Field(
        None, description="Goes before `Accept`. YAML and XML are the definition alone."
    )


class ChangeQuery(WhoseQuery):
    """Whether the definition is published."""

    publish: bool = Field(True, description="False: it becomes, or replaces, the draft.")


class ImportQuery(ChangeQuery):
    """What becomes of the definitions."""

    name: str = Field("", max_length=100, description="For a definition without a name.")
    user_id: RowId | None = Field(None, description="Whose; administrators only.")


class PromptsQuery(PageQuery):
    """Which prompts."""

    q: str | None = Field(None, max_length=200, description="Looked for in name and description.")
    shared: bool | None = Field(None, description="Only shared ones, or only others.")
    label: str | None = Field(None, max_length=64, description="Only those that have this label.")
    all_users: bool = Field(False, description="Everybody's; administrators only.")
    user_id: RowId | None = Field(None, description="Of this user, as far as they may be seen.")


class VersionsQuery(PageQuery):
    """Which part of the list of a prompt's versions."""

    user_id: RowId | None = Field(None, description="Of this user; see `GET /prompts/{name}`.")


class DiffQuery(WhoseQuery):
    """Which versions are compared."""

    from_: str | None = Field(
        None,
        alias="from",
        max_length=64,
        description="A version's number or a label; the version before `to` unless said.",
    )
    to: str = Field("latest", max_length=64, description="A version's number or a label.")


class PromptChange(Strict):
    """What to change of a prompt. It cannot be renamed; its text changes by a new version."""

    shared: bool = Field(description="Whether everybody may use it.")


class LabelBody(Strict):
    """A label, and the published version it means from now on."""

    label: str = Field(max_length=64, examples=["production"])
    version: int = Field(ge=1, le=999_999_999, examples=[3])


class RollBackBody(Strict):
    """What to roll back: a label to what it meant before, or to this version."""

    label: str = Field("production", max_length=64)
    version: int | None = Field(None, ge=1, le=999_999_999, examples=[2])


class PromptPreviewBody(Strict):
    """What a prompt is tried with; as for a job."""

    context: dict[str, Any] = Field(default_factory=dict, description="The variables' values.")
    workitem: dict[str, Any] | None = Field(None, description="What its placeholders read.")
    files: Files = None
    model: str | None = Field(None, max_length=255, description="Instead of the definition's.")
    options: dict[str, Any] | None = Field(None, description="These go over the definition's.")
    format: FormatWord | None = None


class PersonShown(Shown):
    """Somebody, by number and name."""

    id: int
    name: str


class PromptLine(Shown):
    """A prompt as a list tells it."""

    name: str
    version: int | None = Field(description="The newest published version, else the draft.")
    description: str
    labels: dict[str, int] = Field(
        description="What each label means.", examples=[{"production": 2}]
    )
    latest: int | None = Field(description="The newest published version.")
    draft: int | None = Field(description="The draft, for those who may change it.")
    shared: bool
    owner: PersonShown | None
    created_at: datetime
    updated_at: datetime


class PromptList(ListOf[PromptLine]):
    """A page of prompts."""


class PromptShown(PromptLine):
    """A prompt and one version of it: the times are the version's."""

    version: int = Field(description="The version that is shown.")
    definition: dict[str, Any] = Field(
        description="Its definition: what was said, and nothing else.",
        json_schema_extra={SAME_AS: "PromptDefinition"},
    )
    variables: list[str] = Field(description="Names of its `{{variables}}`.")
    items: list[str] = Field(description="The items of a work item it reads.")
    properties: list[str] = Field(description="The configuration properties it reads.")
    file_patterns: list[str] = Field(description="Which files it reads, as patterns.")
    author: PersonShown | None = Field(description="Who wrote this version.")
    published_at: datetime | None = Field(description="Null for a draft.")


class PromptStored(PromptShown):
    """A definition where it is now."""

    unchanged: bool = Field(description="It said what was there already: no version was added.")


class PromptsStored(Shown):
    """What became of each definition of a document."""

    data: list[PromptStored]
    warnings: list[str]


class PromptReplaced(PromptStored):
    """The prompt with its new version or draft."""

    warnings: list[str]


class VersionShown(Shown):
    """A version of a prompt."""

    version: int
    draft: bool
    labels: list[str] = Field(description="The labels that mean it.")
    description: str
    author: PersonShown | None
    created_at: datetime
    updated_at: datetime
    published_at: datetime | None


class VersionList(ListOf[VersionShown]):
    """A page of versions."""


class LabelShown(Shown):
    """A label."""

    label: str
    version: int
    previous: int | None = Field(description="What it meant before; a roll back goes there.")
    updated_at: datetime


class RolledBack(Shown):
    """What a roll back did."""

    message: str = Field(examples=["production of categorize means version 2"])
    name: str
    label: str | None = Field(description="The label that was moved; null: a version was added.")
    version: int = Field(description="What jobs get now.")
    before: int | None = Field(description="What they got before.")
    copy_of: int | None = Field(description="The version whose definition was published again.")


class DiffPiece(Shown):
    """A stretch of the definition's YAML."""

    kind: Literal["same", "gone", "new"]
    text: str


class DiffChange(Shown):
    """One place of the definition that differs."""

    place: str = Field(examples=["messages[0].content"])
    kind: Literal["gone", "new", "changed"]
    before: Any
    after: Any


class DiffShown(Shown):
    """What differs between two versions."""

    name: str
    from_: int = Field(alias="from")
    to: int
    differs: bool
    unified: str = Field(description="The YAML's lines, as `diff -u` writes them.")
    pieces: list[DiffPiece] = Field(description="The YAML, word by word.")
    changes: list[DiffChange]
    cut: bool = Field(description="There are more changes than are listed.")


class VersionUse(Shown):
    """How often a version was run."""

    version: int | None
    outputs: int


class OutputUse(Shown):
    """An output that a prompt was run for."""

    output_id: int
    job_id: str
    status: str
    prompt_version: int | None
    created_at: datetime


class UseShown(Shown):
    """What uses a prompt, as far as the caller may see it."""

    name: str
    versions: list[VersionUse]
    capped: bool = Field(description="There are older outputs that were not counted.")
    newest: list[OutputUse] = Field(description="The newest outputs.")
    prompts: list[PromptLine] = Field(description="The prompts that name it as their task.")
