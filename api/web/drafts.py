"""What somebody typed into the form that regenerates an output, read as changes of its parent.

Pure. Secrets of the context are masked in the form; a mask left as it is stands for the parent's
own value. A field that says what the parent says changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from werkzeug.datastructures import MultiDict

from api.web.masks import masked, unmasked
from api.web.render import to_json
from app import diffs
from app.errors import LLMJobsError

Row = Mapping[str, Any]

_FIELDS = ("template", "context", "workitem", "model", "options")
_FIELD_OF_CODE = {
    "unsupported_model": "model",
    "missing_variables": "context",
    "template_syntax": "template",
}


@dataclass(frozen=True, slots=True)
class Draft:
    """The form's fields as text. `other_model` wins over the chosen `model`."""

    template: str = ""
    context: str = ""
    model: str = ""
    other_model: str = ""
    options: str = ""
    workitem: str = ""


@dataclass(frozen=True, slots=True)
class Changes:
    """What `regenerate` is to be given, and the `errors` of fields that cannot be read."""

    wanted: dict[str, Any] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)


def of_row(row: Row) -> Draft:
    """The form as it opens: what the parent was asked. Of messages and definitions no template is
    shown; only definitions have a work item.
    """
    return Draft(
        template="" if row["messages"] or row["definition"] else row["template_name"],
        context=to_json(masked(row["context"] or {})),
        model=row["model_name"],
        options=to_json(row["options"]) if row["options"] else "",
        workitem=to_json(masked(row["workitem"] or {})) if row["definition"] else "",
    )


def of_form(form: MultiDict[str, str]) -> Draft:
    """What was typed; browsers send line ends as CR LF."""
    names = (*_FIELDS, "other_model")
    return Draft(**{name: form.get(name, "").replace("\r\n", "\n") for name in names})


def changes(draft: Draft, row: Row) -> Changes:
    """The draft as changes of a described row."""
    found = Changes()
    if not row["definition"]:
        _read_template(draft, row, found)
    model = draft.other_model.strip() or draft.model.strip()
    if model and model != row["model_name"]:
        found.wanted["model"] = model
    for name in ("context", "options", *(("workitem",) if row["definition"] else ())):
        value = _object(draft, name, found.errors)
        if name != "options":
            value = unmasked(value, row[name] or {})
        if name not in found.errors and diffs.of_values(row[name] or {}, value).differs:
            found.wanted[name] = value
    return found


def changed_row(row: Row, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The described row with the changes made, for comparing."""
    made = {"template": "template_name", "model": "model_name"}
    changed = {**row, **{made.get(name, name): value for name, value in wanted.items()}}
    return {**changed, "messages": None} if "template" in wanted else changed


def errors_of(error: LLMJobsError) -> dict[str, str]:
    """A refusal, beside the field it is about; under an empty name when it is about none."""
    pointed = (getattr(error, "pointer", None) or "").strip("/").partition("/")[0]
    field_name = _FIELD_OF_CODE.get(error.code, pointed)
    return {field_name if field_name in _FIELDS else "": error.message}


def _read_template(draft: Draft, row: Row, found: Changes) -> None:
    was = of_row(row).template.replace("\r\n", "\n")
    if draft.template.strip() and draft.template != was:
        found.wanted["template"] = draft.template
    elif not draft.template.strip() and not row["messages"]:
        found.errors["template"] = "Write a template"


def _object(draft: Draft, name: str, errors: dict[str, str]) -> Any:
    text = getattr(draft, name).strip()
    if not text:
        return {}
    try:
        value = json.loads(text, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        errors[name] = f"Not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        return {}
    except (ValueError, RecursionError):
        errors[name] = "Not JSON that can be read here"
        return {}
    if not isinstance(value, dict):
        errors[name] = 'Must be an object, such as {"name": "Ada"}'
        return {}
    return value


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")
