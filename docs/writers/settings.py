"""The reference of settings: read off `app.settings`, with the sentences of `.env.example`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import annotated_types
from pydantic import AnyHttpUrl, BaseModel, SecretStr
from pydantic.fields import FieldInfo

from app.settings import CLIENT_NAMES, Endpoint, FetchUrl, Settings
from docs.writers.form import code_first, same, table

_ENV_EXAMPLE = Path(__file__).parents[2] / ".env.example"

_SETTINGS = """# Settings

{written}

Every setting is an environment variable. A variable of the environment wins over the same line in
`.env` (in the directory a process starts in), and both win over `NAME_FILE=/path`, which gives NAME
the content of that file and suits secrets. An empty value counts as unset. Durations are seconds.
`.env.example` in the project's root is this list in the form of a file.

A wrong value stops the start with the allowed ones; so does a `{prefix}…` name that is not listed
here, because a typing error would otherwise pass unseen. `llm-jobs dev` chooses what you leave
open: database, Redis, ports, secrets and the simulator.
"""

#: What the type of a text does not say.
_ALLOWED = {
    "DATABASE_URL": "`sqlite:///…`, `postgresql://…`",
    "REDIS_URL": "`redis://…`",
    "BROKER_URL": "`redis://…`, `amqp://…`",
    "FLOWER_BASIC_AUTH": "`user:password`, secret",
    "LLM_JOBS_CHAT_ROLES": "`member`, `admin`, between commas",
    "LLM_JOBS_RATE_LIMIT": "whole number `/` `second`, `minute`, `hour` or `day`",
}
_CLIENT_SETTINGS = {
    "LLM_JOBS_URL": "Where clients reach the platform. With it set, `llm_jobs` speaks HTTP from any"
    " project; the command line uses it instead of `http://127.0.0.1:PORT`",
    "LLM_JOBS_API_KEY": "The API key those clients send",
}
_FOREIGN_SETTINGS = {
    "WEB_CONCURRENCY": "gunicorn: web processes, each with `LLM_JOBS_WEB_THREADS` threads",
    "FLOWER_DB": "the Procfile: the file in which Flower keeps its state (default `flower`)",
    "NO_COLOR": "`llm-jobs dev`: any value takes the colours out of its output",
}
_ENDPOINT_MEANINGS = {
    "base_url": "Its address, up to and with `/v1`. No user or password in it",
    "api_key": "Sent as `Authorization: Bearer`",
    "user": "For BASIC authentication, instead of a key",
    "password": "For BASIC authentication",
    "options": "Parameters sent with every call, which a job's `options` may override",
    "max_tokens": "Its name for the limit on the answer's tokens",
    "stream_usage": "Whether it takes `stream_options`, so that streamed answers have a usage",
    "model": "Asked for when a job or definition names none",
    "timeout_seconds": "The longest one of its calls may take",
    "any_option": "Whether every option is sent on, known or not, as Imixs-AI does",
    "json_schema": "Whether it holds answers to a JSON Schema; they are checked here anyway",
}
_FETCH_URL_MEANINGS = {
    "url": "The address: `https`, port 443, public, unless `internal` is true",
    "internal": "It is on your own network: `http`, any port and private addresses are allowed",
}


def page(written: str) -> str:
    """docs/reference/settings.md."""
    fields = {str(field.alias): field for field in Settings.model_fields.values()}
    parts = [_SETTINGS.format(written=written, prefix="LLM_JOBS_")]
    head = ["setting", "default", "meaning", "allowed"]
    for title, told in _explained_settings(set(fields)):
        rows = [
            [f"`{n}`", _default(fields[n]), text, _ALLOWED.get(n) or _allowed(fields[n])]
            for n, text in told.items()
        ]
        parts.append(f"## {title}\n\n{table(head, rows)}")
    parts.append("## An entry of `LLM_JOBS_ENDPOINTS`\n")
    parts.append(_members(Endpoint, _ENDPOINT_MEANINGS))
    parts.append("## An entry of `LLM_JOBS_FETCH_URLS`\n")
    parts.append(_members(FetchUrl, _FETCH_URL_MEANINGS))
    parts.append("## Read by clients only\n")
    same(CLIENT_NAMES, _CLIENT_SETTINGS, "names read by clients")
    parts.append(table(["variable", "meaning"], code_first(_CLIENT_SETTINGS)))
    parts.append("## Read by parts we stand on\n")
    parts.append(table(["variable", "who, and what it does"], code_first(_FOREIGN_SETTINGS)))
    return "\n".join(parts)


def _explained_settings(known: set[str]) -> list[tuple[str, dict[str, str]]]:
    """Sections of .env.example: title, then each setting's sentence. It must name all of them."""
    sections: list[tuple[str, dict[str, str]]] = []
    before = ""
    for line in _ENV_EXAMPLE.read_text(encoding="utf-8").splitlines():
        if title := re.fullmatch(r"# --- (.+) ---", line):
            sections.append((title[1].capitalize(), {}))
        elif setting := re.fullmatch(r"# ([A-Z_]+)=.*", line):
            sections[-1][1][setting[1]] = before.replace("*", "\\*")
        before = line.removeprefix("# ")
    same(known, {name for _, told in sections for name in told}, "settings in .env.example")
    return sections


def _members(model: type[BaseModel], meanings: Mapping[str, str]) -> str:
    """The table of a setting that is a JSON object."""
    same(model.model_fields, meanings, f"members of {model.__name__}")
    rows = [
        [
            f"`{name}`",
            "required" if field.is_required() else _default(field),
            meanings[name],
            _allowed(field),
        ]
        for name, field in model.model_fields.items()
    ]
    return table(["member", "default", "meaning", "allowed"], rows)


def _default(field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True, validated_data={})
    if default is None or default == "":
        return "–"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{default}`"


def _allowed(field: FieldInfo) -> str:
    """The values a field takes, in words."""
    kinds = [k for k in get_args(field.annotation) if k is not type(None)]
    kind = field.annotation
    if get_origin(kind) is Literal:
        return ", ".join(f"`{word}`" for word in kinds)
    if get_origin(kind) is dict:
        return "JSON object"
    if kinds:  # an optional one
        kind = kinds[0]
    return _KINDS.get(kind, "text") + _bounds(field)


_KINDS: dict[Any, str] = {
    bool: "`true`, `false`",
    int: "whole number",
    float: "number",
    SecretStr: "secret",
    AnyHttpUrl: "URL",
    Path: "path of a file",
}


def _bounds(field: FieldInfo) -> str:
    words = {annotated_types.Gt: "more than", annotated_types.Ge: "from", annotated_types.Le: "to"}
    found = [
        f"{words[type(bound)]} {next(iter(_values_of(bound))):,}"
        for bound in field.metadata
        if type(bound) in words
    ]
    return (" " + " ".join(found)) if found else ""


def _values_of(bound: Any) -> Iterator[Any]:
    """The values a bound holds: it has one."""
    return (getattr(bound, name) for name in type(bound).__dataclass_fields__)
