"""What a form asks for: its texts as a `JobRequest`, and each fault beside the field it is in.

Only what a text must be before `app.jobs` can judge it is checked here (JSON, numbers, times); the
errors of both become sentences by field name. "" stands for the form as a whole.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from api.schemas.common import LARGEST_ID, read_rfc_3339
from api.web.submission.context import context_of, json_of, names_in
from api.web.submission.form import AS_JSON, JobForm
from app.context.files import read_files
from app.errors import InvalidParameter, NotFound, RequestError
from app.jobs import IdempotencyRequest, JobRequest
from models import Format

Value = TypeVar("Value")

#: Where an error's pointer leads when the field has another name.
_FIELD_OF = {"model": "model", "priority": "queue"}
_HAVE_FIELDS = frozenset(
    {"template", "messages", "system", "model", "format", "queue", "context", "options",
     "temperature", "max_tokens", "response_schema", "run_at", "metadata", "fetchers", "agent_id",
     "models", "prompt", "workitem", "files"}
)  # fmt: skip
_LOCAL_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?", re.ASCII)


@dataclass(slots=True)
class Faults:
    """Sentences by field; `status` is that of the first, 200 without any."""

    by_field: dict[str, str] = field(default_factory=dict)
    status: int = 200

    def note(self, error: RequestError, form: JobForm) -> None:
        """Put an error beside its field; the first of a field stays."""
        self.by_field.setdefault(_field_of(error, form), error.message)
        self.status = error.status if self.status == 200 else self.status

    def __bool__(self) -> bool:
        return bool(self.by_field)


def request_of(form: JobForm) -> tuple[JobRequest, Faults]:
    """What is asked for, as far as it can be read, and what cannot."""
    faults = Faults()

    def take(read: Callable[[], Value], otherwise: Value) -> Value:
        try:
            return read()
        except RequestError as error:
            faults.note(error, form)
            return otherwise

    has_messages = form["messages"].strip() != ""
    no_template = form.picked or (has_messages and not form["template"].strip())
    request = JobRequest(
        prompt=form["prompt"].strip() or None,
        workitem=take(lambda: _workitem(form), None),
        files=take(lambda: tuple(read_files(form.files)) if form.picked else (), ()),
        template=None if no_template else form["template"],
        model=form.model_name or None,
        context=take(lambda: context_of(form, names_in(form)), {}),
        format=form["format"] or None,
        queue=form["queue"] or None,
        agent_id=take(lambda: _agent_id(form["agent_id"]), None),
        options=take(lambda: _options(form), None),
        system=form["system"] if form["system"].strip() else None,
        messages=take(lambda: _messages(form), None),
        response_schema=take(lambda: _schema(form), None),
        run_at=take(lambda: _moment(form["run_at"]), None),
        metadata=take(lambda: _json(form, "metadata", dict, "an object"), None),
        fetchers=take(lambda: _fetchers(form), None),
        strict=form["strict"] == "yes",
    )
    return request, faults


def idempotency_of(form: JobForm, request: JobRequest, *more: str) -> IdempotencyRequest:
    """A double click asks for one job; the same form, changed after going back, for another."""
    text = json.dumps([asdict(request), more], sort_keys=True, default=str)
    digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
    return IdempotencyRequest(f"page-{form.key}-{digest[:32]}", digest)


def body_of(request: JobRequest) -> dict[str, Any]:
    """The request as `POST /api/v1/llm_jobs` takes it: what is said, in the seed's order;
    of files their names.
    """
    files = [{"name": file.name, "text": "…"} for file in request.files]
    said = {
        "prompt": request.prompt,
        "workitem": request.workitem,
        "files": files or None,
        "template": request.template,
        "messages": request.messages,
        "model": request.model,
        "context": request.context or None,
        "format": request.format,
        "response_schema": request.response_schema,
        "system": request.system,
        "queue": request.queue if request.queue != "default" else None,
        "agent_id": request.agent_id,
        "options": request.options,
        "run_at": request.run_at.isoformat().replace("+00:00", "Z") if request.run_at else None,
        "strict": request.strict or None,
        "fetchers": request.fetchers,
        "metadata": request.metadata,
    }
    return {name: value for name, value in said.items() if value is not None}


def _field_of(error: RequestError, form: JobForm) -> str:
    top, _, rest = (error.pointer or "").removeprefix("/").partition("/")
    if isinstance(error, NotFound) and not top:
        return "agent_id"
    if top == "context" and rest and form["context_as"] != AS_JSON:
        name = rest if rest in form.values else rest.replace("/", ".")
        if name in form.values:
            return f"value:{name}"
    if top == "options" and rest in ("temperature", "max_tokens"):
        return rest
    name = _FIELD_OF.get(top, top)
    return name if name in _HAVE_FIELDS else ""


def _json(form: JobForm, name: str, kind: type[Value], words: str) -> Value | None:
    if not form[name].strip():
        return None
    value = json_of(form[name], f"/{name}")
    if not isinstance(value, kind):
        raise InvalidParameter(f"This must be {words}", pointer=f"/{name}")
    return value


def _messages(form: JobForm) -> list[dict[str, str]] | None:
    """Only without a chosen prompt: with one its field is hidden."""
    return None if form.picked else _json(form, "messages", list, "a list")


def _workitem(form: JobForm) -> dict[str, Any] | None:
    """Only of a chosen prompt, whose placeholders read it."""
    return _json(form, "workitem", dict, "an object of items") if form.picked else None


def _schema(form: JobForm) -> dict[str, Any] | None:
    """Only with the format json: with any other its field is hidden."""
    if form["format"] != Format.JSON:
        return None
    return _json(form, "response_schema", dict, "an object")


def _options(form: JobForm) -> dict[str, Any] | None:
    said = dict(_json(form, "options", dict, "an object") or {})
    if form["temperature"].strip():
        said["temperature"] = _number(form["temperature"], "temperature")
    if form["max_tokens"].strip():
        tokens = _number(form["max_tokens"], "max_tokens")
        if tokens != int(tokens) or not 1 <= tokens <= 10_000_000:
            raise InvalidParameter("Give a whole number of tokens", pointer="/max_tokens")
        said["max_tokens"] = int(tokens)
    return said or None


def _fetchers(form: JobForm) -> dict[str, Any] | list[str] | None:
    """Names, or names with their arguments; what they must be is said where they are known."""
    if not form["fetchers"].strip():
        return None
    value = json_of(form["fetchers"], "/fetchers")
    if not isinstance(value, (dict, list)):
        raise InvalidParameter("This must be a list or an object", pointer="/fetchers")
    return value


def _number(text: str, name: str) -> float:
    if not re.fullmatch(r"\s*-?\d{1,9}([.,]\d{1,9})?\s*", text, re.ASCII):
        raise InvalidParameter("Give a number, such as 0.7", pointer=f"/{name}")
    return float(text.strip().replace(",", "."))


def _agent_id(text: str) -> int | None:
    if not text.strip():
        return None
    if not re.fullmatch(r"[1-9]\d{0,18}", text, re.ASCII) or int(text) > LARGEST_ID:
        raise NotFound("Unknown agent", pointer="/agent_id")
    return int(text)


def _moment(text: str) -> datetime | None:
    """The time of a `datetime-local` field, which is in UTC by its label."""
    said = text.strip()
    if not said:
        return None
    if _LOCAL_TIME.fullmatch(said):
        said = f"{said}Z" if said.count(":") == 2 else f"{said}:00Z"
    try:
        return read_rfc_3339(said)  # type: ignore[no-any-return]
    except ValueError as error:
        raise InvalidParameter(f"This {error}", pointer="/run_at") from None
