"""The list of outputs in a real browser: what it shows, how it keeps current, what it does."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from app import jobs
from app.jobs import Submission
from app.moments import iso
from tests.browser.one_output import Submit, submitting
from tests.support.browser import Person
from tests.support.platform import Platform

LIST = "/llm_outputs"


@pytest.fixture
def submit(platform: Platform) -> Iterator[Submit]:
    """Submits as somebody, and leaves nothing waiting or running."""
    with submitting(platform, template="Tell {{name}} a story", context={"name": "Ann"}) as found:
        yield found
    platform.wait_all_ended()


@pytest.fixture
def waiting(platform: Platform, submit: Submit) -> Callable[[Person], Submission]:
    """A job of somebody's that waits for hours."""
    return lambda person: submit(person, run_at=_in_hours(2))


def row(page: Page, job: Submission) -> Locator:
    return page.locator(f"#row-{job.output_id}")


def shown(page: Page) -> list[int]:
    """The outputs listed, from above."""
    found = page.locator("[data-live-row]").evaluate_all("all => all.map(r => r.dataset.liveRow)")
    return [int(one) for one in found]


# What it shows


def test_each_column_says_what_the_row_says(
    platform: Platform, alice: Person, submit: Submit, waiting: Callable[[Person], Submission]
) -> None:
    done = submit(alice, format="markdown", queue="high")
    failed = submit(alice, model="simulator/401")
    later = waiting(alice)
    platform.wait_ended(done, failed)
    again = jobs.re_run(platform.runtime, alice.caller, done.output_id)
    platform.wait_status(again.output_id, "completed")
    stored = platform.row(done)
    page = alice.open(LIST)
    cells = row(page, done)
    for words in ("completed", "markdown", "high", "1/6", "Tell {{name}} a story"):
        expect(cells).to_contain_text(words)
    tokens = (stored.input_tokens or 0) + (stored.output_tokens or 0)
    expect(cells.locator('[data-label="Tokens"]')).to_have_text(str(tokens))
    expect(cells.get_by_role("link", name="1 made from it")).to_be_visible()
    expect(cells.locator("time")).to_have_attribute("datetime", _iso(stored.created_at))
    expect(row(page, failed)).to_contain_text("failed")
    expect(row(page, failed)).to_contain_text("provider_denied")
    expect(row(page, later)).to_contain_text("runs in 2 h")
    derived = page.locator(f"#row-{again.output_id}")
    expect(derived.get_by_role("link", name=f"Re-run of {done.output_id}")).to_be_visible()


def test_tabs_filters_and_search_choose_and_their_address_can_be_kept(
    platform: Platform, alice: Person, submit: Submit, waiting: Callable[[Person], Submission]
) -> None:
    low, high = submit(alice, queue="low"), submit(alice, queue="high", template="Honey {{name}}")
    later = waiting(alice)
    platform.wait_ended(low, high)
    page = alice.open(LIST)
    page.get_by_role("navigation", name="Status").get_by_role("link", name="Pending 1").click()
    page.wait_for_url("**status=pending*")
    assert shown(page) == [later.output_id]
    page.get_by_role("navigation", name="Status").get_by_role("link", name="All").click()
    page.locator("#filters summary").click()
    page.get_by_label("Queue").select_option("low")
    page.get_by_role("button", name="Apply").click()
    page.wait_for_url("**queue=low*")
    assert shown(page) == [low.output_id]
    expect(page.locator("#search")).to_have_value("queue:low")
    page.keyboard.press("/")
    page.keyboard.type("honey status:completed")
    page.keyboard.press("Enter")
    page.wait_for_url("**honey*")
    assert shown(page) == [high.output_id]
    assert shown(alice.open(page.url)) == [high.output_id]


