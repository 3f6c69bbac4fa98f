"""The job of a form without a browser: by curl, from Python, on the command line. Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from api.web.api_calls import ApiCalls, curl

_WITH_OPTIONS = frozenset({"template", "model", "context", "format", "queue", "system", "options"})
"""What `llm-jobs submit` can be told; a job that says more has no command."""


def of_submission(base_url: str, body: Mapping[str, Any]) -> ApiCalls:
    """`body` as `POST /api/v1/llm_jobs` takes it; `base_url` without a slash at its end."""
    text = json.dumps(body, indent=2, ensure_ascii=False)
    return ApiCalls(
        curl=curl(base_url, "/api/v1/llm_jobs", body=text),
        python=_python(base_url, body),
        cli=_cli(base_url, body) if _has_command(body) else "",
    )


def _python(base_url: str, body: Mapping[str, Any]) -> str:
    arguments = "".join(f"        {name}={value!r},\n" for name, value in body.items())
    return (
        "import os\n"
        "from llm_jobs import Client\n\n"
        f'with Client({base_url!r}, os.environ["LLM_JOBS_API_KEY"]) as client:\n'
        f"    job = client.jobs.create(\n{arguments}    )\n"
        "    print(job.wait().text)"
    )


def _has_command(body: Mapping[str, Any]) -> bool:
    """To the command, `@` at the start of a template means a file and `-` standard input."""
    if not _WITH_OPTIONS >= body.keys() >= {"template", "model"}:
        return False
    template = str(body["template"])
    return not template.startswith("@") and template != "-"


def _cli(base_url: str, body: Mapping[str, Any]) -> str:
    words = ["llm-jobs submit", f"--model {shlex.quote(str(body['model']))}"]
    if "context" in body:
        words.append(f"--context {shlex.quote(json.dumps(body['context'], ensure_ascii=False))}")
    plain = [name for name in ("format", "queue", "system") if name in body]
    words += [f"--{name} {shlex.quote(str(body[name]))}" for name in plain]
    for name, value in body.get("options", {}).items():
        words.append(f"--option {shlex.quote(f'{name}={json.dumps(value, ensure_ascii=False)}')}")
    words += ["--wait", f"--url {shlex.quote(base_url)}"]
    return " \\\n  ".join([*words, f"-- {shlex.quote(str(body['template']))}"])
