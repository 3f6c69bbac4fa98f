"""Values to try a prompt with: variables, a work item as JSON, the text of a file. As typed.

They are sent along with a definition that is written, and are stored nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from werkzeug.datastructures import MultiDict

from api.web.submission.context import MOST_FIELDS, context_of, json_of
from api.web.submission.form import JobForm, Typed
from api.web.submission.form import read as read_job_form
from app.context.files import ReadFile, SentFile, read_files
from app.errors import InvalidRequest, RequestError


@dataclass(frozen=True, slots=True)
class TrialValues:
    """What stands in the fields of the values."""

    form: JobForm = field(default_factory=JobForm)
    workitem: str = ""
    file_name: str = ""
    file_text: str = ""

    def typed(self, name: str) -> Typed:
        """What stands in a variable's field."""
        return self.form.values.get(name, Typed())


@dataclass(frozen=True, slots=True)
class Given:
    """The same, read: as a job takes it. `faults` are sentences by field."""

    context: dict[str, Any] = field(default_factory=dict)
    workitem: dict[str, Any] | None = None
    files: tuple[ReadFile, ...] = ()
    faults: Mapping[str, str] = field(default_factory=dict)


def sent(form: MultiDict[str, str]) -> TrialValues:
    """The values of a form that was sent."""
    return TrialValues(
        read_job_form(form),
        workitem=form.get("workitem", ""),
        file_name=form.get("file_name", ""),
        file_text=form.get("file_text", "").replace("\r\n", "\n"),
    )


def given(values: TrialValues, variables: Sequence[str]) -> Given:
    """What was typed as a job takes it, as far as it can be read."""
    faults: dict[str, str] = {}
    context: dict[str, Any] = {}
    for name in variables[:MOST_FIELDS]:
        try:
            one = JobForm(values={name: values.typed(name)})
            context = _merged(context, context_of(one, [name]))
        except RequestError as error:
            faults[f"value:{name}"] = error.message
    workitem: dict[str, Any] | None = None
    files: tuple[ReadFile, ...] = ()
    try:
        workitem = workitem_of(values.workitem)
    except RequestError as error:
        faults["workitem"] = error.message
    try:
        files = _files(values)
    except RequestError as error:
        faults["file_text"] = error.message
    return Given(context, workitem, files, faults)


def workitem_of(text: str) -> dict[str, Any] | None:
    """A typed work item. Raises InvalidRequest at `/workitem`."""
    if not text.strip():
        return None
    value = json_of(text, "/workitem")
    if not isinstance(value, dict):
        raise InvalidRequest("This must be an object of items", pointer="/workitem")
    return value


def _files(values: TrialValues) -> tuple[ReadFile, ...]:
    if not values.file_text.strip():
        return ()
    return tuple(
        read_files([SentFile(values.file_name.strip() or "sample.txt", text=values.file_text)])
    )


def _merged(context: dict[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Both, where objects of one name become one: `user.name` and `user.age` are below `user`."""
    for name, value in more.items():
        there = context.get(name)
        if isinstance(there, dict) and isinstance(value, dict):
            value = _merged(there, value)
        context[name] = value
    return context
