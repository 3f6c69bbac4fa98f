"""The page of one output in a real browser: what one does there."""

from __future__ import annotations

import re

from playwright.sync_api import Route, expect

from tests.browser.one_output import Someone, Submit, path
from tests.support.browser import Person
from tests.support.platform import Platform

TABS = ("result", "raw", "prompt", "context", "attempts", "lineage", "trace")


def test_a_thumb_shows_at_once_and_is_toggled(
    platform: Platform, alice: Person, submit: Submit
) -> None:
    job = submit(alice)
    platform.wait_ended(job)
    page = alice.open(path(job))
    good, bad = (page.get_by_role("button", name=name, exact=True) for name in ("Good", "Bad"))
    good.click()
    expect(good).to_have_attribute("aria-pressed", "true")
    page.get_by_label("Accurate").check()
    page.get_by_label("Comment").fill("Just right")
    page.get_by_role("button", name="Save comment").click()
    expect(page.get_by_text("Saved", exact=True)).to_be_visible()
    row = platform.row(job)
    assert (row.feedback, row.feedback_comment) == (1, "Reasons: Accurate\nJust right")
    bad.click()
    expect(page.get_by_text("Wrong facts")).to_be_visible()
    expect(good).to_have_attribute("aria-pressed", "false")
    bad.click()
    expect(page.get_by_text("Wrong facts")).to_be_hidden()
    page.reload()
    for thumb in (good, bad):
        expect(thumb).to_have_attribute("aria-pressed", "false")
    expect(page.get_by_label("Comment")).to_have_value("Just right")
    page.keyboard.press("u")
    expect(good).to_have_attribute("aria-pressed", "true")


def test_a_vote_that_cannot_be_saved_is_taken_back(
    platform: Platform, alice: Person, submit: Submit
) -> None:
    alice.allowed.append("ERR_FAILED")
    job = submit(alice)
    platform.wait_ended(job)
    page = alice.open(path(job))
    held: list[Route] = []
    page.route("**/feedback", lambda route: held.append(route))
    good = page.get_by_role("button", name="Good", exact=True)
    good.click()
    expect(good).to_have_attribute("aria-pressed", "true")  # before anybody answered
    held[0].abort()
    expect(page.get_by_text("could not be saved")).to_be_visible()
    expect(good).to_have_attribute("aria-pressed", "false")
    page.unroute("**/feedback")
    good.click()
    expect(page.get_by_text("Why?")).to_be_visible()
    assert platform.row(job).feedback == 1


def test_re_run_and_regenerate_make_children_with_lineage(
    platform: Platform, alice: Person, submit: Submit
) -> None:
    alice.allowed.append("400")
    job = submit(alice)
    platform.wait_ended(job)
    page = alice.open(path(job))
    page.get_by_role("button", name="Re-run").click()
    expect(page.get_by_text("Queued again, as output")).to_be_visible()
    expect(page.get_by_text("↻ re-run of")).to_be_visible()
    platform.wait_all_ended()
    page.goto(path(job))
    page.get_by_role("link", name="Regenerate").click()
    dialog = page.get_by_role("dialog", name=re.compile("Regenerate output"))
    expect(dialog.get_by_text("Nothing differs yet")).to_be_visible()
    dialog.get_by_label("Context (JSON)").fill('{"concept": "bees"')
    expect(dialog.locator("#regenerate-preview")).to_contain_text("Not JSON")
    dialog.get_by_role("button", name="Regenerate").click()
    expect(dialog.get_by_role("alert")).to_contain_text("Not JSON")
    dialog.get_by_label("Context (JSON)").fill('{"concept": "bees"}')
    expect(dialog.locator("#regenerate-preview del")).to_have_text('"machine learning"')
    dialog.get_by_text("The new prompt").click()
    expect(dialog.get_by_label("The new prompt")).to_have_text("Explain bees to a beginner")
    dialog.get_by_role("button", name="Regenerate").click()
    expect(page.get_by_text("✎ regenerated of")).to_be_visible()
    platform.wait_all_ended()
    page.goto(f"{page.url}?tab=lineage")
    rows = page.get_by_role("table", name="Lineage").locator("tbody tr")
    expect(rows).to_have_count(3)
    expect(rows.nth(1)).to_contain_text("↻ re-run")
    expect(rows.nth(2)).to_contain_text("✎ regenerated: context")
    rows.nth(0).get_by_role("link", name="↔").click()
    expect(page.get_by_label("Result").locator("del")).to_have_text("machine learning ")
    expect(page.get_by_label("Result").locator("ins")).to_have_text("bees ")


def test_keys_and_the_theme_reach_the_output(
    platform: Platform, alice: Person, submit: Submit
) -> None:
    job = submit(alice, template="# Bees", context={}, format="markdown")
    platform.wait_ended(job)
    page = alice.open(path(job))
    page.keyboard.press("t")  # from the system's theme to the light one
    page.keyboard.press("t")
    frame = page.frame_locator("iframe")
    expect(page.locator("iframe")).to_have_attribute("src", re.compile("theme=dark"))
    expect(frame.locator("html.dark")).to_be_visible()
    expect(frame.locator("body")).to_have_css("background-color", "rgb(24, 28, 37)")
    page.keyboard.press("e")
    dialog = page.get_by_role("dialog", name=re.compile("Regenerate output"))
    expect(dialog.get_by_label("Template")).to_have_value("# Bees")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    page.keyboard.press("r")
    expect(page.get_by_text("↻ re-run of")).to_be_visible()


def test_without_scripts_votes_and_re_runs_work(
    platform: Platform, someone: Someone, submit: Submit
) -> None:
    alice = someone("alice", java_script_enabled=False)
    alice.enter()
    job = submit(alice)
    platform.wait_ended(job)
    page = alice.open(path(job))
    page.get_by_role("button", name="Bad", exact=True).click()
    expect(page.get_by_text("noted as bad")).to_be_visible()
    page.get_by_label("Too short").check()
    page.get_by_role("button", name="Save comment").click()
    assert platform.row(job).feedback_comment == "Reasons: Too short"
    for tab in TABS:
        page.goto(path(job, f"?tab={tab}"))
        expect(page.locator(f"#tab-{tab}")).to_be_visible()
    page.get_by_role("button", name="Re-run").click()
    expect(page.get_by_text("↻ re-run of")).to_be_visible()
    platform.wait_all_ended()
    page.goto(path(job))
    page.get_by_role("link", name="Regenerate").click()
    page.get_by_label("Template").fill("Explain {{concept}} to a king")
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("ins")).to_have_text("king")
    page.get_by_role("button", name="Regenerate", exact=True).click()
    expect(page.get_by_text("✎ regenerated of")).to_be_visible()
    waiting = submit(alice, model="simulator/latency-20")
    page.goto(path(waiting))
    expect(page.get_by_role("link", name="Reload")).to_be_visible()


def test_administrators_see_other_peoples_outputs(
    platform: Platform, alice: Person, ada: Person, submit: Submit
) -> None:
    job = submit(alice)
    platform.wait_ended(job)
    page = ada.open(path(job))
    expect(page.locator(".facts").get_by_text("alice", exact=True)).to_be_visible()
