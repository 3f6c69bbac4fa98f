"""The page of one output in a real browser: what it shows and follows."""

from __future__ import annotations

import re

from playwright.sync_api import Route, expect

from tests.browser.one_output import Submit, path
from tests.support.browser import Person
from tests.support.platform import Platform

LONG = {"max_tokens": 5000}
"""An answer that may be so long is always streamed."""


def test_each_tab_is_a_link_that_changes_the_page_in_place(
    platform: Platform, alice: Person, submit: Submit
) -> None:
    job = submit(
        alice,
        template="List facts about {{topic}} for {{nobody}}",
        context={"topic": "bees", "spare": 1, "api_key": "hunter2-hunter2"},
        format="json",
        system="You are kind.",
        model="simulator/plain",
    )
    platform.wait_ended(job)
    page = alice.open(path(job))
    expect(page.locator(".tree").first).to_contain_text("summary")
    tabs = page.get_by_role("navigation", name="Parts of this output")
    tabs.get_by_role("link", name="Raw response").click()
    page.wait_for_url("**?tab=raw")
    expect(page.get_by_text("nothing in it is interpreted")).to_be_visible()
    tabs.get_by_role("link", name="Prompt").click()
    expect(page.locator("mark.variable").first).to_have_text("bees")
    expect(page.locator("mark.variable-missing")).to_have_text("{{nobody}}")
    expect(page.get_by_text("In the context, but not in the template")).to_contain_text("spare")
    expect(page.get_by_label("system message").first).to_contain_text("You are kind.")
    tabs.get_by_role("link", name="Context").click()
    expect(page.locator(".tree").first).to_contain_text("[redacted]")
    assert "hunter2" not in page.content()
    tabs.get_by_role("link", name="Attempts").click()
    expect(page.get_by_text("Attempt 1: claimed by worker-0@test")).to_be_visible()
    tabs.get_by_role("link", name="Trace").click()
    expect(page.locator(".facts code").first).to_have_text(job.job_id)
    page.go_back()
    page.wait_for_url("**?tab=attempts")


def test_the_story_of_a_retry_is_told(platform: Platform, alice: Person, submit: Submit) -> None:
    job = submit(alice, model="simulator/fail-2")
    platform.wait_ended(job)
    page = alice.open(path(job, "?tab=attempts"))
    steps = page.locator(".step")
    expect(steps).to_have_count(5)
    expect(steps.nth(1)).to_contain_text("Failed, to be tried again — provider_failed")
    expect(steps.nth(1)).to_contain_text("0.05 s · 2⁰ ×")
    expect(steps.nth(2)).to_contain_text("0.05 s · 2¹ ×")
    expect(steps.nth(3)).to_contain_text("Answered")
    expect(steps.nth(4)).to_contain_text("Completed")


def test_a_failed_job_says_what_to_do(platform: Platform, alice: Person, submit: Submit) -> None:
    job = submit(alice, model="simulator/401")
    platform.wait_ended(job)
    page = alice.open(path(job))
    expect(page.get_by_text("The provider refused our credentials.")).to_be_visible()
    expect(page.get_by_text("has to set a valid API key")).to_be_visible()


# --- what it follows


def test_the_answer_appears_as_it_is_written(alice: Person, submit: Submit) -> None:
    job = submit(alice, model="simulator/tokens-400+rate-80", options=LONG)
    page = alice.open(path(job))
    expect(page.locator("#live-text")).to_contain_text("Explain machine")
    expect(page.locator(".output-head .pill")).to_have_text("processing")
    expect(page.locator("#freshness")).to_have_text("Live")
    expect(page.locator(".output-head .pill")).to_have_text("completed", timeout=20_000)
    expect(page.get_by_label("The answer", exact=True)).to_contain_text("Explain machine")
    expect(page.locator("#output-said")).to_have_text("The job is now completed")
    expect(page.locator("#freshness")).to_have_text("Final")


def test_a_lost_stream_goes_on_where_it_broke(alice: Person, submit: Submit) -> None:
    job = submit(alice, model="simulator/first-3+tokens-200+rate-80", options=LONG)
    page = alice.open()
    asked: list[str] = []

    def broken_once(route: Route) -> None:
        asked.append(route.request.url)
        if len(asked) > 1:
            return route.continue_()
        delta = 'id: 0-1\nevent: delta\ndata: {"attempt":1,"offset":0,"text":"Explain mach"}\n\n'
        return route.fulfill(content_type="text/event-stream", body=f"retry: 100\n\n{delta}")

    page.route("**/events", broken_once)
    page.goto(path(job))
    expect(page.locator("#live-text")).to_have_text(re.compile("^Explain machine learning to a"))
    assert len(asked) > 1


def test_updates_can_be_switched_off(platform: Platform, alice: Person, submit: Submit) -> None:
    job = submit(alice, model="simulator/latency-3")
    page = alice.open()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.evaluate("localStorage.setItem('llm-jobs-refresh', 'off')")
    page.goto(path(job))
    expect(page.locator("#freshness")).to_have_text("Updates off")
    platform.wait_ended(job)
    assert not any(url.endswith("/events") for url in asked)
    page.keyboard.press(".")
    expect(page.locator(".output-head .pill")).to_have_text("completed")


def test_without_a_stream_the_page_asks_again(
    platform: Platform, alice: Person, submit: Submit
) -> None:
    alice.allowed.append("429")
    job = submit(alice, model="simulator/latency-4")
    page = alice.open()
    page.route("**/events", lambda route: route.fulfill(status=429, body="no"))
    page.goto(path(job))
    platform.wait_ended(job)
    expect(page.locator(".output-head .pill")).to_have_text("completed", timeout=20_000)


def test_a_waiting_retry_says_when_and_can_be_hurried(
    platform: Platform, alice: Person, submit: Submit
) -> None:
    job = submit(alice, model="simulator/429-300-once")
    platform.wait_status(job, "pending")
    page = alice.open(path(job))
    expect(page.get_by_text("Next attempt in")).to_be_visible()
    expect(page.get_by_text("(429, attempt 1/6)")).to_be_visible()
    page.get_by_role("button", name="Retry now").click()
    expect(page.get_by_text("It runs as soon as a worker is free.")).to_be_visible()


def test_a_running_job_is_cancelled_within_seconds(
    platform: Platform, alice: Person, submit: Submit
) -> None:
    job = submit(alice, model="simulator/tokens-3000+rate-20", options=LONG)
    page = alice.open(path(job))
    expect(page.locator("#live-text")).to_contain_text("Explain")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".output-head .pill")).to_have_text("cancelled", timeout=8_000)
    expect(page.get_by_text("What had been written by then is kept.")).to_be_visible()
    expect(page.get_by_label("The answer", exact=True)).to_contain_text("Explain")
