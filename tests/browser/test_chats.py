"""Talking in the pages: asking, seeing an answer grow, stopping, retrying, judging, two at once."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from app import chats, lifecycle
from app.chats import NewChat, Request
from app.lifecycle import control
from models import ControlKind, GrantRole, Queue
from tests.browser.looking import faults_in_both_themes, fits_a_small_screen
from tests.support.browser import Person
from tests.support.platform import Platform
from tests.support.waiting import eventually

ECHO = "simulator/echo"
WRITES = "simulator/tokens-400+rate-40"
"""Ten seconds of writing, so that there is something to stop."""


def start(platform: Platform, person: Person, model: str = ECHO, first: str | None = None) -> int:
    """A chat of theirs; with its first message answered."""
    said = None if first is None else Request(content=first)
    taken = chats.create(platform.runtime, person.caller, NewChat(model=model, first=said))
    if taken.job is not None:
        platform.wait_ended(taken.job)
    return taken.chat_id


def reason(platform: Platform) -> str | None:
    """What stands in the way of answers, as the web process knows it."""
    found: str | None = platform.ask("GET", "/api/v1/chat/status").json()["reason"]
    return found


def output(page: Page) -> Locator:
    return page.locator("#thread").get_by_role("link", name="Output")


def number(page: Page) -> int:
    return int(output(page).inner_text().split()[1])


def box(page: Page) -> Locator:
    return page.get_by_label("Message", exact=True)


def ask(page: Page, text: str) -> None:
    box(page).fill(text)
    box(page).press("Enter")


def test_one_asks_and_sees_the_answer_and_judges_it(platform: Platform, alice: Person) -> None:
    page = alice.open("/chats")
    page.get_by_label("Model").select_option(ECHO)
    box(page).fill("What is **bold**?")
    page.get_by_role("button", name="Send").click()
    page.wait_for_url("**/chats/*")
    expect(page.get_by_role("heading", level=1)).to_have_text("What is **bold**")
    expect(page.locator(".bubble-mine .bubble-text")).to_have_text("What is **bold**?")
    expect(page.locator(".bubble-answer .prose strong")).to_have_text("bold")
    page.get_by_role("button", name="Good answer").click()
    expect(page.get_by_role("button", name="Good answer")).to_have_attribute("aria-pressed", "true")
    page.get_by_text("Say why").click()
    page.get_by_label("Comment").fill("To the point")
    page.get_by_role("button", name="Save comment").click()
    expect(page.get_by_text("Your comment")).to_be_visible()
    (row,) = platform.rows(number(page))
    assert (row.feedback_word, row.feedback_comment) == ("thumbs_up", "To the point")
    output(page).click()
    page.wait_for_url("**/llm_outputs/*")


def test_an_answer_grows_is_there_after_a_reload_and_is_stopped(
    platform: Platform, alice: Person
) -> None:
    chat_id = start(platform, alice, WRITES)
    page = alice.open(f"/chats/{chat_id}")
    ask(page, "Write")
    writing = page.locator("[data-writing]")
    expect(writing).not_to_be_empty()
    expect(box(page)).to_be_disabled()
    page.reload()
    expect(writing).not_to_be_empty()
    text = writing.inner_text()
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("Stopped. What was written is kept.")).to_be_visible()
    expect(box(page)).to_be_enabled()
    assert page.locator(".bubble-answer .prose").inner_text().startswith(text[:20])


def test_keys_lines_and_the_counter(alice: Person, platform: Platform) -> None:
    page = alice.open(f"/chats/{start(platform, alice)}")
    send = page.get_by_role("button", name="Send")
    expect(send).to_be_disabled()
    box(page).fill("   ")
    expect(send).to_be_disabled()
    box(page).fill("one")
    box(page).press("Shift+Enter")
    box(page).press("Control+Enter")
    box(page).press_sequentially("two")
    expect(box(page)).to_have_value("one\ntwo")
    box(page).fill("x" * 9_600)
    expect(page.get_by_text("400 characters left")).to_be_visible()
    box(page).fill("x" * 10_001)
    expect(page.get_by_text("-1 characters left")).to_be_visible()
    expect(send).to_be_disabled()
    box(page).fill("kept")
    page.reload()
    expect(box(page)).to_have_value("kept")
    box(page).press("Enter")
    expect(page.locator(".bubble-answer .prose")).to_contain_text("kept")
    expect(box(page)).to_have_value("")


def test_what_failed_says_why_and_is_tried_again(platform: Platform, alice: Person) -> None:
    page = alice.open(f"/chats/{start(platform, alice, 'simulator/401')}")
    ask(page, "Hello")
    expect(page.get_by_text("The model could not answer. You can try again.")).to_be_visible()
    first = number(page)
    page.get_by_role("button", name="Try again").click()
    expect(output(page)).not_to_have_text(f"Output {first}")
    expect(page.get_by_role("button", name="Try again")).to_have_count(1)
    (again,) = platform.rows(number(page))
    assert (again.parent_id, again.derivation) == (first, "re_run")


def test_one_says_something_anew(platform: Platform, alice: Person) -> None:
    chat_id = start(platform, alice, first="Helo")
    page = alice.open(f"/chats/{chat_id}")
    ask(page, "And more")
    expect(page.locator(".bubble-answer .prose")).to_have_count(2)
    page.get_by_role("link", name="Edit “Helo”").click()
    expect(box(page)).to_have_value("Helo")
    ask(page, "Hello")
    expect(page.locator(".bubble-mine")).to_have_count(1)
    expect(page.locator(".bubble-answer .prose")).to_contain_text("Hello")


def test_two_see_the_same_and_only_writers_write(
    platform: Platform, alice: Person, someone: Callable[..., Person]
) -> None:
    bob = someone("bob")
    bob.enter()
    chat_id = start(platform, alice)
    mine = alice.open(f"/chats/{chat_id}")
    mine.get_by_role("button", name="Manage").click()
    mine.get_by_label("Let in").fill(bob.email)
    mine.get_by_label("Right").select_option("can_view")
    mine.get_by_role("button", name="Share").click()
    theirs = bob.open(f"/chats/{chat_id}")
    expect(theirs.get_by_text("You may read this chat, not write in it.")).to_be_visible()
    ask(mine, "Hello both")
    expect(theirs.locator(".bubble-answer .prose")).to_contain_text("Hello both")
    expect(theirs.get_by_role("button", name="Good answer")).to_have_count(0)
    with platform.runtime.database.write() as session:
        chats.grant(session, alice.caller, chat_id, user_id=bob.user_id, role=GrantRole.CAN_EDIT)
    theirs.reload()
    ask(theirs, "From Bob")
    expect(mine.locator(".bubble-answer .prose").last).to_contain_text("From Bob")
    mine.get_by_role("button", name="Manage").click()
    mine.get_by_label("Title").fill("Ours")
    mine.get_by_role("button", name="Rename").click()
    expect(theirs.get_by_role("heading", level=1)).to_have_text("Ours")


def test_the_box_says_why_it_is_shut_and_opens_by_itself(platform: Platform, alice: Person) -> None:
    chat_id = start(platform, alice)
    database = platform.runtime.database
    with database.write() as session:
        control.pause(session, ControlKind.QUEUE, Queue.HIGH)
    try:
        page = alice.open("/chats")
        page.clock.install()
        page.goto(f"/chats/{chat_id}")
        eventually(lambda: reason(platform))
        page.clock.fast_forward("00:16")  # it looks every 15 seconds
        expect(page.locator("#availability")).to_contain_text("paused")
        expect(box(page)).to_be_disabled()
    finally:
        with database.write() as session:
            lifecycle.resume(session, ControlKind.QUEUE, Queue.HIGH)
    eventually(lambda: not reason(platform))
    page.clock.fast_forward("01:01")  # while it is shut, later each time, a minute at most
    expect(box(page)).to_be_enabled()
    expect(page.locator("#availability")).not_to_contain_text("paused")
    ask(page, "Back")
    expect(page.locator(".bubble-answer .prose")).to_contain_text("Back")


def test_without_scripts_one_asks_reads_and_judges(
    platform: Platform, someone: Callable[..., Person]
) -> None:
    alice = someone("alice", java_script_enabled=False)
    alice.enter()
    page = alice.open("/chats")
    page.get_by_label("Model").select_option(ECHO)
    box(page).fill("Hello")
    page.get_by_role("button", name="Send").click()
    platform.wait_all_ended()
    page.reload()
    expect(page.locator(".bubble-answer .prose")).to_contain_text("Hello")
    box(page).fill("And again")
    page.get_by_role("button", name="Send").click()
    platform.wait_all_ended()
    page.reload()
    page.get_by_role("button", name="Bad answer").last.click()
    expect(page.get_by_text("Thank you: noted as bad.")).to_be_visible()


@pytest.mark.parametrize("path", ["/chats", "/chats/{}"])
def test_axe_finds_nothing_wrong_and_a_phone_shows_it(
    platform: Platform, alice: Person, path: str
) -> None:
    first = "Show code:\n```python\nprint('hello')\n```\n| a | b |\n|---|---|\n| 1 | " + "x" * 60
    page = alice.open(path.format(start(platform, alice, first=first)))
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert faults_in_both_themes(page) == []
    assert fits_a_small_screen(page)


def test_what_goes_along_is_chosen_once(platform: Platform, alice: Person) -> None:
    context = {"adaptor": "fhir@5.0.0", "expression": "fn()", "log": "oops"}
    wanted = NewChat(model=ECHO, context=context)
    chat_id = chats.create(platform.runtime, alice.caller, wanted).chat_id
    page = alice.open(f"/chats/{chat_id}")
    code, logs = page.get_by_label("Code"), page.get_by_label("Logs")
    expect(code).to_be_checked()
    expect(logs).not_to_be_checked()
    logs.check()
    ask(page, "Why?")
    expect(page.locator(".bubble-mine")).to_contain_text("with logs")
    expect(page.locator(".bubble-answer .prose")).to_have_text("Why?")
    page.reload()
    expect(logs).to_be_checked()
    script = platform.row(number(page)).script
    assert "<log>" in str(script)
    assert "<expression>" in str(script)
    assert fits_a_small_screen(page)
    assert faults_in_both_themes(page) == []


def test_a_tab_nobody_looks_at_gives_its_place_away(platform: Platform, alice: Person) -> None:
    page = alice.open(f"/chats/{start(platform, alice)}")
    page.clock.install()
    expect(page.locator("#freshness")).to_have_text("Live")
    page.evaluate(
        """() => {
            window.ended = 0;
            const close = EventSource.prototype.close;
            EventSource.prototype.close = function () { window.ended++; close.call(this); };
            window.look = (hidden) => {
                Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
                document.dispatchEvent(new Event("visibilitychange"));
            };
            window.look(true);
        }"""
    )
    assert page.evaluate("window.ended") == 0
    page.clock.run_for(31_000)
    assert page.evaluate("window.ended") == 1
    page.evaluate("window.look(false)")
    ask(page, "Still there?")
    expect(page.locator(".bubble-answer .prose")).to_have_text("Still there?")
