"""A prompt without a browser: reading it, writing it, running it. Pure texts, as `api_calls`."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from api.web import api_calls
from api.web.api_calls import ApiCalls, curl
from api.web.submission import calls

LIST = "llm-jobs prompts list"


def of_prompt(base_url: str, shown: Mapping[str, Any], *, user_id: int | None) -> ApiCalls:
    """One version, whole."""
    reference = f"{shown['name']}@{'draft' if shown['published_at'] is None else shown['version']}"
    return api_calls.of_address(
        base_url,
        f"/api/v1/prompts/{quote(reference, safe='@')}",
        query={"user_id": user_id},
        cli=command("show", reference),
    )


def of_job(base_url: str, shown: Mapping[str, Any]) -> ApiCalls:
    """A job of this version, with a place for everything it reads."""
    body: dict[str, Any] = {"prompt": f"{shown['name']}@{shown['version']}"}
    if shown["variables"]:
        body["context"] = _nested(shown["variables"])
    if shown["items"]:
        body["workitem"] = dict.fromkeys(shown["items"], "…")
    if shown["file_patterns"]:
        body["files"] = [{"name": name, "text": "…"} for name in shown["file_patterns"]]
    return calls.of_submission(base_url, body)


def of_writing(base_url: str, name: str = "") -> ApiCalls:
    """Storing a definition: a new version of a prompt, or, without a name, a new prompt."""
    path = f"/api/v1/prompts/{name}" if name else "/api/v1/prompts"
    body = {"name": name or "greet", "messages": [{"role": "user", "content": "Hello {{who}}"}]}
    asked = curl(base_url, path, body=json.dumps(body))
    method = " \\\n  -X PUT" if name else ""
    return ApiCalls(
        curl=asked + method,
        python=(
            "import os\n"
            "from llm_jobs import Client\n\n"
            f'with Client({base_url!r}, os.environ["LLM_JOBS_API_KEY"]) as client:\n'
            f"    client.prompts.create({body!r})"
        ),
        cli=command("import", "greet.yaml"),
        about="Stores a definition, published at once; what is there already adds no version.",
    )


def of_import(base_url: str) -> ApiCalls:
    """Storing files."""
    return replace(
        of_writing(base_url),
        cli=command("import", "prompts.yaml", "model.bpmn"),
        about="Stores definitions at once: JSON, YAML and XML as the body, BPMN as XML.",
    )


def command(act: str, *words: str) -> str:
    """The command about prompts that does the same."""
    return " ".join(["llm-jobs prompts", act, *map(shlex.quote, words)])


def _nested(names: Sequence[str]) -> dict[str, Any]:
    """A context with a place for each variable; `user.name` stands below `user`."""
    context: dict[str, Any] = {}
    for name in names:
        *parents, last = name.split(".")
        node = context
        for key in parents:
            if not isinstance(node.get(key), dict):
                node[key] = {}
            node = node[key]
        node.setdefault(last, "…")
    return context
