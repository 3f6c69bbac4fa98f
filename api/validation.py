"""Puts what a client sent through a schema, and its complaints into our words.

The first complaint is the sentence of the refusal; all of them are listed with their places.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from werkzeug.datastructures import MultiDict

from api.errors import Fault
from app.errors import InvalidParameter, InvalidRequest, MissingParameter, UnknownParameter

Model = TypeVar("Model", bound=BaseModel)


def checked(model: type[Model], sent: dict[str, Any]) -> Model:
    """The body as `model`. Raises InvalidRequest with every fault, by JSON pointer."""
    try:
        return model.model_validate(sent)
    except ValidationError as error:
        raise refusal(error.errors(include_url=False, include_input=False)) from None


def read_query(model: type[Model], arguments: MultiDict[str, str]) -> Model:
    """Query parameters as `model`. Raises InvalidRequest with every fault, by name."""
    for name, values in arguments.lists():
        if len(values) > 1:
            raise _query_fault(f"Parameter given more than once: {name}", name)
        if "\x00" in values[0]:
            raise _query_fault(f"Invalid {name}: contains a NUL character", name)
    try:
        return model.model_validate(arguments.to_dict())
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        raise refusal(found, in_query=True) from None


def refusal(found: Sequence[ErrorDetails], *, in_query: bool = False) -> InvalidRequest:
    """What pydantic found wrong, as one of our errors."""
    errors = [_error(details) for details in found]
    first = errors[0]
    first.details["faults"] = [_fault(error, in_query=in_query) for error in errors]
    return first


def _error(found: ErrorDetails) -> InvalidRequest:
    name = ".".join(map(str, found["loc"])) or "body"
    error: InvalidRequest
    if found["type"] == "extra_forbidden":
        error = UnknownParameter(name)
    elif found["type"] == "missing":
        error = MissingParameter(name)
    else:
        error = InvalidParameter(f"Invalid {name}: {_reason(found)}")
    error.pointer = "".join(f"/{_escaped(part)}" for part in found["loc"])
    return error


def _reason(found: ErrorDetails) -> str:
    cause = found.get("ctx", {}).get("error")
    if isinstance(cause, Exception):
        return str(cause)
    return found["msg"].removeprefix("Input ").removeprefix("Value error, ")


def _fault(error: InvalidRequest, *, in_query: bool) -> Fault:
    place = {"parameter" if in_query else "pointer": error.pointer or ""}
    if in_query:
        place = {"parameter": (error.pointer or "").removeprefix("/")}
    return Fault(code=error.code, detail=error.message, title=error.title, **place)


def _query_fault(sentence: str, name: str) -> InvalidParameter:
    error = InvalidParameter(sentence)
    error.details["faults"] = [
        Fault(code=error.code, detail=sentence, title=error.title, parameter=name)
    ]
    return error


def _escaped(part: str | int) -> str:
    return str(part).replace("~", "~0").replace("/", "~1")
