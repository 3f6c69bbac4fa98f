"""`client.prompts` and `llm-jobs prompts` against the real API."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llm_jobs import ApiError, Client
from tests.integration.client.conftest import Platform

XML = '<PromptDefinition><prompt role="user">Hello {{who}}</prompt></PromptDefinition>'


def greet(text: str = "Hello", **more: Any) -> dict[str, Any]:
    return {"name": "greet", "messages": [{"role": "user", "content": text}], **more}


@pytest.fixture
def client(platform: Platform) -> Iterator[Client]:
    with Client(platform.url, platform.key, patience_seconds=0.5) as client:
        yield client


PROGRAM = str(Path(sys.executable).with_name("llm-jobs"))
Result = subprocess.CompletedProcess[str]
Command = Callable[..., Result]


@pytest.fixture
def run(platform: Platform, tmp_path: Path) -> Command:
    """`llm-jobs prompts` with these words, and with the platform in its environment."""
    env = {"LLM_JOBS_URL": platform.url, "LLM_JOBS_API_KEY": platform.key, "LANG": "C.UTF-8"}

    def run_command(*words: object) -> Result:
        return subprocess.run(
            [PROGRAM, "prompts", *map(str, words)],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run_command


def test_definitions_are_created_from_values_and_from_texts(client: Client) -> None:
    (first,) = client.prompts.create(greet())["data"]
    (again,) = client.prompts.create("name: greet\nmessages: [{content: Hello}]\n")["data"]
    both = client.prompts.create([greet(name="a"), greet(name="b")])["data"]
    (xml,) = client.prompts.create(XML, media_type="application/xml", name="x")["data"]
    assert (first["version"], again["version"], again["unchanged"]) == (1, 1, True)
    assert [stored["name"] for stored in both] == ["a", "b"]
    assert xml["variables"] == ["who"]
    with pytest.raises(ApiError, match="Unclosed tag") as refusal:
        client.prompts.create(greet("{{who"))
    assert (refusal.value.status, refusal.value.code) == (422, "ERROR_LLM_PROMPT_TEMPLATE")


def test_a_prompt_is_read_compared_labelled_published_and_rolled_back(client: Client) -> None:
    prompts = client.prompts
    prompts.create(greet("one"))
    prompts.create(greet("two"), publish=False)
    assert prompts.get("greet@draft")["version"] == 2
    assert prompts.publish("greet")["latest"] == 2
    assert prompts.get("greet@1")["definition"]["messages"][0]["content"] == "one"
    assert prompts.diff("greet", 1, 2) == prompts.diff("greet")
    assert prompts.label("greet", "production", 1)["previous"] is None
    assert prompts.label("greet", "production", 2)["previous"] == 1
    assert prompts.roll_back("greet")["version"] == 1
    assert prompts.roll_back("greet", version=2)["before"] == 1
    prompts.archive("greet")
    with pytest.raises(ApiError, match="Unknown prompt: greet"):
        prompts.get("greet")


@pytest.mark.parametrize("format", ["json", "yaml", "xml"])
def test_what_is_exported_is_imported_unchanged(client: Client, format: str) -> None:
    client.prompts.create(greet("Hello\n  {{who}} & <itemvalue>x</itemvalue>"))
    text = client.prompts.export("greet", format)
    (again,) = client.prompts.create(text, media_type=f"application/{format}")["data"]
    assert again["unchanged"]


def test_the_list_goes_on_from_page_to_page(client: Client) -> None:
    client.prompts.create([greet(name=name) for name in ("a", "b", "c")])
    names = [prompt["name"] for prompt in client.prompts.list(limit=1)]
    assert names == ["c", "b", "a"]
    assert list(client.prompts.list(shared=True)) == []


def test_files_are_imported_by_what_they_are_and_shown(run: Command, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("letters.xml", "b.yaml", "c.json")]
    files[0].write_text(XML)
    files[1].write_text("name: greet\nmessages: [{content: Hello}]\ntask: nobody\n")
    files[2].write_text(json.dumps(greet(name="c")))
    done = run("import", *files)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "letters@1\ngreet@1\nc@1\n"
    assert done.stderr == "warning: Prompt greet: its task nobody is unknown here\n"
    again = run("import", files[0], "--json")
    assert json.loads(again.stdout)["data"][0]["unchanged"]
    assert "says so already" in run("import", files[0]).stderr
    assert run("show", "letters").stdout.startswith("name: letters\n")
    assert run("show", "letters@1", "--format", "xml").stdout.startswith("<")
    assert json.loads(run("show", "letters", "--format", "json").stdout)["name"] == "letters"
    assert json.loads(run("show", "letters", "--json").stdout)["latest"] == 1
    lines = run("list").stdout.splitlines()
    assert [line.split("\t")[0] for line in lines] == ["name", "c", "greet", "letters"]
    assert json.loads(run("list", "--q", "LETT", "--json").stdout)[0]["name"] == "letters"


def test_a_draft_is_imported_published_compared_and_rolled_back(
    run: Command, tmp_path: Path
) -> None:
    file = tmp_path / "greet.json"
    for text in ("one", "two"):
        file.write_text(json.dumps(greet(text)))
        assert run("import", file, "--draft").returncode == 0
        assert run("publish", "greet").returncode == 0
    diff = run("diff", "greet", 1, 2).stdout
    assert diff.startswith("--- greet@1\n+++ greet@2\n")
    assert json.loads(run("diff", "greet", 1, 2, "--json").stdout)["differs"]
    assert run("label", "greet", "production", 1).stderr == "production of greet means version 1\n"
    moved = run("label", "greet", "production", 2).stderr
    assert moved == "production of greet means version 2, not 1\n"
    assert run("roll-back", "greet").stderr == "production of greet means version 1\n"
    assert json.loads(run("roll-back", "greet", "--to", 2, "--json").stdout)["version"] == 2
    assert run("archive", "greet").stderr == "greet is archived\n"
    gone = run("show", "greet")
    assert (gone.returncode, gone.stderr) == (2, "llm-jobs: Unknown prompt: greet\n")


def test_a_file_that_is_no_document_is_refused_before_anything_is_sent(
    run: Command, tmp_path: Path
) -> None:
    good, odd, broken = tmp_path / "a.json", tmp_path / "b.txt", tmp_path / "c.xml"
    good.write_text(json.dumps(greet()))
    odd.write_text("Hello")
    broken.write_text("<PromptDefinition>")
    refused = run("import", good, odd)
    assert refused.returncode == 2
    assert "its name must end in .json, .yaml" in refused.stderr
    assert run("list", "--json").stdout == "[]\n"
    unreadable = run("import", broken)
    assert unreadable.returncode == 2
    assert "line 1" in unreadable.stderr
