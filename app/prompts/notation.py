"""JSON and YAML as the values JSON knows: read strictly, YAML written as people like to read it.

What is read here can be stored, compared and written again: no name twice in an object, no NaN,
NUL or lone surrogate, nothing deeper than `MAX_DEPTH`. YAML is taken as JSON in other clothes (the
words of YAML 1.2, where `on` and a date are text), without anchors, aliases and tags.
Not here: what the values mean (`definition`).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import yaml

from app.errors import PromptTemplateInvalid

MAX_DEPTH = 32
MAX_NUMBER_CHARACTERS = 300

_Reader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NEVER = re.compile("[\x00\ud800-\udfff]")
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRUTH = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_WHOLE = re.compile(r"[-+]?[0-9]++", re.ASCII)
_REAL = re.compile(r"[-+]?(?:\.[0-9]++|[0-9]++(?:\.[0-9]*+)?)(?:[eE][-+]?[0-9]++)?", re.ASCII)
_NO_NUMBER = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", re.ASCII)
_NOT_IN_BLOCK = re.compile(r"[^\S \n]|[^\S\n]\n|[\x7f-\x9f\ufeff]")
_TOO_DEEP = f"{{}} is nested too deep: at most {MAX_DEPTH} levels are read"
_TEXT_TAGS = ("!", "tag:yaml.org,2002:str")


def invalid(problem: str, line: int, column: int) -> PromptTemplateInvalid:
    """The error for a document that cannot be read, with where it stands, counted from 1."""
    return PromptTemplateInvalid(
        f"{problem} (line {line}, column {column})", line=line, column=column
    )


def json_value(
    text: str,
    *,
    what: str = "The document",
    line: int = 1,
    column: int = 1,
    depth: int = MAX_DEPTH,
) -> Any:
    """The value of a text that is JSON and nothing else, nested at most `depth` deep.

    `what` begins the sentence of an error, `line` and `column` are where the text itself begins.
    Raises PromptTemplateInvalid.
    """
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        problem = f"{what} is not valid JSON: {error.msg}"
        before = column - 1 if error.lineno == 1 else 0
        raise invalid(problem, line + error.lineno - 1, before + error.colno) from None
    except RecursionError:
        raise _too_deep(what) from None
    except ValueError as error:
        raise PromptTemplateInvalid(f"{what} cannot be read: {error}", line=line) from None
    _check(value, what, depth)
    return value


def yaml_values(text: str) -> list[Any]:
    """The value of each document of a YAML stream. Raises PromptTemplateInvalid."""
    try:
        values = list(_documents(yaml.parse(text, Loader=_Reader)))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise invalid(f"The document is not valid YAML: {error.problem}", line, column) from None
    except yaml.YAMLError:
        raise invalid("The document is not valid YAML: a character is not allowed", 1, 1) from None
    _check(values, "The document", MAX_DEPTH + 1)  # one level is the list of documents
    return values


def write_yaml(value: Any) -> str:
    """A JSON-like value as YAML that `yaml_values` and any reader of 1.1 or 1.2 read the same."""
    written: str = yaml.dump(
        value,
        Dumper=_Writer,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=False,
        width=100,
    )
    return written


# --- JSON ----------------------------------------------------------------------------------------


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the name {name[:100]!r} stands twice in an object")
        found[name] = value
    return found


def _whole(digits: str) -> int:
    if len(digits) > MAX_NUMBER_CHARACTERS:
        raise ValueError(f"a number has more than {MAX_NUMBER_CHARACTERS} characters")
    return int(digits)


def _real(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits[:40]} is out of range for a number")
    return number


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number JSON has")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_whole, parse_float=_real, parse_constant=_constant
)


def _check(value: Any, what: str, depth: int) -> None:
    """Refuse texts nobody can store, and what is too deep. Level by level, without recursion."""
    level = [value]
    while level:
        deeper: list[Any] = []
        for item in level:
            if isinstance(item, str):
                _check_text(item, what)
            elif isinstance(item, (dict, list)) and depth == 0:
                raise _too_deep(what)
            elif isinstance(item, dict):
                deeper += item.keys()
                deeper += item.values()
            elif isinstance(item, list):
                deeper += item
        level, depth = deeper, depth - 1


def _check_text(text: str, what: str) -> None:
    if _NEVER.search(text):
        raise PromptTemplateInvalid(f"{what} holds a NUL or half a surrogate pair in a text")


def _too_deep(what: str) -> PromptTemplateInvalid:
    return PromptTemplateInvalid(_TOO_DEEP.format(what))


# --- YAML ----------------------------------------------------------------------------------------


def _documents(events: Iterator[Any]) -> Iterator[Any]:
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            yield _value(next(events), events, 0)


def _value(event: Any, events: Iterator[Any], depth: int) -> Any:
    """The value that begins with `event`. Recurses `MAX_DEPTH` times at most."""
    if getattr(event, "anchor", None) is not None:
        raise _refused(event, f"Anchors and aliases are not read: {event.anchor[:100]!r}")
    if isinstance(event, yaml.ScalarEvent):
        return _scalar(event)
    if event.tag is not None and not event.implicit:
        raise _refused(event, f"The tag {event.tag[:100]!r} is not read")
    if depth == MAX_DEPTH:
        raise _refused(event, _TOO_DEEP.format("The document"))
    if isinstance(event, yaml.SequenceStartEvent):
        return list(_until(yaml.SequenceEndEvent, events, depth + 1))
    return _fields(events, depth + 1)


def _until(end: type[Any], events: Iterator[Any], depth: int) -> Iterator[Any]:
    for event in events:
        if isinstance(event, end):
            return
        yield _value(event, events, depth)


def _fields(events: Iterator[Any], depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for event in events:
        if isinstance(event, yaml.MappingEndEvent):
            break
        name = _value(event, events, depth)
        if not isinstance(name, str):
            raise _refused(event, "A name must be a text; write it in quotes")
        if name in found:
            raise _refused(event, f"The name {name[:100]!r} stands twice in an object")
        found[name] = _value(next(events), events, depth)
    return found


def _scalar(event: Any) -> Any:
    if not event.implicit[0]:
        if event.tag not in (None, *_TEXT_TAGS):
            raise _refused(event, f"The tag {event.tag[:100]!r} is not read")
        return event.value
    try:
        return _plain(event.value)
    except ValueError as error:
        raise _refused(event, f"The document cannot be read: {error}") from None


def _plain(text: str) -> Any:
    """What an unquoted text means in YAML 1.2. Raises ValueError for a number JSON has not."""
    if text in _NULL:
        return None
    if text in _TRUTH:
        return _TRUTH[text]
    for pattern, number in _NUMBERS:
        if pattern.fullmatch(text):
            return number(text)
    return text


_NUMBERS: tuple[tuple[re.Pattern[str], Callable[[str], Any]], ...] = (
    (_WHOLE, _whole),
    (_REAL, _real),
    (_NO_NUMBER, _constant),
)


def _refused(event: Any, problem: str) -> PromptTemplateInvalid:
    mark = event.start_mark
    return invalid(problem, mark.line + 1, mark.column + 1)


class _Writer(yaml.SafeDumper):
    """Texts of several lines as blocks where a block keeps them exactly; nothing by reference."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _written_text(writer: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None
    if _NOT_IN_BLOCK.search(text):
        style = '"'
    elif "\n" in text:
        style = "|"
    elif _reads_otherwise(text):
        style = "'"
    return writer.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _reads_otherwise(text: str) -> bool:
    try:
        return not isinstance(_plain(text), str)
    except ValueError:
        return True


_Writer.add_representer(str, _written_text)
