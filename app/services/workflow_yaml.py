"""A workflow's YAML as a model sees it, and as its owner gets it back.

Ids and the code of steps are the owner's: the model gets placeholders in their place, and what it
returns gets the originals back. No placeholder ever leaves this module, no code the model made up
stands where a step's code belongs, and everything that needs an id has one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from app.errors import LLMJobsError, PromptTemplateInvalid
from app.prompts.notation import write_yaml, yaml_values
from app.services.problems import bad_request

NO_CODE = "// Add operations here"

OPENS, _CLOSES = "<workflow_yaml>", "</workflow_yaml>"
BLOCK = f"the whole new workflow as YAML between {OPENS} and {_CLOSES}"
PLACEHOLDERS = (
    "Keep each id and each body as it is: they are placeholders, and new steps have none."
)
UNREADABLE = "The YAML cannot be read: {}. Send it once more, whole, in the same way."
CONFIRMATION = "I have updated the workflow."
"""Said where a model returned a workflow without a word."""

_PLACEHOLDER = re.compile(r"__(?:CODE_BLOCK|ID_JOB|ID_EDGE)_.*?__")
_UNSAFE = re.compile(r"[^A-Za-z0-9 _-]")
_SECTIONS = ("jobs", "triggers", "edges")
_ENDS = ("source_job", "target_job")


@dataclass(slots=True)
class Originals:
    """What stands for what."""

    texts: dict[str, str] = field(default_factory=dict)
    trigger_ids: dict[str, str] = field(default_factory=dict)

    def keep(self, placeholder: str, text: str) -> str:
        self.texts[placeholder] = text
        return placeholder

    def id_of(self, value: Mapping[str, Any]) -> str:
        """Its own id where it says a placeholder that was given; a new one otherwise."""
        told = value.get("id")
        return (self.texts.get(told) if isinstance(told, str) else None) or _new_id()

    def blanked(self, value: Any) -> Any:
        """A value of the model's without any placeholder, wherever it wrote one."""
        if isinstance(value, str):
            for placeholder in self.texts:
                value = value.replace(placeholder, "")
            return _PLACEHOLDER.sub("", value)
        if isinstance(value, Mapping):
            return {self.blanked(name): self.blanked(inner) for name, inner in value.items()}
        return [self.blanked(inner) for inner in value] if isinstance(value, list) else value


def read(text: str) -> dict[str, Any] | None:
    """The workflow in a YAML text; None for nothing, and for `null`.

    Raises PromptTemplateInvalid (a LLMJobsError with the place) for a text that is no YAML object.
    """
    values = yaml_values(text) if text.strip() else []
    if not values or values[0] is None:
        return None
    if len(values) > 1 or not isinstance(values[0], dict):
        raise PromptTemplateInvalid("A workflow is one YAML object")
    return values[0]


