"""Writes the pages of docs/reference that are read off the code: `make docs`.

What a page says stands where it is applied: settings, the tree of errors, the command line, the
list of endpoints, the calls of loggers. Here is only its form. Pages written by hand (the
simulator, the Python package) are not touched. `tests/docs/test_reference.py` fails while a
committed page differs from what this would write.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import annotated_types
import click
from pydantic import AnyHttpUrl, BaseModel, SecretStr
from pydantic.fields import FieldInfo

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from api import reference as http_api
from api.errors import _FRAMEWORK_CODES
from app.cli import cli
from app.cli.output import Exit
from app.errors import CallError, LLMJobsError, ProviderRateLimited, RequestError, Unavailable
from app.settings import CLIENT_NAMES, Endpoint, FetchUrl, Settings
from docs import log_events

ROOT = Path(__file__).parents[1]
REFERENCE = Path("docs/reference")
ENV_EXAMPLE = Path(".env.example")

_WRITTEN = "<!-- Written by docs/generate.py (`make docs`): change the code, not this page. -->"


def pages() -> dict[Path, str]:
    """Every generated page by its path below the project's root."""
    writers: dict[str, Callable[[], str]] = {
        "settings.md": settings,
        "errors.md": errors,
        "command-line.md": command_line,
        "http-api.md": http_api.markdown,
        "log-events.md": lambda: log_events.page(_WRITTEN),
    }
    return {REFERENCE / name: write().rstrip() + "\n" for name, write in writers.items()}


def main() -> None:
    """Write the pages that have changed, and name them."""
    for path, text in pages().items():
        file = ROOT / path
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")
            click.echo(f"written: {path}")


# --- settings -------------------------------------------------------------------------------------

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
    "json_schema": "Whether it holds answers to a JSON Schema; they are checked here anyway",
}
_FETCH_URL_MEANINGS = {
    "url": "The address: `https`, port 443, public, unless `internal` is true",
    "internal": "It is on your own network: `http`, any port and private addresses are allowed",
}


def settings() -> str:
    """docs/reference/settings.md."""
    fields = {str(field.alias): field for field in Settings.model_fields.values()}
    parts = [_SETTINGS.format(written=_WRITTEN, prefix="LLM_JOBS_")]
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
    _same(CLIENT_NAMES, _CLIENT_SETTINGS, "names read by clients")
    parts.append(table(["variable", "meaning"], _code_first(_CLIENT_SETTINGS)))
    parts.append("## Read by parts we stand on\n")
    parts.append(table(["variable", "who, and what it does"], _code_first(_FOREIGN_SETTINGS)))
    return "\n".join(parts)


def _explained_settings(known: set[str]) -> list[tuple[str, dict[str, str]]]:
    """Sections of .env.example: title, then each setting's sentence. It must name all of them."""
    sections: list[tuple[str, dict[str, str]]] = []
    before = ""
    for line in (ROOT / ENV_EXAMPLE).read_text(encoding="utf-8").splitlines():
        if title := re.fullmatch(r"# --- (.+) ---", line):
            sections.append((title[1].capitalize(), {}))
        elif setting := re.fullmatch(r"# ([A-Z_]+)=.*", line):
            sections[-1][1][setting[1]] = before.replace("*", "\\*")
        before = line.removeprefix("# ")
    _same(known, {name for _, told in sections for name in told}, f"settings in {ENV_EXAMPLE}")
    return sections


def _members(model: type[BaseModel], meanings: Mapping[str, str]) -> str:
    """The table of a setting that is a JSON object."""
    _same(model.model_fields, meanings, f"members of {model.__name__}")
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
}


def _bounds(field: FieldInfo) -> str:
    words = {annotated_types.Gt: "more than", annotated_types.Ge: "from", annotated_types.Le: "to"}
    found = [
        f"{words[type(bound)]} {next(iter(vars_of(bound))):,}"
        for bound in field.metadata
        if type(bound) in words
    ]
    return (" " + " ".join(found)) if found else ""


