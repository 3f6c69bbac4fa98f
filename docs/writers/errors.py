"""The reference of errors: the tree of `app.errors`, and what lifecycle and framework add to it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from api.errors import _FRAMEWORK_CODES
from app.errors import CallError, LLMJobsError, ProviderRateLimited, RequestError, Unavailable
from docs.writers.form import code_first, table

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


def page(written: str) -> str:
    """docs/reference/errors.md."""
    return "\n".join(
        [
            _ERRORS.format(written=written),
            table(["code", "status", "again?", "meaning"], _refusals()),
            _CALL_ERRORS,
            table(["code", "then", "meaning"], _call_errors()),
            _ROW_ERRORS,
            table(["code", "meaning"], code_first({**ROW_CODES, "internal": _INTERNAL})),
            "## Of the start\n",
            table(["code", "meaning"], code_first({"configuration": _meaning_of_start()})),
        ]
    )


def error_codes() -> set[str]:
    """Every code a client, a row or a log can show."""
    tree = {error.code for error in _tree(LLMJobsError)}
    framework = {code for code, _ in _FRAMEWORK_CODES.values()}
    return tree | framework | set(ROW_CODES)


def _refusals() -> list[list[str]]:
    rows: dict[str, list[str]] = {}
    answered: list[type[LLMJobsError]] = [*_tree(RequestError), Unavailable]
    for error in answered:
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