def sent(payload: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    """The workflow of a request; None without one. Raises ServiceError."""
    text = payload.get(name)
    if text is None:
        return None
    if not isinstance(text, str):
        raise bad_request(f"'{name}' must be a text")
    try:
        return read(text)
    except LLMJobsError as error:
        raise bad_request(f"'{name}' cannot be read: {error.message}") from None


def proposed(answer: str) -> dict[str, Any] | None:
    """The workflow in a model's answer. Raises as `read`."""
    _, opened, rest = answer.partition(OPENS)
    return read(_unfenced(rest.partition(_CLOSES)[0])) if opened else None


def shown(workflow: Mapping[str, Any]) -> str:
    """As the model is told of it."""
    return f"<workflow>\n{written(workflow)}</workflow>"


def masked(workflow: Mapping[str, Any]) -> tuple[dict[str, Any], Originals]:
    """The same with placeholders for ids and code, and what they stand for."""
    originals = Originals()
    told = dict(workflow)
    told["jobs"] = {
        key: _masked_job(key, job, originals) for key, job in _each(workflow.get("jobs"))
    }
    told["triggers"] = {
        key: _without_id(key, trigger, originals)
        for key, trigger in _each(workflow.get("triggers"))
    }
    told["edges"] = {
        key: _masked_id(key, edge, "EDGE", originals) for key, edge in _each(workflow.get("edges"))
    }
    return {name: value for name, value in told.items() if value or name in workflow}, originals


def step_of(workflow: Mapping[str, Any] | None, name: str | None) -> str | None:
    """The key of the step somebody means: its key, else what is like its key or name, whatever the
    case and the signs between its words. None where there is none.
    """
    steps = _each((workflow or {}).get("jobs"))
    if not name:
        return None
    if any(key == name for key, _ in steps):
        return name
    for key, step in steps:
        if _plain(name) in (_plain(key), _plain(str(step.get("name") or ""))):
            return key
    return None


def mentioned(workflow: Mapping[str, Any] | None, text: str) -> list[str]:
    """The keys of the steps whose key or name stands in a text, word by word."""
    said = f"-{_plain(text)}-"
    return [
        key
        for key, step in _each((workflow or {}).get("jobs"))
        if any(f"-{_plain(one)}-" in said for one in (key, step.get("name")) if one and _plain(one))
    ]


def adaptor_of(workflow: Mapping[str, Any] | None, key: str | None) -> str | None:
    """The adaptor of a step."""
    adaptor = _step(workflow or {}, key).get("adaptor") if key else None
    return adaptor if isinstance(adaptor, str) and adaptor.strip() else None


def code_of(workflow: Mapping[str, Any], key: str) -> str:
    """The code of a step; blank where it has none yet."""
    body = _step(workflow, key).get("body")
    return body if isinstance(body, str) and body.strip() != NO_CODE else ""


def with_code(workflow: Mapping[str, Any], key: str, code: str) -> dict[str, Any]:
    """The same workflow with another code of a step that it has."""
    jobs = workflow["jobs"]
    return {**workflow, "jobs": {**jobs, key: {**_step(workflow, key), "body": code}}}


def without_ids(value: Any) -> Any:
    """The same without anything called `id`, at every depth: for a reader who changes nothing."""
    if isinstance(value, Mapping):
        return {name: without_ids(inner) for name, inner in value.items() if name != "id"}
    return [without_ids(inner) for inner in value] if isinstance(value, list) else value


def restored(proposed: Mapping[str, Any], originals: Originals) -> dict[str, Any]:
    """What the model returned, with the originals in it, names that are allowed, and all ids."""
    clean = originals.blanked
    names = {key: _allowed(clean(key)) for key, _ in _each(proposed.get("jobs"))}
    jobs = {names[key]: _restored_job(job, originals) for key, job in _each(proposed.get("jobs"))}
    triggers = {
        clean(key): {"id": originals.trigger_ids.get(key) or _new_id(), **clean(_rest(trigger))}
        for key, trigger in _each(proposed.get("triggers"))
    }
    edges = {}
    for key, edge in _each(proposed.get("edges")):
        told = {"id": originals.id_of(edge), **clean(_rest(edge))}
        for end in _ENDS:
            if isinstance(told.get(end), str):
                told[end] = names.get(told[end]) or _allowed(told[end])
        edges["->".join(_allowed(part) for part in clean(key).split("->"))] = told
    others = {name: inner for name, inner in proposed.items() if name not in _SECTIONS}
    whole = {**clean(others), "jobs": jobs, "triggers": triggers, "edges": edges}
    return {name: value for name, value in whole.items() if value or name not in _SECTIONS}


def written(workflow: Mapping[str, Any]) -> str:
    """As YAML."""
    return write_yaml(dict(workflow))


def _masked_job(key: str, job: Mapping[str, Any], originals: Originals) -> dict[str, Any]:
    told = _masked_id(key, job, "JOB", originals)
    if isinstance(job.get("body"), str) and job["body"].strip():
        told["body"] = originals.keep(f"__CODE_BLOCK_{key}__", job["body"])
    return told


def _masked_id(
    key: str, value: Mapping[str, Any], kind: str, originals: Originals
) -> dict[str, Any]:
    told = dict(value)
    if isinstance(value.get("id"), str):
        told["id"] = originals.keep(f"__ID_{kind}_{key}__", value["id"])
    return told


def _without_id(key: str, trigger: Mapping[str, Any], originals: Originals) -> dict[str, Any]:
    if isinstance(trigger.get("id"), str):
        originals.trigger_ids[key] = trigger["id"]
    return _rest(trigger)


def _restored_job(job: Mapping[str, Any], originals: Originals) -> dict[str, Any]:
    body = job.get("body")
    code = originals.texts.get(body.strip()) if isinstance(body, str) else None
    told = {"id": originals.id_of(job), **originals.blanked(_rest(job))}
    if isinstance(told.get("name"), str):
        told["name"] = _allowed(told["name"])
    return {**told, "body": code or NO_CODE}


def _rest(value: Mapping[str, Any]) -> dict[str, Any]:
    return {name: inner for name, inner in value.items() if name != "id"}


def _unfenced(text: str) -> str:
    """Models like to put YAML into a code block."""
    lines = text.strip().splitlines()
    if lines and lines[0].startswith("```") and lines[-1].startswith("```"):
        lines = lines[1:-1]
    return "\n".join(lines)


def _allowed(name: str) -> str:
    """A name of letters, digits, spaces, `_` and `-` in ASCII; accents are taken off."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return _UNSAFE.sub("", plain) or "step"


def _each(value: Any) -> list[tuple[str, Mapping[str, Any]]]:
    """The named parts of a section; what is no object has nothing in it."""
    if not isinstance(value, Mapping):
        return []
    return [(str(key), part if isinstance(part, Mapping) else {}) for key, part in value.items()]


def _step(workflow: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    return dict(_each(workflow.get("jobs"))).get(key, {})


def _plain(name: Any) -> str:
    """`Load, then send` → `load-then-send`; letters and digits of any script."""
    return re.sub(r"[\W_]+", "-", str(name).lower()).strip("-")


def _new_id() -> str:
    return str(uuid4())
