"""Definitions' jobs run again, erased and reviewed: what comes along, and what is gone for good."""

from __future__ import annotations

from typing import Any

import pytest

from app import jobs
from app.context.files import ReadFile
from app.jobs import erase, re_run, regenerate, review_items
from app.prompts import library
from app.prompts.definition import from_json
from app.testing import TestBed
from models import ItemReview, LLMOutput
from tests.integration.application.defined import Desk

FILES = (ReadFile("a.txt", "from a file", "text/plain", 11),)
PROMPT = {
    "name": "greet",
    "model": "gpt-4",
    "messages": [{"content": "{{a}} <itemvalue>who</itemvalue> <FILECONTEXT>a.txt</FILECONTEXT>"}],
    "options": {"seed": 1},
    "result_item": "answer",
}
FIELDS: dict[str, Any] = {"context": {"a": "A"}, "workitem": {"who": "ACME"}, "files": FILES}


@pytest.fixture
def desk(llm_jobs_bed: TestBed) -> Desk:
    return Desk(llm_jobs_bed)


@pytest.fixture
def parent(desk: Desk) -> LLMOutput:
    """The ended job of a stored prompt that was taken out of the library since."""
    desk.store(from_json(PROMPT))
    desk.says("Fine.")
    row = desk.done(prompt="greet", options={"top_k": 2}, debug=True, **FIELDS)
    with desk.bed.runtime.database.write() as session:
        library.archive(session, desk.caller, "greet")
    return row


def test_a_re_run_sends_the_same_though_the_prompt_is_archived(
    desk: Desk, parent: LLMOutput
) -> None:
    model = desk.says("Again.")
    child = desk.bed.perform(re_run(desk.bed.runtime, desk.caller, parent.id).output_id)
    assert model.asked == [[("user", "A ACME from a file")]]
    assert dict(model.calls[0].options) == {"seed": 1, "top_k": 2}
    assert (child.prompt_name, child.prompt_version, child.debug) == ("greet", 1, True)
    assert child.result_items == {"answer": ["Again."]}


def test_a_regeneration_changes_what_it_names_and_keeps_the_rest(
    desk: Desk, parent: LLMOutput
) -> None:
    model = desk.says("Again.")
    changes: dict[str, Any] = {"context": {"a": "B"}, "model": "gpt-4o", "options": {"seed": 9}}
    made = regenerate(desk.bed.runtime, desk.caller, parent.id, **changes)
    child = desk.bed.perform(made.output_id)
    assert model.asked == [[("user", "B ACME from a file")]]
    assert (model.calls[0].model, dict(model.calls[0].options)) == ("gpt-4o", {"seed": 9})
    assert (child.parent_id, child.prompt_name, child.model_name) == (parent.id, "greet", "gpt-4o")


def test_a_regeneration_with_a_template_is_a_job_without_the_definition(
    desk: Desk, parent: LLMOutput
) -> None:
    model = desk.says("Bye.")
    made = regenerate(desk.bed.runtime, desk.caller, parent.id, template="Bye {{a}}")
    child = desk.bed.perform(made.output_id)
    assert model.asked == [[("user", "Bye A")]]
    assert (child.script, child.prompt_name, child.workitem) == (None, None, None)
    assert model.calls[0].model == "gpt-4"


def test_erasing_leaves_no_text_of_a_definitions_job(desk: Desk, parent: LLMOutput) -> None:
    assert desk.attempts(parent)[0].exchange is not None
    with desk.bed.runtime.database.write() as session:
        review_items(session, desk.caller, parent.id, items={"answer": "Better."}, confirmed=True)
    with desk.bed.runtime.database.write() as session:
        erase(session, desk.caller, parent.id)
    row = desk.bed.row(parent.id)
    for name in (
        "script",
        "workitem",
        "files",
        "result_items",
        "context",
        "prompt",
        "raw_response",
    ):
        assert getattr(row, name) is None, name
    assert (row.template_name, row.prompt_name) == ("[erased]", None)
    with desk.bed.runtime.database.read() as session:
        assert session.query(LLMOutput.file_texts).filter_by(id=parent.id).scalar() is None
        assert session.query(ItemReview).count() == 0
    assert [attempt.exchange for attempt in desk.attempts(parent)] == [None]


def test_what_is_suggested_comes_from_the_files_of_the_job(desk: Desk) -> None:
    asked = from_json({**PROMPT, "suggest": {"items": ["who"], "mode": "on"}})
    desk.says("Fine.")
    row = desk.done(definition=asked, **FIELDS)
    with desk.bed.runtime.database.read() as session:
        found = jobs.suggest(session, desk.caller, row.id, "fr")
    assert (found.mode, found.items) == ("ON", ["who"])
    assert found.hits == ["from", "from a", "from a file"]
