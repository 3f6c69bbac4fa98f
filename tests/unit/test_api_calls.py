"""The texts behind the `{} API` button can be pasted as they are."""

from __future__ import annotations

import ast
import shlex
from urllib.parse import parse_qs, urlsplit

import pytest

from api.web import api_calls

BASE = "https://jobs.example.org"
QUERY = {"status": "failed", "model": "gpt 4'; rm -rf /", "limit": 25}


def test_curl_asks_for_exactly_this_list_and_quotes_what_a_shell_would_read() -> None:
    words = shlex.split(api_calls.of_list(BASE, QUERY).curl)
    address = urlsplit(words[1])
    assert words[0] == "curl"
    assert address.path == "/api/v1/llm_outputs"
    assert parse_qs(address.query) == {name: [str(value)] for name, value in QUERY.items()}


@pytest.mark.parametrize("query", [{}, QUERY, {"all_users": True, "q": 'a "b" \\ c'}])
def test_python_is_python(query: dict[str, str | int | bool]) -> None:
    tree = ast.parse(api_calls.of_list(BASE, query).python)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.keywords]
    given = {word.arg: ast.literal_eval(word.value) for word in calls[0].keywords} if query else {}
    assert given == query


def test_the_command_line_is_offered_only_for_what_it_can_do() -> None:
    words = shlex.split(api_calls.of_list(BASE, QUERY).cli)
    assert words[:6] == ["llm-jobs", "list", "--status", "failed", "--model", QUERY["model"]]
    assert api_calls.of_list(BASE, {"template": "x"}).cli == ""


def test_one_output_can_be_asked_for_three_ways() -> None:
    calls = api_calls.of_output(BASE, 12)
    assert f"{BASE}/api/v1/llm_outputs/12" in calls.curl
    assert "outputs.get(12)" in calls.python
    assert calls.cli.startswith("llm-jobs show 12")


def test_several_outputs_are_asked_for_one_after_the_other() -> None:
    both = api_calls.of_each(BASE, [12, 7])
    assert shlex.split(both.curl)[1] == f"{BASE}/api/v1/llm_outputs/{{12,7}}"
    assert "for output_id in [12, 7]:" in both.python
    ast.parse(both.python)
    assert shlex.split(api_calls.of_each(BASE, [12]).curl)[1] == f"{BASE}/api/v1/llm_outputs/12"


def test_rows_behind_numbers_are_said_to_be_that() -> None:
    calls = api_calls.of_counted(BASE, {"model": "gpt-4"})
    assert calls.about
    assert calls.curl == api_calls.of_list(BASE, {"model": "gpt-4"}).curl


def test_any_address_can_be_asked_for_with_curl_and_plain_python() -> None:
    calls = api_calls.of_address(BASE, "/api/v1/prices", query={"model": "a&b'c", "provider": ""})
    words = shlex.split(calls.curl)
    assert words[1] == f"{BASE}/api/v1/prices?model=a%26b%27c"
    constants = [one.value for one in ast.walk(ast.parse(calls.python)) if _is_text(one)]
    assert f"{BASE}/api/v1/prices?model=a%26b%27c" in constants
    assert calls.cli == ""


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)
