"""What a page shows, asked for without a browser: the `{} API` button's three texts.

Pure: each text is complete and can be pasted into a shell or an interpreter once the key is set.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlencode

KEY = "$LLM_JOBS_API_KEY"

#: What `llm-jobs list` can be told; other filters have no command.
_CLI_OPTIONS = ("status", "model", "queue", "feedback", "limit")

Query = Mapping[str, str | int | bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiCalls:
    """The same request three times; empty where there is no such way to ask. `about` says what is
    answered where it is not just what the page shows.
    """

    curl: str = ""
    python: str = ""
    cli: str = ""
    about: str = ""


EFFECTIVE_SETTINGS = ApiCalls(
    cli="llm-jobs doctor --settings",
    about="The API tells nobody what it runs with. Where it runs, this command does.",
)
"""The settings in force, and the limits that follow from them."""


def of_list(base_url: str, query: Query) -> ApiCalls:
    """A list of outputs; `query` is what `GET /api/v1/llm_outputs` takes, without a cursor."""
    path = "/api/v1/llm_outputs" + (f"?{urlencode(_as_text(query))}" if query else "")
    arguments = ", ".join(f"{name}={value!r}" for name, value in query.items())
    return ApiCalls(
        curl=curl(base_url, path),
        python=_python(
            base_url,
            f"for output in client.outputs.list({arguments}):\n"
            "        print(output.id, output.status)",
        ),
        cli=_cli_list(base_url, query) if set(query) <= set(_CLI_OPTIONS) else "",
    )


def of_counted(base_url: str, query: Query) -> ApiCalls:
    """The rows that numbers were counted from."""
    return replace(of_list(base_url, query), about="The rows these numbers are counted from.")


def of_each(base_url: str, output_ids: Sequence[int]) -> ApiCalls:
    """Several outputs, one after the other."""
    address = f"{base_url}/api/v1/llm_outputs/"
    each = "{" + ",".join(map(str, output_ids)) + "}" if len(output_ids) > 1 else output_ids[0]
    return ApiCalls(
        curl=curl(address, str(each)),
        python=_python(
            base_url,
            f"for output_id in {list(output_ids)!r}:\n"
            "        output = client.outputs.get(output_id)\n"
            "        print(output.id, output.status, output.text)",
        ),
    )


def of_output(base_url: str, output_id: int) -> ApiCalls:
    """One output, whole."""
    return ApiCalls(
        curl=curl(base_url, f"/api/v1/llm_outputs/{output_id}"),
        python=_python(
            base_url,
            f"output = client.outputs.get({output_id})\n    print(output.status, output.text)",
        ),
        cli=f"llm-jobs show {output_id} --url {shlex.quote(base_url)}",
    )


def of_address(
    base_url: str,
    path: str,
    *,
    query: Mapping[str, str | int | bool | None] | None = None,
    cli: str = "",
) -> ApiCalls:
    """Any address of the API that is read by GET, such as `/api/v1/queues`. `query` without what is
    empty; `cli` is the command that does the same, if one does.
    """
    given = {n: value for n, value in (query or {}).items() if value is not None and value != ""}
    whole = path + (f"?{urlencode(_as_text(given))}" if given else "")
    return ApiCalls(curl=curl(base_url, whole), python=_plain_python(base_url + whole), cli=cli)


def curl(base_url: str, path: str, *, body: str = "") -> str:
    """A `curl` command with the key from the environment; with a JSON `body` it is a POST."""
    lines = [
        f"curl {shlex.quote(base_url + path)}",
        f'-H "Authorization: Bearer {KEY}"',
    ]
    if body:
        lines += ["-H 'Content-Type: application/json'", f"-d {shlex.quote(body)}"]
    return " \\\n  ".join(lines)


def _python(base_url: str, does: str) -> str:
    return (
        "import os\n"
        "from llm_jobs import Client\n\n"
        f'with Client("{base_url}", os.environ["LLM_JOBS_API_KEY"]) as client:\n'
        f"    {does}"
    )


def _plain_python(address: str) -> str:
    """Python without the client, for what it has no method for."""
    return (
        "import json\n"
        "import os\n"
        "from urllib.request import Request, urlopen\n\n"
        'headers = {"Authorization": "Bearer " + os.environ["LLM_JOBS_API_KEY"]}\n'
        f"with urlopen(Request({address!r}, headers=headers)) as answer:\n"
        "    print(json.load(answer))"
    )


def _cli_list(base_url: str, query: Query) -> str:
    options = [f"--{name} {shlex.quote(text)}" for name, text in _as_text(query).items()]
    return " ".join(["llm-jobs list", *options, f"--url {shlex.quote(base_url)}"])


def _as_text(query: Query) -> dict[str, str]:
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in query.items()
    }