def test_one_pages_to_older_rows_and_back(
    platform: Platform, alice: Person, submit: Submit
) -> None:
    made = [submit(alice, run_at=_in_hours(2)).output_id for _ in range(30)]
    page = alice.open(LIST)
    assert shown(page) == made[::-1][:25]
    page.get_by_role("link", name="Older").click()
    page.wait_for_url("**after=*")
    assert shown(page) == made[::-1][25:]
    page.go_back()
    expect(page.locator("[data-live-row]")).to_have_count(25)
    page.get_by_role("link", name="Older").click()
    page.get_by_role("link", name="Newest").click()
    expect(page.locator("[data-live-row]")).to_have_count(25)


def test_without_rows_it_says_what_to_do(alice: Person) -> None:
    page = alice.open(LIST)
    expect(page.get_by_role("heading", name="No outputs yet")).to_be_visible()
    expect(page.get_by_label("Submit with curl", exact=True)).to_contain_text("curl")


def test_the_view_can_be_asked_for_without_a_browser(alice: Person) -> None:
    page = alice.open(f"{LIST}?status=failed")
    page.get_by_role("button", name="API").click()
    expect(page.get_by_label("curl command", exact=True)).to_contain_text("status=failed")


# What changes under one's eyes


def test_a_row_changes_where_it_stands_and_keeps_ticks_and_focus(
    platform: Platform, alice: Person, submit: Submit, waiting: Callable[[Person], Submission]
) -> None:
    first, moving, last = waiting(alice), waiting(alice), waiting(alice)
    page = alice.open(LIST)
    expect(page.locator("#freshness")).to_have_attribute("data-state", "live")
    box = row(page, moving).get_by_role("checkbox")
    box.check()
    box.focus()
    jobs.advance(platform.runtime, alice.caller, moving.job_id)
    expect(row(page, moving)).to_contain_text("completed")
    expect(box).to_be_checked()
    expect(box).to_be_focused()
    assert shown(page) == [last.output_id, moving.output_id, first.output_id]
    expect(page.locator("#live-news")).to_contain_text(f"{moving.output_id} completed")
    expect(page.get_by_role("link", name="Completed 1")).to_be_visible()


def test_new_rows_are_told_in_a_bar_and_come_when_asked_for(
    platform: Platform, alice: Person, submit: Submit, waiting: Callable[[Person], Submission]
) -> None:
    old = waiting(alice)
    page = alice.open(LIST)
    expect(page.locator("#freshness")).to_have_attribute("data-state", "live")
    new = [submit(alice), submit(alice)]
    bar = page.get_by_role("link", name="2 new — show")
    expect(bar).to_be_visible()
    assert shown(page) == [old.output_id]
    bar.click()
    expect(page.locator("[data-live-row]")).to_have_count(3)
    assert shown(page) == [new[1].output_id, new[0].output_id, old.output_id]


def test_a_closed_list_gives_its_place_back_within_seconds(
    alice: Person, waiting: Callable[[Person], Submission]
) -> None:
    alice.allowed.append("429")
    waiting(alice)
    for _ in range(6):
        page = alice.open(LIST)
        expect(page.locator("#freshness")).to_have_text("Live", timeout=15_000)
        page.close()


def test_a_copied_tab_and_its_original_both_keep_their_streams(
    platform: Platform, alice: Person, waiting: Callable[[Person], Submission]
) -> None:
    job = waiting(alice)
    page, copy = alice.open(LIST), alice.open("/account")
    name = page.evaluate("sessionStorage.getItem('llm-jobs-tab')")
    copy.evaluate("name => sessionStorage.setItem('llm-jobs-tab', name)", name)
    copy.goto(LIST)
    for one in (page, copy):
        expect(one.locator("#freshness")).to_have_text("Live")
    jobs.cancel(platform.runtime, alice.caller, job.job_id)
    for one in (page, copy):
        expect(row(one, job)).to_contain_text("cancelled")
        expect(one.locator("#freshness")).to_have_text("Live")
    names = {one.evaluate("sessionStorage.getItem('llm-jobs-tab')") for one in (page, copy)}
    assert len(names) == 2


