"""The page of a job of a prompt definition in a browser: items, definition, exchange, forms."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from app import jobs
from app.context.files import ReadFile
from app.jobs import Submission
from app.prompts.definition import Definition, Mode, PromptMessage, Step, Suggest
from tests.browser.looking import faults_in_both_themes, fits_a_small_screen
from tests.browser.one_output import Someone, Submit, path
from tests.support.browser import Person
from tests.support.platform import Platform

INVOICE = "Invoice R-2024-17\nCatalog of goods, 4100.00 EUR\nBern"
SAID = '{"total": 4100.5, "kind": "letter", "note": "Long words: %s"}' % ("w" * 120)
DEFINITION = Definition(
    name="read-invoice",
    description="Reads an invoice.",
    steps=(
        Step(
            messages=(PromptMessage("user", f"{SAID} <FILECONTEXT>.*</FILECONTEXT>"),),
            model="simulator/echo",
            options={"max_tokens": 500},
            result_event="JSON",
        ),
        Step(
            mode=Mode.ASSISTANT,
            messages=(
                PromptMessage("system", "You know <itemvalue>supplier</itemvalue>."),
                PromptMessage("user", "Is this a <itemvalue>kind</itemvalue>?"),
            ),
            model="simulator/echo",
        ),
    ),
    suggest=Suggest(("kind", "city"), "ON"),
)
ONLY_TEXT = Definition(
    steps=(
        Step(
            messages=(PromptMessage("user", "letter"),),
            model="simulator/echo",
            result_item="kind",
        ),
    )
)
TABS = ("result", "items", "definition", "attempts", "prompt")


@pytest.fixture
def job(platform: Platform, alice: Person, submit: Submit) -> Submission:
    """A completed job of two steps with a file, debugged."""
    made = submit(
        alice,
        template=None,
        model=None,
        context={},
        definition=DEFINITION,
        workitem={"supplier": "Bees & Sons", "team": ["anna", "marc"]},
        files=(ReadFile("invoice.txt", INVOICE, "text/plain", len(INVOICE)),),
        debug=True,
    )
    platform.wait_ended(made)
    assert platform.row(made).status == "completed"
    return made


def test_items_are_corrected_confirmed_and_remembered(
    platform: Platform, alice: Person, job: Submission
) -> None:
    alice.allowed.append("400")
    page = alice.open(path(job))
    page.get_by_role("link", name="Items", exact=True).first.click()
    total = page.get_by_label("As it is in total")
    expect(total).to_have_value("4100.5")
    total.fill("4,100.50")
    page.get_by_role("button", name="Save corrections").click()
    expect(page.get_by_role("alert")).to_have_text(re.compile("Line 1 is not JSON"))
    expect(total).to_have_value("4,100.50")
    total.fill("4100")
    page.get_by_role("button", name="Save corrections").click()
    expect(page.get_by_text("Your corrections are kept")).to_be_visible()
    expect(page.get_by_label("total as the model gave it")).to_have_text("4100.5")
    page.get_by_role("button", name="Confirm", exact=True).click()
    expect(page.get_by_text("The items are confirmed")).to_be_visible()
    history = page.get_by_role("region", name="What people did to them")
    expect(history.get_by_role("listitem")).to_have_count(2)
    history.get_by_text("What it changed").click()
    expect(history.locator("ins")).to_have_text("4100")
    with platform.runtime.database.read() as session:
        output = jobs.get(session, alice.caller, output_id=job.output_id)
        kept = jobs.current_items(session, output)
    assert kept["total"] == [4100]
    assert (kept["kind"], len(kept["ai.assistant.context"])) == (["letter"], 3)


def test_words_of_the_files_are_offered_and_taken(alice: Person, job: Submission) -> None:
    page = alice.open(path(job, "?tab=items"))
    city = page.get_by_label("As it is in city")
    city.press_sequentially("Zug")
    city.press("Enter")
    city.press_sequentially("cat")
    page.get_by_role("button", name="Catalog of goods").click()
    expect(city).to_have_value("Zug\nCatalog of goods")
    expect(city).to_be_focused()
    expect(page.get_by_role("button", name="Catalog")).to_have_count(0)


def test_a_conversation_a_definition_and_an_exchange_are_read_by_people(
    alice: Person, job: Submission
) -> None:
    page = alice.open(path(job, "?tab=items"))
    talk = page.get_by_role("region", name="Conversation in ai.assistant.context")
    expect(talk.get_by_label("Message 1, system").locator("pre")).to_have_text(
        "You know Bees & Sons."
    )
    page.get_by_role("link", name="Definition", exact=True).first.click()
    expect(page.get_by_role("region", name="Step 2", exact=True)).to_contain_text("ASSISTANT")
    page.get_by_text("Its text").click()
    expect(page.get_by_label("Text of invoice.txt", exact=True)).to_contain_text("R-2024-17")
    page.get_by_role("link", name="Attempts").click()
    page.get_by_text("What was sent and answered").nth(1).click()
    expect(page.get_by_label("Sent 2.2, user").locator("pre")).to_be_visible()


def test_without_scripts_items_are_corrected(
    platform: Platform, someone: Someone, submit: Submit
) -> None:
    alice = someone("alice", java_script_enabled=False)
    alice.enter()
    made = submit(alice, template=None, model=None, context={}, definition=ONLY_TEXT)
    platform.wait_ended(made)
    page = alice.open(path(made, "?tab=items"))
    page.get_by_label("As it is in kind").fill("invoice")
    page.get_by_role("button", name="Confirm", exact=True).click()
    expect(page.get_by_text("The items are confirmed")).to_be_visible()
    expect(page.get_by_label("As it is in kind")).to_have_value("invoice")


@pytest.mark.parametrize("tab", TABS)
def test_each_tab_is_for_everybody(alice: Person, job: Submission, tab: str) -> None:
    page = alice.open(path(job, f"?tab={tab}"))
    page.evaluate(
        "for (const one of document.querySelectorAll('.output-tab details')) one.open = true"
    )
    assert faults_in_both_themes(page) == []
    assert fits_a_small_screen(page)


def test_a_job_of_a_definition_is_regenerated_with_another_work_item(
    platform: Platform, alice: Person, job: Submission
) -> None:
    page = alice.open(path(job))
    page.get_by_role("link", name="Regenerate").click()
    dialog = page.get_by_role("dialog", name=re.compile("Regenerate output"))
    expect(dialog.get_by_label("Template")).to_have_count(0)
    dialog.get_by_label("Work item (JSON)").fill('{"supplier": "Ants"}')
    expect(dialog.locator("#regenerate-preview ins").first).to_contain_text("Ants")
    dialog.get_by_role("button", name="Regenerate").click()
    expect(page.get_by_text("✎ regenerated of")).to_be_visible()
    platform.wait_all_ended()