def vars_of(bound: Any) -> Iterator[Any]:
    """The values a bound holds: it has one."""
    return (getattr(bound, name) for name in type(bound).__dataclass_fields__)


# --- errors ---------------------------------------------------------------------------------------

_ERRORS = """# Errors

{written}

Every error has a stable `code`. In an HTTP answer it is `code` of the problem body; of a job that
failed or waits for a retry it is `error_code` of the row and of the attempt. The class stands in
`app/errors.py`. What to do about each: [Troubleshoot](../how-to/troubleshoot.md).

## Answers of the HTTP API

*Again?* says whether the same request may succeed later, unchanged.
"""

_CALL_ERRORS = """## Calls to models

What a call can end with, on the row and its attempt. *Then*: **retried** uses a try and waits in
the row; **waits** pauses the provider's bucket for everyone and uses no try; **final** fails the
job at once.
"""

_ROW_ERRORS = """## Ends without a call

Codes on rows and attempts that no call to a model brought about.
"""

#: Codes that `app.lifecycle` writes itself; a test looks for each of them there.
ROW_CODES = {
    "expired": "The deadline passed before the job was run: its own `deadline`, or"
    " `LLM_JOBS_MAX_AGE_SECONDS` after its acceptance",
    "poison": "Three workers died while they held the job; it is not given to a fourth",
    "worker_lost": "A worker died while it held the job, which waits for another one now",
}
_INTERNAL = "Something unforeseen failed on our side; the log has the request id or the job id"


def errors() -> str:
    """docs/reference/errors.md."""
    return "\n".join(
        [
            _ERRORS.format(written=_WRITTEN),
            table(["code", "status", "again?", "meaning"], _refusals()),
            _CALL_ERRORS,
            table(["code", "then", "meaning"], _call_errors()),
            _ROW_ERRORS,
            table(["code", "meaning"], _code_first({**ROW_CODES, "internal": _INTERNAL})),
            "## Of the start\n",
            table(["code", "meaning"], _code_first({"configuration": _meaning_of_start()})),
        ]
    )


def error_codes() -> set[str]:
    """Every code a client, a row or a log can show."""
    tree = {error.code for error in _tree(LLMJobsError)}
    framework = {code for code, _ in _FRAMEWORK_CODES.values()}
    return tree | framework | set(ROW_CODES)


def _refusals() -> list[list[str]]:
    rows: dict[str, list[str]] = {}
    for error in (*_tree(RequestError), Unavailable):
        rows[error.code] = [str(error.status), "yes" if error.retryable else "no", _meaning(error)]
    for status, (code, title) in _FRAMEWORK_CODES.items():
        rows.setdefault(code, [str(status), "no", title])
    rows["internal"] = ["500", "perhaps", _INTERNAL]
    ordered = sorted(rows.items(), key=lambda row: (row[1][0], row[0]))
    return [[f"`{code}`", *cells] for code, cells in ordered]


def _call_errors() -> list[list[str]]:
    def then(error: type[LLMJobsError]) -> str:
        if error is ProviderRateLimited:
            return "waits"
        return "retried" if error.retryable else "final"

    return [[f"`{e.code}`", then(e), _meaning(e)] for e in _tree(CallError) if e is not CallError]


def _tree(root: type[LLMJobsError]) -> Iterator[type[LLMJobsError]]:
    """A class and those below it, top-down in the order of the file."""
    yield root
    for child in root.__subclasses__():
        if child.__module__ == "app.errors":
            yield from _tree(child)


def _meaning(error: type[LLMJobsError]) -> str:
    """The title, and what the class says of itself beyond it, without its Python details."""
    own = error.__dict__.get("__doc__") or ""
    first = " ".join(own.split("\n\n")[0].split())
    first = re.split(r" `[a-z_]+` (?:is|says)", first)[0].rstrip(".")
    first = first.removesuffix("; the sentence is the seed's")
    return f"{error.title}. {first}" if first and "`" not in first else error.title


def _meaning_of_start() -> str:
    return (
        "A setting or a combination of settings cannot work: the process does not start and says"
        " which values would"
    )