def test_updates_can_be_switched_off_and_stay_off(alice: Person, waiting: Any) -> None:
    waiting(alice)
    page = alice.open(LIST)
    expect(page.locator("#freshness")).to_have_text("Live")
    page.keyboard.press(".")
    expect(page.locator("#freshness")).to_have_text("Updates off")
    page.reload()
    expect(page.get_by_label("Refresh")).to_have_value("off")
    expect(page.locator("#freshness")).to_have_text("Updates off")
    page.get_by_label("Refresh").select_option("5")
    expect(page.locator("#freshness")).to_contain_text("Updated")


def test_a_lost_connection_is_seen_and_what_was_missed_comes_with_the_next(
    platform: Platform, alice: Person, waiting: Callable[[Person], Submission]
) -> None:
    alice.allowed += ["net::ERR_", "502", "503"]
    job = waiting(alice)
    page = alice.open(LIST)
    expect(page.locator("#freshness")).to_have_text("Live")
    assert platform.web
    platform.web.kill()
    expect(page.locator("#freshness")).to_have_text("Disconnected — retrying")
    assert page.evaluate("document.documentElement.dataset.stale") == "yes"
    assert shown(page) == [job.output_id]
    jobs.cancel(platform.runtime, alice.caller, job.job_id)
    platform.web.start()
    expect(row(page, job)).to_contain_text("cancelled", timeout=30_000)
    expect(page.locator("#freshness")).to_have_text("Live", timeout=30_000)
    assert page.evaluate("document.documentElement.dataset.stale ?? 'no'") == "no"


def test_a_machine_that_goes_offline_says_so_at_once(alice: Person, waiting: Any) -> None:
    alice.allowed.append("net::ERR_INTERNET_DISCONNECTED")
    waiting(alice)
    page = alice.open(LIST)
    expect(page.locator("#freshness")).to_have_text("Live")
    alice.context.set_offline(True)
    expect(page.locator("#freshness")).to_have_text("Disconnected — retrying")
    alice.context.set_offline(False)
    expect(page.locator("#freshness")).to_have_text("Live")


def test_a_fourth_list_is_kept_current_without_a_stream(
    platform: Platform, alice: Person, waiting: Callable[[Person], Submission]
) -> None:
    alice.allowed.append("429")
    job = waiting(alice)
    for _ in range(3):
        expect(alice.open(LIST).locator("#freshness")).to_have_text("Live", timeout=15_000)
    fourth = alice.open(LIST)
    expect(fourth.locator("#freshness")).to_contain_text("Updated")
    jobs.cancel(platform.runtime, alice.caller, job.job_id)
    expect(row(fourth, job)).to_contain_text("cancelled", timeout=15_000)


def test_going_from_page_to_page_does_not_use_up_the_streams(
    alice: Person, waiting: Callable[[Person], Submission]
) -> None:
    waiting(alice)
    page = alice.open(LIST)
    for _ in range(6):
        expect(page.locator("#freshness")).to_have_text("Live")
        page.reload()
    expect(page.locator("#freshness")).to_have_text("Live")


# What one does


def test_a_vote_in_the_list_is_stored_and_taken_back(
    platform: Platform, alice: Person, submit: Submit
) -> None:
    job = submit(alice)
    platform.wait_ended(job)
    page = alice.open(LIST)
    up = row(page, job).get_by_role("button", name="Thumbs up")
    up.click()
    expect(up).to_have_attribute("aria-pressed", "true")
    page.reload()
    expect(up).to_have_attribute("aria-pressed", "true")
    assert platform.row(job).feedback_word == "thumbs_up"
    up.click()
    expect(up).to_have_attribute("aria-pressed", "false")
    page.reload()
    expect(up).to_have_attribute("aria-pressed", "false")
    assert platform.row(job).feedback_word == "none"


