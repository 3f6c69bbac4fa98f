"""Writing, publishing and running prompts in a real browser, with scripts and without, for all."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect
from sqlalchemy import select

from app.prompts import documents, library
from app.prompts.documents import Source
from models import LLMOutput
from tests.browser.looking import faults_in_both_themes, fits_a_small_screen
from tests.support.browser import Person
from tests.support.platform import Platform

NEW = "/prompts/new"
GREET = """\
name: greet
description: Greets somebody
messages:
- {role: system, content: Be kind.}
- {role: user, content: 'Hello {{who}}, <itemvalue>subject</itemvalue>'}
model: simulator/echo
options: {temperature: 0}
"""


def store(platform: Platform, person: Person, *texts: str) -> None:
    for text in texts:
        found = documents.read(text, Source.YAML).definitions
        with platform.runtime.database.write() as session:
            library.store(session, person.caller, found)


def test_the_preview_and_the_fields_follow_what_one_types(alice: Person) -> None:
    page = alice.open(NEW)
    page.get_by_label("Model", exact=True).fill("simulator/echo")
    page.get_by_label("Content").first.fill("Hello {{who}} and {{user.name}}")
    page.get_by_label("who", exact=True).fill("Ann")
    seen = page.get_by_role("region", name="Preview")
    expect(seen).to_contain_text("Hello Ann and {{user.name}}")
    page.get_by_role("button", name="Add a message").click()
    page.get_by_label("Content").last.fill("Bye {{who}}")
    expect(seen).to_contain_text("Bye Ann")
    expect(page.get_by_label("who", exact=True)).to_have_value("Ann")
    page.get_by_role("button", name="Remove this message").first.click()
    expect(page.locator("#variables code")).to_have_text(["who"])
    expect(seen).not_to_contain_text("Hello")
    page.get_by_label("Content").first.fill("Bye {{who")
    expect(seen).to_contain_text("Unclosed tag")
    expect(page.get_by_label("who", exact=True)).to_have_value("Ann")


def test_without_scripts_one_writes_publishes_and_runs_a_prompt(
    platform: Platform, someone: Callable[..., Person]
) -> None:
    alice = someone("alice", java_script_enabled=False)
    alice.enter()
    page = alice.open(NEW)
    page.get_by_label("Name", exact=True).fill("greet")
    page.get_by_label("Model", exact=True).fill("simulator/echo")
    page.get_by_role("button", name="Add a message").click()
    page.get_by_label("Content").first.fill("Hello {{who}}")
    page.get_by_role("button", name="Remove this message").last.click()
    page.get_by_role("button", name="Preview").last.click()
    page.get_by_label("who", exact=True).fill("Ann")
    page.get_by_role("button", name="Preview").last.click()
    expect(page.get_by_role("region", name="Preview")).to_contain_text("Hello Ann")
    page.get_by_role("button", name="Save draft").click()
    page.get_by_role("button", name="Publish 1").click()
    expect(page.get_by_text("Version 1 of greet is published.")).to_be_visible()
    page.get_by_role("link", name="Use it").click()
    page.get_by_label("who", exact=True).fill("Bea")
    page.get_by_role("button", name="Submit", exact=True).last.click()
    page.wait_for_url("**/llm_outputs/*")
    query = select(LLMOutput).where(LLMOutput.user_id == alice.caller.user_id)
    with platform.runtime.database.read() as session:
        (row,) = session.scalars(query).all()
        assert (row.prompt_name, row.prompt_version) == ("greet", 1)
        assert row.context == {"who": "Bea"}
    platform.wait_ended(row.id)


def test_picking_a_saved_prompt_shows_its_fields_and_its_preview(
    platform: Platform, alice: Person
) -> None:
    store(platform, alice, GREET)
    page = alice.open("/llm_outputs/new")
    page.get_by_label("Saved prompt").select_option("greet")
    page.get_by_label("who", exact=True).fill("Ann")
    page.get_by_label("Work item as JSON").fill('{"subject": "March"}')
    seen = page.get_by_role("region", name="Preview")
    expect(seen).to_contain_text("Hello Ann, March")
    expect(seen).to_contain_text('"temperature": 0')
    expect(page.get_by_label("Template", exact=True)).to_be_hidden()
    page.get_by_label("Saved prompt").select_option("")
    expect(page.get_by_label("Template", exact=True)).to_be_visible()


def test_a_model_is_looked_at_and_then_imported(platform: Platform, alice: Person) -> None:
    store(platform, alice, GREET)
    page = alice.open("/prompts/import")
    page.get_by_label("Or the text").fill(GREET.replace("kind", "brief"))
    page.get_by_role("button", name="Look at it").click()
    expect(page.get_by_role("cell", name="changed version 2")).to_be_visible()
    page.get_by_role("button", name="Store it").click()
    expect(page.get_by_text("1 prompt stored.")).to_be_visible()


@pytest.mark.parametrize(
    "path",
    [
        "/prompts",
        "/prompts/greet",
        "/prompts/greet/diff",
        "/prompts/greet/edit",
        "/prompts/import",
        "/llm_outputs/new?prompt=greet",
    ],
)
def test_everybody_can_use_the_pages_of_prompts(
    platform: Platform, alice: Person, path: str
) -> None:
    store(platform, alice, GREET, GREET.replace("kind", "brief"))
    page = alice.open(path)
    assert faults_in_both_themes(page) == []
    assert fits_a_small_screen(page)
