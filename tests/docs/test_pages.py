"""The pages tell the truth: their links lead somewhere, and their examples work as shown."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from app.dev.procfile import shipped_procfile
from tests.docs.page import MARKED, ROOT, Block, all_pages, anchors, blocks, links
from tests.docs.reader import Reader

#: Pages whose examples all say whether they are run; the rest is generated, or the README.
FOLLOWED = [
    page
    for page in all_pages()
    if page.parts[0] in ("docs", "examples")
    and (page.parts[1] != "reference" or page.name == "python.md")
]


def _has(page: Path, mark: str) -> bool:
    return any(block.mark == mark for block in blocks(page))


STARTING = [page for page in FOLLOWED if _has(page, "start")]
ALONE = [page for page in FOLLOWED if _has(page, "run") and page not in STARTING]


@pytest.mark.parametrize("page", all_pages(), ids=str)
def test_links_lead_somewhere(page: Path) -> None:
    lost = []
    for link in links(page):
        target, _, anchor = link.partition("#")
        if "://" in target:
            continue
        file = (ROOT / page.parent / target).resolve() if target else ROOT / page
        heading_is_there = not anchor or anchor in anchors(file.relative_to(ROOT))
        if not file.exists() or not heading_is_there:
            lost.append(link)
    assert lost == []


@pytest.mark.parametrize("page", FOLLOWED, ids=str)
def test_every_example_says_whether_it_is_run(page: Path) -> None:
    silent = [b.line for b in blocks(page) if b.language in MARKED and not b.mark]
    unexplained = [b.line for b in blocks(page) if b.mark == "not run" and len(b.rest) < 10]
    assert (silent, unexplained) == ([], [])


@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", ALONE, ids=str)
def test_following_a_page_works_as_it_shows(page: Path, reader: Reader) -> None:
    for block in blocks(page):
        reader.follow(block)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", STARTING, ids=str)
def test_following_a_page_that_starts_everything(page: Path, operator: Reader) -> None:
    for block in blocks(page):
        operator.follow(block)


def test_production_starts_what_the_procfile_says() -> None:
    page = Path("docs/how-to/run-in-production.md")
    shown = [
        " ".join(b.text.replace("\\\n", " ").split()) for b in blocks(page) if b.mark == "start"
    ]
    procfile = shipped_procfile()
    assert shown == [procfile["web"], procfile["worker"]]


def test_the_readmes_curl_and_python_work(reader: Reader) -> None:
    shown = blocks(Path("README.md"))
    curl = next(b for b in shown if b.language == "sh" and b.text.startswith("curl"))
    reader.follow(replace(curl, mark="run", text=curl.text.replace("curl ", "curl -sS ", 1)))
    answer = next(b for b in shown if b.language == "json")
    assert list(json.loads(reader.printed))[:4] == list(json.loads(answer.text))[:4]
    key = Block(0, "sh", "LLM_JOBS_API_KEY=YOUR_KEY", "run")
    python = next(b for b in shown if b.language == "python")
    for block in (key, replace(python, mark="run")):
        reader.follow(block)


def test_the_readmes_commands_are_targets_of_make() -> None:
    text = "\n".join(b.text for b in blocks(Path("README.md")) if b.language == "sh")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    wanted = set(re.findall(r"^make (\w+)", text, re.MULTILINE))
    assert {"run", "test"} <= wanted
    assert [name for name in wanted if f"\n{name}:" not in makefile] == []