def test_keys_move_select_vote_and_open(platform: Platform, alice: Person, submit: Submit) -> None:
    first, second = submit(alice), submit(alice)
    platform.wait_ended(first, second)
    page = alice.open(LIST)
    page.keyboard.press("j")
    expect(row(page, second)).to_have_attribute("data-current", "yes")
    page.keyboard.press("j")
    expect(row(page, first)).to_have_attribute("data-current", "yes")
    page.keyboard.press("k")
    page.keyboard.press("x")
    expect(row(page, second).get_by_role("checkbox")).to_be_checked()
    expect(page.get_by_text("1 selected")).to_be_visible()
    page.keyboard.press("d")
    down = row(page, second).get_by_role("button", name="Thumbs down")
    expect(down).to_have_attribute("aria-pressed", "true")
    expect(row(page, second)).to_have_attribute("data-current", "yes")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/llm_outputs/{second.output_id}")


def test_many_are_cancelled_after_the_true_number_was_said(
    platform: Platform, alice: Person, waiting: Callable[[Person], Submission]
) -> None:
    made = [waiting(alice) for _ in range(3)]
    page = alice.open(LIST)
    row(page, made[0]).get_by_role("checkbox").check()
    row(page, made[1]).get_by_role("checkbox").check()
    page.get_by_role("form", name="Many outputs").get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("heading", name="Cancel: 2 outputs?")).to_be_visible()
    page.get_by_role("button", name="Cancel 2").click()
    expect(page.get_by_text("2 outputs cancelled.")).to_be_visible()
    states = [one.status for one in platform.rows(*made)]
    assert states == ["cancelled", "cancelled", "pending"]


def test_all_that_match_are_exported_as_they_are(
    platform: Platform, alice: Person, submit: Submit, tmp_path: Path
) -> None:
    formula = submit(alice, template="=1+{{name}}")
    plain = submit(alice, template='"quoted", {{name}}')
    platform.wait_ended(formula, plain)
    page = alice.open(f"{LIST}?status=completed")
    page.get_by_label("Which outputs").select_option("matching")
    page.get_by_role("button", name="Export").click()
    expect(page.get_by_role("heading", name="Export 2 outputs")).to_be_visible()
    page.get_by_label("With prompts, contexts and answers").check()
    files = {}
    for kind, label in (("csv", "CSV, for spreadsheets"), ("jsonl", "JSON lines, for programs")):
        page.get_by_label(label).check()
        with page.expect_download() as download:
            page.get_by_role("button", name="Download").click()
        files[kind] = tmp_path / f"out.{kind}"
        download.value.save_as(files[kind])
    with files["csv"].open(encoding="utf-8-sig", newline="") as file:
        table = {int(line["id"]): line for line in csv.DictReader(file)}
    lines = {one["id"]: one for one in map(json.loads, files["jsonl"].read_text().splitlines())}
    assert list(table) == list(lines) == [plain.output_id, formula.output_id]
    for job in (formula, plain):
        stored = platform.row(job)
        assert lines[job.output_id]["raw_response"] == stored.raw_response
        assert lines[job.output_id]["template"] == stored.template_name
        assert table[job.output_id]["raw_response"].lstrip("'") == stored.raw_response
        assert table[job.output_id]["job_id"] == stored.job_id
    assert table[formula.output_id]["template"] == "'=1+{{name}}"
    assert table[plain.output_id]["template"] == '"quoted", {{name}}'


def test_a_list_is_kept_under_a_name(alice: Person, waiting: Any) -> None:
    waiting(alice)
    page = alice.open(f"{LIST}?status=pending")
    page.get_by_text("Views", exact=True).click()
    page.get_by_label("Name of this view").fill("What waits")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved as What waits.")).to_be_visible()
    page.goto(LIST)
    page.get_by_text("Views", exact=True).click()
    page.get_by_role("link", name="What waits").click()
    page.wait_for_url("**status=pending")


def _in_hours(hours: int) -> Any:
    return datetime.now(UTC) + timedelta(hours=hours)


def _iso(moment: Any) -> str:
    return str(iso(moment))
