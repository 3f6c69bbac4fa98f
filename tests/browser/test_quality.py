"""The Quality page in a real browser: its numbers are those of the rows."""

from __future__ import annotations

import csv
import io
import re

from playwright.sync_api import Page, expect

from app import feedback
from models import LLMOutput
from tests.browser.looking import faults_in_both_themes, fits_a_small_screen
from tests.support.browser import Person
from tests.support.platform import Platform
from tests.support.waiting import eventually


def some_jobs(platform: Platform, person: Person) -> list[LLMOutput]:
    """Twelve completed jobs of one model with votes on each, eight of another, two that failed."""
    platform.caller = person.caller
    good = platform.submit_many(12, model="simulator/echo")
    other = platform.submit_many(8, model="simulator/hello")
    failed = platform.submit_many(2, model="simulator/500")
    rows = platform.wait_ended(*good, *other, *failed, timeout=60)
    with platform.runtime.database.write() as session:
        for number, job in enumerate(good):
            word = "thumbs_down" if number == 0 else "thumbs_up"
            feedback.give(session, person.caller, job.output_id, feedback_type=word)
    return rows


def counted(page: Page, rows: list[LLMOutput]) -> None:
    """Wait until the dispatcher has counted them all."""

    def ended() -> bool:
        page.reload()
        figure = page.locator(".figure", has_text="Jobs ended")
        return figure.count() == 1 and figure.locator("dd").first.inner_text() == str(len(rows))

    eventually(ended, timeout=30)


def test_the_numbers_are_those_of_the_rows(platform: Platform, alice: Person) -> None:
    rows = some_jobs(platform, alice)
    page = alice.open("/analytics?by=model&range=24h")
    counted(page, rows)
    expect(page.locator(".figure", has_text="Success")).to_contain_text("90.9 %")  # 20 of 22
    expect(page.locator(".figure", has_text="Thumbs up")).to_contain_text("92 %")  # 11 of 12
    expect(page.locator(".figure", has_text="Thumbs up")).to_contain_text("of 12 votes")
    line = page.locator("tr", has=page.get_by_role("link", name="simulator/echo"))
    expect(line).to_contain_text("12")
    expect(line).to_contain_text("92 %")
    other = page.locator("tr", has=page.get_by_role("link", name="simulator/500"))
    expect(other).to_contain_text("no votes")
    expect(page.locator(".plot-states rect title").first).to_contain_text("completed 20")
    expect(page.locator(".curves canvas").first).to_be_visible()

    page.get_by_role("link", name="simulator/500").click()
    expect(page.locator("[data-row]")).to_have_count(2)


def test_what_is_exported_is_what_is_shown(platform: Platform, alice: Person) -> None:
    rows = some_jobs(platform, alice)
    page = alice.open("/analytics?range=24h&by=model")
    counted(page, rows)
    with page.expect_download() as download:
        page.get_by_role("link", name="Groups").click()
    text = download.value.path().read_text(encoding="utf-8-sig")
    groups = {line["model"]: line for line in csv.DictReader(io.StringIO(text))}
    assert {name: int(line["ended"]) for name, line in groups.items()} == {
        "simulator/echo": 12,
        "simulator/hello": 8,
        "simulator/500": 2,
    }
    assert groups["simulator/echo"]["votes"] == "12"
    with page.expect_download() as download:
        page.get_by_role("link", name="Series").click()
    text = download.value.path().read_text(encoding="utf-8-sig")
    points = list(csv.DictReader(io.StringIO(text)))
    assert sum(int(point["completed"]) for point in points) == 20
    assert sum(int(point["failed provider_failed"]) for point in points) == 2


def test_two_models_are_compared(platform: Platform, alice: Person) -> None:
    rows = some_jobs(platform, alice)
    page = alice.open("/analytics?by=model")
    counted(page, rows)
    page.get_by_role("link", name="Compare two").click()
    page.get_by_label("First model").select_option("simulator/echo")
    page.get_by_label("Second model").select_option("simulator/hello")
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_text("Both need votes")).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("Jobs ended"))).to_contain_text("12")


def test_nobody_sees_what_others_did(platform: Platform, alice: Person, ada: Person) -> None:
    page = alice.open("/analytics")
    expect(page.get_by_text("Nothing in this time")).to_be_visible()
    platform.caller = ada.caller
    rows = some_jobs(platform, ada)
    mine = ada.open(f"/analytics?user={ada.email}")
    counted(mine, rows)
    mine.goto("/analytics?by=user&range=24h")
    mine.get_by_role("link", name=ada.email).click()
    expect(mine.locator("[data-row]")).to_have_count(len(rows))
    page.goto(f"/analytics?user={ada.email}")  # a member's only user is the member
    expect(page.get_by_text("Nothing in this time")).to_be_visible()


def test_everybody_can_read_it(platform: Platform, alice: Person) -> None:
    rows = some_jobs(platform, alice)
    page = alice.open("/analytics")
    counted(page, rows)
    assert faults_in_both_themes(page) == []
    assert fits_a_small_screen(page)
    page.goto("/analytics/compare?by=model&first=simulator/echo&second=simulator/hello")
    assert faults_in_both_themes(page) == []
    assert fits_a_small_screen(page)
