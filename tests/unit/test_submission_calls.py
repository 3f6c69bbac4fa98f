"""The same job by curl, Python and command line: what is pasted sends exactly the form's body."""

from __future__ import annotations

import ast
import json
import shlex
from typing import Any

import pytest

from api.web.submission.calls import of_submission

BASE = "http://jobs.example.org"
BODY: dict[str, Any] = {
    "template": 'It\'s "{{a}}" $HOME `id` \\ \n--x; rm -rf /',
    "model": "simulator/echo",
    "context": {"a": "';touch /tmp/x;'", "ü": [1, None, True]},
    "options": {"temperature": 0.5, "stop": ["'"]},
    "queue": "high",
}


def words(command: str) -> list[str]:
    """The words a shell makes of a command."""
    return shlex.split(command.replace(" \\\n  ", " "))


def test_curl_sends_the_body() -> None:
    sent = words(of_submission(BASE, BODY).curl)
    assert sent[:2] == ["curl", f"{BASE}/api/v1/llm_jobs"]
    assert json.loads(sent[-1]) == BODY


def test_python_sends_the_body() -> None:
    tree = ast.parse(of_submission(BASE, BODY).python)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    create = next(c for c in calls if isinstance(c.func, ast.Attribute) and c.func.attr == "create")
    assert {k.arg: ast.literal_eval(k.value) for k in create.keywords} == BODY


def test_the_command_line_sends_the_body() -> None:
    sent = words(of_submission(BASE, BODY).cli)
    assert sent[:2] == ["llm-jobs", "submit"]
    assert sent[-2:] == ["--", BODY["template"]]
    assert sent[sent.index("--model") + 1] == BODY["model"]
    assert json.loads(sent[sent.index("--context") + 1]) == BODY["context"]
    options = [word.partition("=") for at, word in enumerate(sent) if sent[at - 1] == "--option"]
    assert {name: json.loads(value) for name, _, value in options} == BODY["options"]


@pytest.mark.parametrize("more", [{"metadata": {}}, {"template": "@file"}, {"template": "-"}])
def test_what_the_command_line_cannot_say_has_no_command(more: dict[str, Any]) -> None:
    assert of_submission(BASE, {**BODY, **more}).cli == ""
