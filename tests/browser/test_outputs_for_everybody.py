"""The list of outputs without scripts, on a phone, in both themes, and for administrators."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from app import jobs
from app.jobs import JobRequest, Submission
from tests.browser.looking import faults_in_both_themes, fits_a_small_screen
from tests.support.browser import Person
from tests.support.platform import Platform

LIST = "/llm_outputs"
LONG = "A template of many words about {{name}} " * 8


def submit(platform: Platform, person: Person, **wanted: object) -> Submission:
    request = {"template": LONG, "context": {"name": "Ann"}, "model": "simulator/echo", **wanted}
    return jobs.submit(platform.runtime, person.caller, JobRequest(**request))  # type: ignore[arg-type]


def some_of_each(platform: Platform, person: Person) -> Submission:
    """Rows of several states; the first that ended with an answer."""
    done = submit(platform, person)
    others = [submit(platform, person, model="simulator/401"), submit(platform, person)]
    platform.wait_ended(done, *others)
    again = jobs.re_run(platform.runtime, person.caller, done.output_id)
    platform.wait_status(again.output_id, "completed")
    return done


def test_without_scripts_one_lists_filters_votes_and_runs_again(
    platform: Platform, someone: Callable[..., Person]
) -> None:
    alice = someone("alice", java_script_enabled=False)
    alice.enter()
    job = submit(platform, alice)
    platform.wait_ended(job)
    page = alice.open(LIST)
    for scripted in page.locator(".needs-script").all():
        expect(scripted).to_be_hidden()
    row = page.locator(f"#row-{job.output_id}")
    row.get_by_role("button", name="Thumbs up").click()
    page.wait_for_url(f"**{LIST}")
    expect(row.get_by_role("button", name="Thumbs up")).to_have_attribute("aria-pressed", "true")
    assert platform.row(job).feedback_word == "thumbs_up"
    row.get_by_role("button", name="Re-run").click()
    expect(page.get_by_text("Queued again")).to_be_visible()
    expect(page.locator("[data-live-row]")).to_have_count(2)
    page.get_by_label("Which outputs").select_option("matching")
    page.get_by_role("button", name="Retry failed").click()
    expect(page.get_by_role("heading", name="Retry failed: 0 outputs")).to_be_visible()
    page.get_by_role("link", name="Back to the list").click()
    page.get_by_role("navigation", name="Status").get_by_role("link", name="Failed").click()
    expect(page.get_by_role("heading", name="No output matches")).to_be_visible()
    platform.wait_all_ended()


@pytest.mark.parametrize("path", [
    LIST,
    f"{LIST}?q=nothing+like+it",
    f"{LIST}?q=colour:red",
    f"{LIST}/many?act=re_run&which=matching",
    f"{LIST}/many?act=export&which=matching",
])  # fmt: skip
def test_axe_finds_nothing_wrong_in_either_theme(
    platform: Platform, alice: Person, path: str
) -> None:
    alice.allowed.append("400")
    some_of_each(platform, alice)
    page = alice.open(path)
    assert faults_in_both_themes(page) == []


def test_it_fits_the_smallest_phone(platform: Platform, someone: Callable[..., Person]) -> None:
    alice = someone("alice", viewport={"width": 320, "height": 640})
    alice.enter()
    done = some_of_each(platform, alice)
    page = alice.open(LIST)
    expect(page.locator(f"#row-{done.output_id}")).to_be_visible()
    assert fits_a_small_screen(page)
    page.locator("#filters summary").click()
    page.get_by_text("Views", exact=True).click()
    assert fits_a_small_screen(page)
    assert faults_in_both_themes(page) == []
    for path in (f"{LIST}/many?act=re_run&which=matching", f"{LIST}/many?act=export"):
        page.goto(path)
        assert fits_a_small_screen(page)


def test_an_administrator_switches_to_everybodys_rows_and_back(
    platform: Platform, ada: Person, alice: Person
) -> None:
    job = submit(platform, alice)
    platform.wait_ended(job)
    page = ada.open(LIST)
    expect(page.locator(f"#row-{job.output_id}")).to_have_count(0)
    page.get_by_role("switch", name="All users").click()
    page.wait_for_url("**all=1*")
    expect(page.locator(f"#row-{job.output_id}")).to_contain_text(alice.email)
    later = submit(platform, alice)
    expect(page.get_by_role("link", name="1 new — show")).to_be_visible()
    platform.wait_ended(later)
    page.get_by_role("switch", name="All users").click()
    expect(page.locator(f"#row-{job.output_id}")).to_have_count(0)