# --- command line ---------------------------------------------------------------------------------

_COMMAND_LINE = """# Command line

{written}

`llm-jobs COMMAND --help` says the same. Results go to standard output, everything else to standard
error; tables and progress appear on a terminal only, `--json` is for machines.

`dev`, `migrate`, `keys`, `workers`, `simulator` and `doctor` work on this machine, with the
[settings](settings.md) of the platform, and need no API key. All others speak HTTP. Each of these
also takes the options

{common}

## Exit statuses

{statuses}"""

_COMMON = {
    "--url URL": "Where the platform is; default `LLM_JOBS_URL`, else `http://127.0.0.1:PORT`",
    "--key KEY": "An API key; default `LLM_JOBS_API_KEY`",
    "--json": "JSON for machines",
}
_STATUSES = {
    Exit.OK: "done; of `wait`, `watch` and `submit --wait`: the job is completed",
    Exit.JOB_FAILED: "the job failed or was cancelled; `doctor` found something missing",
    Exit.USAGE: "a wrong option, setting or key, or a request the platform refuses",
    Exit.TIMEOUT: "the job has not ended within `--timeout`; it goes on",
    Exit.UNREACHABLE: "the platform, or its database, does not answer",
}


def command_line() -> str:
    """docs/reference/command-line.md."""
    _same(Exit, _STATUSES, "exit statuses")
    statuses = table(["status", "meaning"], [[str(int(s)), text] for s, text in _STATUSES.items()])
    common = table(["option", "meaning"], _code_first(_COMMON)).rstrip()
    parts = [_COMMAND_LINE.format(written=_WRITTEN, statuses=statuses, common=common)]
    for path, command in commands():
        parts.append(_command(path, command))
    return "\n".join(parts)


def commands() -> list[tuple[str, click.Command]]:
    """Every command that does something, with the words that call it, in the order of `--help`."""
    return list(_below("llm-jobs", cli))


def _below(path: str, group: click.Group) -> Iterator[tuple[str, click.Command]]:
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            yield from _below(f"{path} {name}", command)
        else:
            yield f"{path} {name}", command


def _command(path: str, command: click.Command) -> str:
    context = click.Context(command, info_name=path)
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    parts = [f"## {path}", (command.help or "").strip(), f"```text\n{usage}\n```"]
    options = [p for p in command.params if isinstance(p, click.Option)]
    if any(option.name == "key" for option in options):
        options = [option for option in options if option.name not in ("url", "key", "as_json")]
    if options:
        rows = [[_spelling(o), _option_default(o), o.help or ""] for o in options]
        parts.append(table(["option", "default", "meaning"], rows).rstrip())
    return "\n\n".join(parts) + "\n"


def _spelling(option: click.Option) -> str:
    names = " / ".join([*option.opts, *option.secondary_opts])
    if option.is_flag:
        return f"`{names}`"
    kind = option.type
    if isinstance(kind, click.Choice):
        value = "|".join(str(choice) for choice in kind.choices)
    else:
        value = option.metavar or kind.name.upper().replace(" RANGE", "")
    several = ", may be repeated" if option.multiple else ""
    needed = ", required" if option.required else ""
    return f"`{names} {value}`{needed}{several}"


def _option_default(option: click.Option) -> str:
    if option.is_flag or option.multiple or option.required:
        return "–"
    default = option.to_info_dict()["default"]
    if default is None or default == "":
        return "–"
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


# --- form -----------------------------------------------------------------------------------------


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    lines += ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _code_first(told: Mapping[str, str]) -> list[list[str]]:
    return [[f"`{name}`", text] for name, text in told.items()]


def _same(known: Iterable[Any], explained: Iterable[Any], what: str) -> None:
    """Stop when something is not explained, or something explained does not exist."""
    known, explained = set(known), set(explained)
    if known != explained:
        raise SystemExit(
            f"{what}: not explained {sorted(known - explained)},"
            f" unknown {sorted(explained - known)}"
        )


if __name__ == "__main__":
    main()
