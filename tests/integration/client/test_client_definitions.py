"""Jobs of prompt definitions from Python, over HTTP and straight into the rows, with files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import llm_jobs
from app.errors import FileUnreadable, InvalidParameter, NotFound
from app.jobs.files import files_of
from llm_jobs import ApiError, Client, local
from models import LLMOutput
from tests.integration.client.conftest import Platform
from tests.support import pdfs

GREETING = {
    "name": "greet",
    "model": "simulator/echo",
    "messages": [{"content": "<itemvalue>who</itemvalue>: <FILECONTEXT>.*</FILECONTEXT>"}],
}


@pytest.fixture
def client(platform: Platform) -> Iterator[Client]:
    with Client(platform.url, platform.key, patience_seconds=0.5) as client:
        client.prompts.create(GREETING)
        yield client


@pytest.fixture(params=["http", "rows"])
def enqueue(
    request: pytest.FixtureRequest, client: Client, platform: Platform
) -> Iterator[Callable[..., llm_jobs.Job]]:
    """Either way to submit, for the same person."""
    if request.param == "http":
        yield client.jobs.create
        return
    local.use(platform.runtime)
    yield lambda **fields: llm_jobs.enqueue(**fields, user_id=platform.alice.user_id)
    local.use(None)


def test_a_prompt_its_work_item_and_files_of_each_kind_reach_the_row(
    enqueue: Callable[..., llm_jobs.Job], platform: Platform, tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text("from a path")
    files: list[Any] = [
        tmp_path / "a.txt",
        {"name": "b.txt", "text": "from a text"},
        {"name": "c.pdf", "data": pdfs.pdf("from a PDF")},
    ]
    job = enqueue(prompt="greet@1", workitem={"who": ["ACME"]}, files=files, debug=True)
    row: LLMOutput = platform.row(job.output_id)
    assert (row.prompt_name, row.prompt_version, row.debug) == ("greet", 1, True)
    assert row.workitem == {"who": ["ACME"]}
    with platform.runtime.database.read() as session:
        kept = files_of(session, session.get_one(LLMOutput, job.output_id))
        assert [(file.name, file.text.strip()) for file in kept] == [
            ("a.txt", "from a path"),
            ("b.txt", "from a text"),
            ("c.pdf", "from a PDF"),
        ]


def test_a_key_with_the_same_files_is_the_same_job(
    enqueue: Callable[..., llm_jobs.Job],
) -> None:
    fields: dict[str, Any] = {"prompt": "greet", "idempotency_key": "k"}
    files = [{"name": "a.txt", "text": "A"}]
    first, second = (enqueue(**fields, files=files) for _ in range(2))
    assert (second.output_id, second.replayed) == (first.output_id, True)


def test_a_refusal_names_what_is_wrong(client: Client, platform: Platform) -> None:
    with pytest.raises(ApiError) as refusal:
        client.jobs.create(prompt="greet")
    assert (refusal.value.status, refusal.value.code) == (422, "PROMPT_ERROR")
    local.use(platform.runtime)
    hers: dict[str, Any] = {"user_id": platform.alice.user_id, "prompt": "greet"}
    try:
        with pytest.raises(NotFound):
            llm_jobs.enqueue(**{**hers, "prompt": "nothing"})
        with pytest.raises(InvalidParameter):
            llm_jobs.enqueue(**hers, files=[{"name": "a.txt", "base64": "%"}])
        with pytest.raises(FileUnreadable):
            llm_jobs.enqueue(**hers, files=[{"name": "a.pdf", "data": b"%PDF-1.7 no PDF"}])
        with pytest.raises(TypeError, match="script"):
            llm_jobs.enqueue(**hers, script={})
    finally:
        local.use(None)


def test_files_that_are_no_list_are_refused_before_anything_is_sent(client: Client) -> None:
    for files in ("a.txt", {"name": "a.txt", "text": "A"}, [7]):
        with pytest.raises(TypeError):
            client.jobs.create(prompt="greet", files=files)  # type: ignore[arg-type]
