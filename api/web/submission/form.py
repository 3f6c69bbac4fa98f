"""`JobForm`: the fields of the form as texts, as somebody typed them.

It comes from a sent form, from an address (`?template=…&model=…`) or from an output that is used as
a template, and goes into the page again unchanged. Nothing here is checked.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from werkzeug.datastructures import MultiDict

from app.context.files import SentFile
from app.prompts.library.checking import Placeholders
from models import LLMOutput

OTHER_MODEL = "*"
"""Chosen as model, it says that the name is typed beside it."""

AS_FIELDS, AS_JSON = "fields", "json"
"""The words of `context_as`: which spelling of the context counts."""

_DEFAULTS = {
    "prompt": "",
    "workitem": "",
    "template": "",
    "context": "",
    "context_as": AS_FIELDS,
    "model": "",
    "other_model": "",
    "more_models": "",
    "agent_id": "",
    "format": "",
    "response_schema": "",
    "queue": "default",
    "system": "",
    "messages": "",
    "temperature": "",
    "max_tokens": "",
    "options": "",
    "run_at": "",
    "strict": "",
    "metadata": "",
    "fetchers": "",
}
_VALUE, _IS_JSON = "value:", "json:"
_OWN_OPTIONS = ("temperature", "max_tokens")


@dataclass(frozen=True, slots=True)
class Typed:
    """What stands in the field of one variable."""

    text: str = ""
    is_json: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class JobForm:
    """A form. `texts` has every field of `_DEFAULTS`; `models` are those ticked to compare.

    `key` is made when the form is: sent twice, it stands for one job. `reads` is what the saved
    prompt reads that was chosen instead of a template (None: none was, or it is unknown).
    """

    texts: Mapping[str, str] = field(default_factory=lambda: dict(_DEFAULTS))
    values: Mapping[str, Typed] = field(default_factory=dict)
    models: tuple[str, ...] = ()
    key: str = field(default_factory=lambda: uuid.uuid4().hex)
    reads: Placeholders | None = None
    files: tuple[SentFile, ...] = ()

    def __getitem__(self, name: str) -> str:
        """The text of a field."""
        return self.texts[name]

    @property
    def model_name(self) -> str:
        """The model that was chosen or typed; "" leaves it to the agent."""
        chosen = self["other_model"] if self["model"] == OTHER_MODEL else self["model"]
        return chosen.strip()

    @property
    def compared(self) -> tuple[str, ...]:
        """The chosen model, the ticked ones and those typed one a line; each once."""
        typed = (line.strip() for line in self["more_models"].splitlines())
        named = (self.model_name, *self.models, *typed)
        return tuple(dict.fromkeys(name for name in named if name))

    @property
    def picked(self) -> bool:
        """Whether a saved prompt was chosen."""
        return bool(self["prompt"].strip())

    def having(self, **texts: str) -> JobForm:
        """The same form with other texts in these fields."""
        return replace(self, texts={**self.texts, **texts})


def read(sent: MultiDict[str, str]) -> JobForm:
    """The form that was sent, or that an address describes. Unknown fields are left out."""
    texts = {name: _text(sent.get(name, default)) for name, default in _DEFAULTS.items()}
    if "queue" not in sent and "priority" in sent:
        texts["queue"] = _text(sent["priority"])
    form = JobForm(
        texts=texts,
        values=_values(sent),
        models=tuple(dict.fromkeys(sent.getlist("models"))),
    )
    key = sent.get("key", "")
    return replace(form, key=key) if key.isalnum() and len(key) <= 64 else form


def of_output(output: LLMOutput) -> JobForm:
    """A form that asks for the same again, ready to be changed."""
    options = dict(output.options or {})
    own = {name: _as_json(options.pop(name)) for name in _OWN_OPTIONS if name in options}
    return JobForm().having(
        template="" if output.messages or output.prompt_name else output.template_name,
        prompt=f"{output.prompt_name}@{output.prompt_version}" if output.prompt_name else "",
        workitem=_as_json(output.workitem) if output.workitem else "",
        messages=_as_json(output.messages) if output.messages else "",
        context=_as_json(output.context or {}),
        model=output.model_name,
        agent_id=str(output.agent_id or ""),
        format=output.format,
        response_schema=_as_json(output.response_schema) if output.response_schema else "",
        queue=output.queue,
        system=output.system or "",
        strict="yes" if output.strict else "",
        options=_as_json(options) if options else "",
        fetchers=_as_json(output.fetchers) if output.fetchers else "",
        **own,
    )


def _values(sent: MultiDict[str, str]) -> dict[str, Typed]:
    return {
        name.removeprefix(_VALUE): Typed(
            _text(text), bool(sent.get(_IS_JSON + name.removeprefix(_VALUE)))
        )
        for name, text in sent.items()
        if name.startswith(_VALUE)
    }


def _text(sent: str) -> str:
    """As it was typed: browsers send each line's end as two characters."""
    return sent.replace("\r\n", "\n")


def _as_json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
